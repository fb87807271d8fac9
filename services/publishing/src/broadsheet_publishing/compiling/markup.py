"""Where the tags, comments and texts of HTML or MJML stand, and how deeply it is nested; pure.

One pass with the tokenizer's rules of the HTML standard (https://html.spec.whatwg.org/#tokenization). No tree is built,
so that broken or deep markup takes linear time and no stack. It is used where a parser's tree would not do: to know the
place in the author's own text, and to measure a text before a parser sees it.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal

import msgspec

Kind = Literal["start", "end", "text", "raw", "comment", "declaration", "broken"]

_SPACE: Final = r"[ \t\n\f\r]"
_VALUE: Final = r"""(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r"'>][^ \t\n\f\r>]*+|(?=>))"""
_NAME: Final = r"[^ \t\n\f\r/>][^ \t\n\f\r/>=]*+"
_ATTRIBUTE: Final = rf"{_NAME}(?:{_SPACE}*+={_SPACE}*+{_VALUE}|(?!{_SPACE}*+=))"
# It fails only if the text ends within the tag.
_TAG: Final = re.compile(rf"<(/?)([a-zA-Z][^ \t\n\f\r/>]*+)((?:[ \t\n\f\r/]++|{_ATTRIBUTE})*+)>")
_ATTRIBUTES: Final = re.compile(rf"({_NAME})(?:{_SPACE}*+={_SPACE}*+({_VALUE}))?")
_COMMENT_END: Final = re.compile("--!?>")
_EMPTY_COMMENT: Final = re.compile("<!--(?:-?>)")
_OUTLOOK_COMMENT: Final = re.compile(r"\s*\[if\b", re.IGNORECASE)

VOID: Final = frozenset({
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link",
    "meta", "param", "source", "track", "wbr",
})  # fmt: skip
_RAW_TEXT: Final = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
_MJML_RAW_TEXT: Final = frozenset({"mj-style", "style"})
_FOREIGN: Final = frozenset({"svg", "math"})
_CLOSED_BY_ITS_LIKE: Final = {
    "p": frozenset({"p"}), "li": frozenset({"li"}), "td": frozenset({"td", "th"}), "th": frozenset({"td", "th"}),
    "tr": frozenset({"td", "th", "tr"}), "dt": frozenset({"dt", "dd"}), "dd": frozenset({"dt", "dd"}),
    "option": frozenset({"option"}),
}  # fmt: skip
"""Elements whose end tag may be left out, and what the next one of them ends."""
_FORMATTING: Final = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})  # fmt: skip
"""A parser opens these again in the next element if they were not closed."""


class Piece(msgspec.Struct, frozen=True):
    """A part of the text, `source[start:end]`. Tags have a `name` in lower case, and `inner_start` and `inner_end`
    around their attributes; so have comments, around what they say. `raw` is the text in an element like `style`, whose
    name is `name`.
    """

    kind: Kind
    start: int
    end: int
    name: str = ""
    inner_start: int = 0
    inner_end: int = 0


class Attribute(msgspec.Struct, frozen=True):
    """`name` in lower case. `value` is as written, without its quotes; None if there is none. Indexes are of the
    whole attribute in the text.
    """

    name: str
    value: str | None
    start: int
    end: int

    @property
    def text(self) -> str:
        """The value with its entities decoded."""
        return html.unescape(self.value or "")


class Place(msgspec.Struct, frozen=True):
    """Line and column in a text, from 1."""

    line: int
    column: int


def place_at(source: str, index: int) -> Place:
    return Place(source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index))


def pieces_of(source: str, *, is_mjml: bool = False) -> Iterator[Piece]:
    """All of the text, in order and without gaps. A tag or a comment that never ends is `broken`, up to the end."""
    raw_names = _MJML_RAW_TEXT if is_mjml else _RAW_TEXT
    position, foreign = 0, 0
    while position < len(source):
        opening = source.find("<", position)
        if opening < 0:
            opening = len(source)
        if opening > position:
            yield Piece("text", position, opening)
        if opening == len(source):
            return
        piece = _markup_at(source, opening)
        yield piece
        position = piece.end
        if piece.name in _FOREIGN:
            foreign = max(0, foreign + (1 if piece.kind == "start" else -1))
        if piece.kind == "start" and piece.name in raw_names and not foreign:
            end = _raw_end(piece.name).search(source, position)
            until = end.start() if end is not None else len(source)
            if until > position or end is None:
                yield Piece("raw", position, until, piece.name)
            position = until
        elif piece.kind == "start" and piece.name == "plaintext" and not is_mjml:
            yield Piece("raw", position, len(source), piece.name)
            return


