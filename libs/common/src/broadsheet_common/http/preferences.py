"""What a client would rather have (RFC 7240): an answer without what it has just sent."""

from typing import Annotated, Final

from litestar.params import HeaderParameter

_HEADER_CHARS_MAX: Final = 1_000
RETURN_MINIMAL: Final = "return=minimal"

PreferHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer",
        max_length=_HEADER_CHARS_MAX,
        description="`return=minimal`: without what may be megabytes (RFC 7240). Other preferences are ignored.",
    ),
]


def prefers_minimal(header: str | None) -> bool:
    """Whether `return=minimal` is among the preferences. Names and values may be quoted and in any case; of a
    preference that is given twice the first counts (RFC 7240, 2).
    """
    for preference in (header or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return":
            return value.strip().strip('"').lower() == "minimal"
    return False
