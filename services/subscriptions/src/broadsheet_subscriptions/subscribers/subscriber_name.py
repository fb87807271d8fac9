r"""A subscriber's name: one line of text that is safe in a mail header, a greeting and a page.

Rusty Mailer's rule (not blank, at most 256 grapheme clusters, none of ``/ ( ) " < > \ { }``), and no control or
line-separating characters, which could break a header. Surrounding blanks are dropped, blanks within become one
space, and characters that change the direction of text are removed. Stored and compared in Unicode's normal form C.

That rule is for names that people type. A name in an imported file (`clean_name`) may hold quotes, slashes and
brackets: nobody is there to correct it, and all code that writes a name into a header, a page or a cell escapes
it anyway.
"""

import re
import unicodedata

import regex  # type: ignore[import-untyped]  # it ships no types

GRAPHEMES_MAX = 256
BYTES_MAX = 16 * 1024
"""Bounds the whole name, since one grapheme cluster may hold any number of combining marks."""

_FORBIDDEN = '/()"<>\\{}'
_CONTROL = regex.compile(r"[\p{Cc}\u2028\u2029]")
_SURROGATE = regex.compile(r"\p{Cs}")
# A fast check for names that are valid as they are, since an import checks a million of them. Most match; a name that
# does not may still be valid.
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 .,&'_-]{0,254}[A-Za-z0-9.])?")
# Characters that change the order in which the text around them is shown.
_BIDI = regex.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BLANKS = regex.compile(r"\s+")
_GRAPHEME = regex.compile(r"\X")
# A character that a reader can see: neither white space nor a formatting character, which has no width.
_VISIBLE = regex.compile(r"[^\s\p{Cf}\p{Zs}\u115f\u1160\u3164\uffa0\u2800]")


class SubscriberName(str):
    """A valid name."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "SubscriberName":
        """Raises ValueError with a sentence that can be shown at the field."""
        if _PLAIN.fullmatch(raw):
            return cls(raw)
        if _CONTROL.search(raw):
            raise ValueError("A name may not hold line breaks or control characters.")
        if _SURROGATE.search(raw):
            raise ValueError("A name may not hold an unpaired surrogate.")
        text = _one_line(raw)
        if not _VISIBLE.search(text):
            raise ValueError("A name is needed.")
        if found := sorted(set(_FORBIDDEN) & set(text)):
            raise ValueError(f"A name may not hold {' '.join(found)}")
        if len(text.encode()) > BYTES_MAX or _count_graphemes(text) > GRAPHEMES_MAX:
            raise ValueError(f"A name may be at most {GRAPHEMES_MAX} characters long.")
        return cls(text)


def clean_name(raw: str) -> str:
    """A name from a file, made one line: control characters and line breaks become spaces, and an unpaired
    surrogate becomes U+FFFD. Empty if nothing visible is left. A name that `SubscriberName.parse` gave stays as it is.
    Raises ValueError if it is too long to be a name.
    """
    if _PLAIN.fullmatch(raw):
        return raw
    text = _one_line(_SURROGATE.sub("\ufffd", _CONTROL.sub(" ", raw)))
    if not _VISIBLE.search(text):
        return ""
    if len(text.encode()) > BYTES_MAX or _count_graphemes(text) > GRAPHEMES_MAX:
        raise ValueError(f"A name may be at most {GRAPHEMES_MAX} characters long.")
    return text


def _one_line(text: str) -> str:
    return unicodedata.normalize("NFC", _BLANKS.sub(" ", _BIDI.sub("", text)).strip())


def _count_graphemes(text: str) -> int:
    return sum(1 for _ in _GRAPHEME.finditer(text))
