"""Slugs, the parts of web addresses that name newsletters and issues; pure."""

import re
import unicodedata
from typing import Final

_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]+")


def slug_from(text: str, *, chars_max: int) -> str:
    """A slug made of a name or a title: `Café, at last!` becomes `cafe-at-last`. Empty without a letter of ASCII."""
    ascii_text = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return _NOT_IN_SLUGS.sub("-", ascii_text).strip("-")[:chars_max].rstrip("-")
