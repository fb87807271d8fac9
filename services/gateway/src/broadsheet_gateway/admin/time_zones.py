"""The time zones that forms offer: the IANA names that name a place, and UTC. Services check what is typed."""

from typing import Final
from zoneinfo import available_timezones

TIME_ZONES: Final = (
    "UTC",
    *sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "US/", "SystemV/"))),
)
"""Some 500 names, 22 KB as a list of a page and 4 KB as it is sent."""


def zone_typed(text: str) -> str:
    """The name of a zone for what somebody typed: its name, or the city in it, if only one zone has that city. Anything
    else stays as it is, and the service says what is wrong with it.
    """
    typed = text.strip()
    wanted = typed.casefold().replace(" ", "_")
    found = [name for name in TIME_ZONES if wanted in {name.casefold(), name.rpartition("/")[2].casefold()}]
    return found[0] if len(found) == 1 else typed
