"""The time zones that forms offer: the IANA names that name a place, and UTC. Services check what is typed."""

from typing import Final
from zoneinfo import available_timezones

TIME_ZONES: Final = (
    "UTC",
    *sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "US/", "SystemV/"))),
)
"""Some 500 names, 22 KB as a list of a page and 4 KB as it is sent."""