@lru_cache(maxsize=2)
def all_pieces_of(source: str, *, is_mjml: bool = False) -> tuple[Piece, ...]:
    """As `pieces_of`, for a text that several look at from end to end: it is read once."""
    return tuple(pieces_of(source, is_mjml=is_mjml))


def attributes_of(source: str, tag: Piece) -> list[Attribute]:
    return [_attribute(match) for match in _ATTRIBUTES.finditer(source, tag.inner_start, tag.inner_end)]


def is_outlooks(source: str, comment: Piece) -> bool:
    """Whether Outlook reads what the comment holds, `<!--[if mso]>…<![endif]-->`."""
    return _OUTLOOK_COMMENT.match(source, comment.inner_start, comment.inner_end) is not None


def find_too_deep(source: str, depth_max: int, *, is_mjml: bool = False) -> int | None:
    """The index of the first tag that a parser would nest deeper than `depth_max`; None if there is none.

    It rather counts too many: elements that are never closed count, and formatting that a parser would open again.
    """
    stack: list[str] = []
    is_open: Counter[str] = Counter()
    lingering: Counter[str] = Counter()
    lingering_count = 0
    for piece in all_pieces_of(source, is_mjml=is_mjml):
        name = piece.name
        if piece.kind == "start":
            if name in VOID or (is_mjml and source[piece.end - 2] == "/"):
                continue
            while stack and stack[-1] in _CLOSED_BY_ITS_LIKE.get(name, ()):
                is_open[stack.pop()] -= 1
            stack.append(name)
            is_open[name] += 1
            if len(stack) + lingering_count > depth_max:
                return piece.start
        elif piece.kind == "end" and is_open[name]:
            while (top := stack.pop()) != name:
                is_open[top] -= 1
                if top in _FORMATTING:
                    lingering[top] += 1
                    lingering_count += 1
            is_open[name] -= 1
        elif piece.kind == "end" and lingering[name]:
            lingering[name] -= 1
            lingering_count -= 1
    return None


def _attribute(match: re.Match[str]) -> Attribute:
    value = match[2]
    if value and value[0] in "\"'":
        value = value[1:-1]
    return Attribute(match[1].lower(), value, match.start(), match.end())


def _markup_at(source: str, start: int) -> Piece:
    """What begins with the `<` at `start`."""
    if source.startswith("<!--", start):
        if (empty := _EMPTY_COMMENT.match(source, start)) is not None:
            return Piece("comment", start, empty.end(), "", start + 4, start + 4)
        end = _COMMENT_END.search(source, start + 4)
        if end is None:
            return Piece("broken", start, len(source))
        return Piece("comment", start, end.end(), "", start + 4, end.start())
    following = source[start + 1 : start + 2]
    letter = source[start + 2 : start + 3] if following == "/" else following
    if letter.isascii() and letter.isalpha():
        tag = _TAG.match(source, start)
        if tag is None:
            return Piece("broken", start, len(source))
        return Piece("end" if tag[1] else "start", start, tag.end(), tag[2].lower(), tag.start(3), tag.end(3))
    if following in {"!", "?"} or (following == "/" and letter):
        closing = source.find(">", start)
        if closing < 0:
            return Piece("broken", start, len(source))
        return Piece("declaration", start, closing + 1, "", start + 2, closing)
    return Piece("text", start, start + 1)


_RAW_ENDS: Final = {
    name: re.compile(rf"</{name}(?=[ \t\n\f\r/>])", re.IGNORECASE | re.ASCII) for name in _RAW_TEXT | _MJML_RAW_TEXT
}


def _raw_end(name: str) -> re.Pattern[str]:
    return _RAW_ENDS[name]
