"""The form of the limits on all sending: numbers as people type them; pure."""

from typing import Final

import msgspec

RATE_MAX: Final = 1_000_000
CALLS_MAX: Final = 10_000
LABELS: Final = {"messages_per_s_max": "Mails a second", "concurrent_calls_max": "Calls at once"}
_CHARS_MAX: Final = 20


class Limits(msgspec.Struct, frozen=True):
    """As the API takes them; None is no limit."""

    messages_per_s_max: float | None
    concurrent_calls_max: int | None


def read_limits(rate: str, calls: str) -> tuple[Limits, dict[str, str]]:
    """What the two fields say, and what is wrong with them by field. An empty field is no limit."""
    errors: dict[str, str] = {}
    try:
        rate_max = _number(rate)
        if rate_max is not None and not 0 < rate_max <= RATE_MAX:
            raise ValueError("out of range")
    except ValueError:
        rate_max, errors["messages_per_s_max"] = None, f"Enter a number above 0 and up to {RATE_MAX:,}, or nothing."
    try:
        calls_max = _number(calls)
        if calls_max is not None and not (calls_max.is_integer() and 1 <= calls_max <= CALLS_MAX):
            raise ValueError("out of range")
    except ValueError:
        calls_max, errors["concurrent_calls_max"] = None, f"Enter a whole number from 1 to {CALLS_MAX:,}, or nothing."
    return Limits(rate_max, None if calls_max is None else int(calls_max)), errors


def shown(limit: float | None) -> str:
    """A limit as its field shows it."""
    return "" if limit is None else f"{limit:g}" if limit < RATE_MAX else f"{limit:.0f}"


def _number(text: str) -> float | None:
    """Raises ValueError for what is no number of digits, with a point at most."""
    plain = text.strip().replace(",", "")
    if not plain:
        return None
    if len(plain) > _CHARS_MAX or not plain.isascii() or not plain.replace(".", "", 1).isdigit():
        raise ValueError("not a number")
    return float(plain)
