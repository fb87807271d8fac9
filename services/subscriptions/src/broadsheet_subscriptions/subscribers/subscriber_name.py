r"""What a subscriber is called: one line of text that is safe in a mail header, a greeting and a page.

Rusty Mailer's rule (not blank, at most 256 grapheme clusters, none of ``/ ( ) " < > \ { }``), and no control or
line-separating characters, which could break a header. Surrounding blanks are dropped.
"""

import re

import regex  # type: ignore[import-untyped]  # it ships no types

GRAPHEMES_MAX = 256
BYTES_MAX = 16 * 1024
"""A grapheme cluster may hold any number of combining marks; the whole may not."""

_FORBIDDEN = '/()"<>\\{}'
_CONTROL = regex.compile(r"[\p{Cc}\u2028\u2029]")
_SURROGATE = regex.compile(r"\p{Cs}")
# Certainly valid as it stands, which most names are: an import looks at a million of them. Says nothing of the others.
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 .,&'_-]{0,254}[A-Za-z0-9.])?")
_GRAPHEME = regex.compile(r"\X")
# Blank to a reader: white space, and formatting characters, which have no width.
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
            raise ValueError("A name may hold only whole characters.")
        text = raw.strip()
        if not _VISIBLE.search(text):
            raise ValueError("A name is needed.")
        if found := sorted(set(_FORBIDDEN) & set(text)):
            raise ValueError(f"A name may not hold {' '.join(found)}")
        if len(text.encode()) > BYTES_MAX or _count_graphemes(text) > GRAPHEMES_MAX:
            raise ValueError(f"A name may be at most {GRAPHEMES_MAX} characters long.")
        return cls(text)


def _count_graphemes(text: str) -> int:
    return sum(1 for _ in _GRAPHEME.finditer(text))
