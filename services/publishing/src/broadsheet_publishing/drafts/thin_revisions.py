"""Which revisions of a draft are removed, pure: the older they are, the fewer are needed.

An editor saves every few seconds. The newest `NEWEST_KEPT` revisions stay. Of older ones the last stays of each minute
for an hour, of each ten minutes for a day, of each hour for a month, and of each day after that. A revision in another
format than the one before it stays: it is how a change of format is undone. More than `KEPT_MAX`, or `BYTES_MAX`
together: the oldest go.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from broadsheet_publishing.compiling.issue_source import Format

NEWEST_KEPT: Final = 50
KEPT_MAX: Final = 500
BYTES_MAX: Final = 200_000_000
_STEPS: Final = (
    (timedelta(hours=1), timedelta(minutes=1)),
    (timedelta(days=1), timedelta(minutes=10)),
    (timedelta(days=30), timedelta(hours=1)),
)
_OLDER_STEP: Final = timedelta(days=1)


class RevisionFacts(msgspec.Struct, frozen=True):
    version: int
    format: Format
    saved_at: datetime
    size_bytes: int


def versions_to_remove(revisions: Sequence[RevisionFacts], *, now: datetime) -> list[int]:
    """`revisions`: all of one issue, newest first. The newest is never removed."""
    kept: list[RevisionFacts] = []
    seen: set[tuple[timedelta, int]] = set()
    for place, revision in enumerate(revisions):
        step = _step(now - revision.saved_at)
        period = step, int(revision.saved_at.timestamp() // step.total_seconds())
        before = revisions[place + 1] if place + 1 < len(revisions) else None
        changes_format = before is not None and before.format != revision.format
        precedes_change = place > 0 and revisions[place - 1].format != revision.format
        if place < NEWEST_KEPT or changes_format or precedes_change or period not in seen:
            kept.append(revision)
        seen.add(period)
    total_bytes = 0
    remaining: set[int] = set()
    for place, revision in enumerate(kept[:KEPT_MAX]):
        total_bytes += revision.size_bytes
        if place > 0 and total_bytes > BYTES_MAX:
            break
        remaining.add(revision.version)
    return [revision.version for revision in revisions if revision.version not in remaining]


def _step(age: timedelta) -> timedelta:
    return next((step for limit, step in _STEPS if age <= limit), _OLDER_STEP)
