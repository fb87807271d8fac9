"""The stretches of time that a report counts in: hours at first, then days. Pure.

All are in UTC: an hour begins at a full hour, a day at midnight. The first 72 hours, from the hour in which the issue
was published, are told apart; then each day, the first of which may be a part of one; after a year all is counted
in the last day.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

HOURS: Final = 72
DAYS_MAX: Final = 366
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def bucket_of(published_at: datetime, occurred_at: datetime) -> datetime:
    """The beginning of the stretch that a moment is counted in. A moment before the first counts in the first."""
    first = _floor_hour(published_at.astimezone(UTC))
    by_day_from = first + HOURS * _HOUR
    moment = occurred_at.astimezone(UTC)
    if moment < by_day_from:
        return max(first, _floor_hour(moment))
    last = _floor_day(by_day_from) + DAYS_MAX * _DAY
    return max(by_day_from, min(_floor_day(moment), last))


def bucket_end(published_at: datetime, begins_at: datetime) -> datetime:
    """The moment at which a stretch that `bucket_of` named ends."""
    by_day_from = _floor_hour(published_at.astimezone(UTC)) + HOURS * _HOUR
    return begins_at + _HOUR if begins_at < by_day_from else _floor_day(begins_at) + _DAY


def _floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _floor_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
