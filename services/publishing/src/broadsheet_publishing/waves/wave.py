"""The waves of an issue that goes out at the same local time everywhere, pure."""

from collections import defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from broadsheet_publishing.newsletters.time_zone import zone_names


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """All time zones in which the local time is this instant (UTC); `time_zones` are IANA names, sorted."""

    due_at: datetime
    time_zones: tuple[str, ...]


def plan_waves(local: datetime) -> list[Wave]:
    """Of every IANA time zone, the first wave first. `local` has no time zone.

    Where the clocks are put forward over that time, it is as much later as they are put forward; where it comes twice,
    it is the first (RFC 5545, 3.3.5).
    """
    zones: defaultdict[datetime, list[str]] = defaultdict(list)
    for name in zone_names():
        zones[local.replace(tzinfo=ZoneInfo(name), fold=0).astimezone(UTC)].append(name)
    return [Wave(due_at=due_at, time_zones=tuple(sorted(zones[due_at]))) for due_at in sorted(zones)]
