"""Fix the waves of an issue when it is published; in the caller's transaction.

The whole audience is frozen and enqueued at the first wave. Each delivery waits in the queue for the instant of its
wave, so that no process has to be there between two waves. A wave whose time has passed already goes out at once.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.issues.interface import IssueRow
from broadsheet_publishing.waves import store
from broadsheet_publishing.waves.wave import plan_waves


async def open_waves(connection: AsyncConnection, issue: IssueRow) -> None:
    """Of an issue that is scheduled at a local time of each reader."""
    assert issue.scheduled_local is not None, "a schedule in the readers' time zones has a local time"
    assert issue.scheduled_time_zone is not None, "and a time zone for those whose own is not known"
    waves = plan_waves(datetime.fromisoformat(issue.scheduled_local))
    fallback = next(
        number for number, wave in enumerate(waves, start=1) if issue.scheduled_time_zone in wave.time_zones
    )
    await store.insert_waves(connection, issue.id, waves, fallback_number=fallback)
