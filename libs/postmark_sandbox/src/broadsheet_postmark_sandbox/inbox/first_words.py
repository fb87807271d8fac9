"""What a list of mails shows beside a subject: the mail's first words, which is where senders put a preheader; pure."""

import re
from collections.abc import Iterator
from typing import Final

from broadsheet_postmark_sandbox.inbox.markup import Text, pieces

CHARS_MAX: Final = 120

_CHARS_READ_MAX: Final = 24_000
_TEXT_CHARS_READ_MAX: Final = 2_000
# What senders fill up with, so that nothing of the body follows a short preheader: zero-width characters, soft hyphens,
# figure spaces, and the grapheme joiner. So many of them end what is shown.
_FILLED_UP: Final = 8
_FILLER: Final = "[\u00ad\u034f\u061c\u200b-\u200f\u2007\u2060-\u2064\ufeff]"
_FILLERS: Final = re.compile(_FILLER)
_FILLING: Final = re.compile(rf"(?:{_FILLER}\s{{0,3}}){{{_FILLED_UP}}}")


def first_words(html: str | None, text: str | None) -> str:
    """At most CHARS_MAX characters of the HTML, hidden ones too, as mail programs do it; else of the text."""
    found = _shown("".join(_words(html or "")))
    if found:
        return _cut(found)
    return _cut(_shown((text or "")[:_TEXT_CHARS_READ_MAX]))


def _shown(words: str) -> str:
    """Up to where it was filled up, without the characters that are not seen."""
    filled = _FILLING.search(words)
    return " ".join(_FILLERS.sub("", words if filled is None else words[: filled.start()]).split())


def _cut(words: str) -> str:
    return words if len(words) <= CHARS_MAX else words[:CHARS_MAX].rstrip() + "…"


def _words(html: str) -> Iterator[str]:
    length = 0
    for piece in pieces(html[:_CHARS_READ_MAX]):
        words = piece.words if isinstance(piece, Text) else " "
        yield words
        length += len(_FILLERS.sub("", words.strip()))
        if length > CHARS_MAX:
            return
