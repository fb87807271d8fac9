"""Reads tags and text out of HTML in a time that grows with its length alone, whatever it holds; pure.

The standard library's parser takes a minute for some 300 KB that were made to be hard, and raises for others.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

import msgspec

TAG_CHARS_MAX: Final = 3_000

_TAG: Final = re.compile(rf"<(/?)([a-zA-Z][a-zA-Z0-9]{{0,30}})([^<>]{{0,{TAG_CHARS_MAX}}})>")
_ATTRIBUTE: Final = re.compile(r"""([a-zA-Z-]{1,40})\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_UNREAD: Final = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("style", "script", "title", "noscript")}
"""Elements whose text is no part of the document's."""


class Text(msgspec.Struct, frozen=True):
    words: str


class Tag(msgspec.Struct, frozen=True):
    """`name` in lower case; `rest` as written between the name and the end of the tag."""

    name: str
    is_end: bool
    rest: str

    def attributes(self) -> dict[str, str]:
        """The attributes that have a value, by their names in lower case."""
        return {
            found[1].lower(): unescape(found[2] or found[3] or found[4] or "")
            for found in _ATTRIBUTE.finditer(self.rest)
        }


def pieces(html: str) -> Iterator[Text | Tag]:
    """The tags and the text between them, without comments, styles and scripts."""
    position = 0
    while (start := html.find("<", position)) >= 0:
        if start > position:
            yield Text(unescape(html[position:start]))
        tag = _TAG.match(html, start)
        if tag is not None:
            found = Tag(tag[2].lower(), tag[1] == "/", tag[3])
            yield found
            position = _after_unread(html, tag.end(), found)
        elif html.startswith("<!--", start):
            position = _after(html, "-->", start)
        elif html.startswith(("<!", "<?"), start):
            position = _after(html, ">", start)
        else:
            yield Text("<")
            position = start + 1
    if position < len(html):
        yield Text(unescape(html[position:]))


def _after_unread(html: str, position: int, tag: Tag) -> int:
    closing = None if tag.is_end else _UNREAD.get(tag.name)
    if closing is None:
        return position
    end = closing.search(html, position)
    return len(html) if end is None else end.start()


def _after(html: str, mark: str, start: int) -> int:
    end = html.find(mark, start)
    return len(html) if end < 0 else end + len(mark)
