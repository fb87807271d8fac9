"""IANA time zones, pure. They come from the system, or from the package `tzdata` where it has none."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones


def find_zone(name: str) -> ZoneInfo | None:
    """None for a name that is none of the IANA time zones'."""
    return ZoneInfo(name) if name in zone_names() else None


@cache
def zone_names() -> frozenset[str]:
    """All IANA names."""
    return frozenset(available_timezones())
