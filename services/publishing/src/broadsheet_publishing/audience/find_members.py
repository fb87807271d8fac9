"""Find the members of an issue's segment before it is published: a trial, which is counted and released.

Subscriptions finds them with the code that freezes the audience of an issue. No transaction is open while they are
looked for. An issue without a segment needs none of it.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audience import TOO_MANY_TRIALS, release_audience, request_audience_trial
from broadsheet_common.http.problems import UnavailableError
from broadsheet_publishing.audience import store
from broadsheet_publishing.audience.audience import Trial
from broadsheet_publishing.issues.interface import IssueRow

WAIT_MAX_S: Final = 8.0
"""The gateway waits for 15 s by default."""
_POLL_S: Final = 0.05


@asynccontextmanager
async def members_of(engine: AsyncEngine, issue: IssueRow | None) -> AsyncGenerator[Trial | None]:
    """Until it is left. None: no issue, or one that goes to no segment, to one that was deleted, or is published.

    Raises:
        UnavailableError: they were not found in time.
    """
    if issue is None or issue.segment_id is None or issue.status not in {"draft", "scheduled"}:
        yield None
        return
    async with engine.begin() as connection:
        trial_id = await request_audience_trial(
            connection, newsletter_id=issue.newsletter_id, segment_id=issue.segment_id
        )
    if trial_id is None:
        yield None
        return
    if trial_id == TOO_MANY_TRIALS:
        raise UnavailableError("Too many audiences are being counted at the moment.")
    try:
        yield await _wait_for(engine, trial_id)
    finally:
        async with engine.begin() as connection:
            await release_audience(connection, issue_id=trial_id)


async def _wait_for(engine: AsyncEngine, trial_id: int) -> Trial:
    deadline_s = time.monotonic() + WAIT_MAX_S
    while time.monotonic() < deadline_s:
        async with engine.connect() as connection:
            found = await store.find_trial(connection, trial_id)
        if found is not None:
            return found
        await anyio.sleep(_POLL_S)
    raise UnavailableError("The members of the segment were not found in time.")
