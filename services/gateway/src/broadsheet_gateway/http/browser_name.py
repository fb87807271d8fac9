"""A short name of the program and system that a `User-Agent` header claims, for a user's list of sessions; pure.

Only names from this module come out of it: the header is whatever its sender wrote.
"""

from typing import Final

_UNKNOWN: Final = "Unknown program"

# The first that the header holds counts: browsers also name those whose pages they want to be given.
_PROGRAMS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-httpx/", "A Python program"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)


def browser_name(user_agent: str) -> str:
    """For example `Firefox on Linux`."""
    program = next((name for mark, name in _PROGRAMS if mark in user_agent), _UNKNOWN)
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    return program if system is None else f"{program} on {system}"
