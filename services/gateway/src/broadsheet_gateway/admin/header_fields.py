"""Hidden fields of a form that become headers of a call. Pure."""

import re
from typing import Final

_SAFE: Final = re.compile(r"[!-~]{1,200}")


def header_field(text: str) -> str | None:
    """None for what is empty, and for what no page of ours has put there and a header could not carry."""
    return text if _SAFE.fullmatch(text) else None
