"""A newsletter's accent colour as a style sheet of its own, made of the colour alone.

The content policy allows no style in a page. What text stands on or is written in is mixed with white or black until
it can be read (WCAG 2.2, 1.4.3), in the light and in the dark palette. The name holds a hash, so that browsers may
keep it for ever.
"""

import hashlib
import re
from functools import lru_cache
from typing import Final

from broadsheet_common.mail.readable_colour import best_on, readable
from broadsheet_gateway.pages.static_files import StaticFile

PAPER: Final = "#f7f3ea"
"""The darkest ground of the light palette that text stands on, and the lightest of the dark one, as in site.css."""
NIGHT: Final = "#26221e"
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")
_NAME: Final = re.compile(r"accent-([0-9a-f]{6})\.[0-9a-f]{16}\.css")
_MEDIA_TYPE: Final = "text/css; charset=utf-8"
_KEPT: Final = 256


def accent_sheet_name(colour: str) -> str:
    """The file's name; empty for what is no colour `#rrggbb`."""
    return _sheet(colour).name if _COLOUR.fullmatch(colour) else ""


def find_accent_sheet(name: str) -> StaticFile | None:
    """The file of that name; None for any other, and for one that an older release made."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    sheet = _sheet(f"#{found[1]}")
    return sheet if sheet.name == name else None


@lru_cache(maxsize=_KEPT)
def _sheet(colour: str) -> StaticFile:
    content = (
        f":root {{ {_variables(readable(colour, PAPER))} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(readable(colour, NIGHT))} }} }}\n"
    ).encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return StaticFile(
        name=f"accent-{colour[1:]}.{digest}.css", content=content, media_type=_MEDIA_TYPE, etag=f'"{digest}"'
    )


def _variables(colour: str) -> str:
    return f"--accent: {colour}; --button: {colour}; --on-button: {best_on(colour)};"
