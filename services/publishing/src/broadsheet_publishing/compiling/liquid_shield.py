"""Liquid is hidden from the parsers of Markdown, MJML, HTML and CSS, which would damage it; pure.

Each `{{ … }}`, `{% … %}` and raw block becomes an opaque word of ASCII letters and digits, which every one of those
grammars takes as a word wherever it may stand. The last step puts the author's own text back in its place.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Collection
from typing import Final, Literal

import msgspec

from broadsheet_common.mail.markup_bounds import MARKUP_CHARS_MAX
from broadsheet_publishing.compiling.compiled_issue import Fault, Field
from broadsheet_publishing.compiling.markup import Place, place_at

Kind = Literal["output", "tag", "raw", "content", "unclosed"]
"""`content`: the place of a layout. `unclosed`: two braces that begin nothing, which only code may hold."""

_OPENING: Final = re.compile(r"\{\{|\{%")
_RAW: Final = re.compile(r"\{%-?\s{0,40}raw\s{0,40}-?%\}")
_END_RAW: Final = re.compile(r"\{%-?\s{0,40}endraw\s{0,40}-?%\}")
_CONTENT: Final = re.compile(r"\{\{-?\s*content\s*-?\}\}")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_TAG_NAME: Final = re.compile(r"\{%-?\s*(\w*)")
_PREFIX_LIKE: Final = re.compile("zq+", re.IGNORECASE)
_BRACE: Final = re.compile(r"\{(?=[{%])")


class Markup(msgspec.Struct, frozen=True):
    """One piece of Liquid, and its place in its field's source. `field` None: the compiler added it."""

    kind: Kind
    text: str
    field: Field | None
    place: Place | None

    @property
    def tag_name(self) -> str:
        match = _TAG_NAME.match(self.text)
        return match[1] if match is not None and self.kind == "tag" else ""


class Covered(msgspec.Struct, frozen=True):
    """A field's text with words in the place of its Liquid. `marks`: where each word begins here and in the source."""

    field: Field
    source: str
    text: str
    numbers: tuple[int, ...]
    marks: tuple[tuple[int, int], ...]

    def place(self, index: int) -> Place:
        """The place in the source of what stands at `index` of `text`."""
        at = bisect_right(self.marks, (index, len(self.source))) - 1
        if at < 0:
            return place_at(self.source, index)
        here, there = self.marks[at]
        return place_at(self.source, min(there + index - here, len(self.source)))


class Shield:
    """The Liquid of all fields of one issue. `sources` are all texts that its words must differ from."""

    def __init__(self, *sources: str) -> None:
        longest = max((len(run) for source in sources for run in _PREFIX_LIKE.findall(source)), default=1)
        self.prefix: Final = "z" + "q" * longest
        self.word: Final = re.compile(rf"{self.prefix}(\d+)z")
        self._markups: list[Markup] = []
        self.literal: set[int] = set()
        """Numbers of those that are shown as text, in code."""

    def __getitem__(self, number: int) -> Markup:
        return self._markups[number]

    def add(self, text: str) -> str:
        """The word for Liquid that the compiler adds itself."""
        return self._add(Markup("output", text, None, None))

    def numbers_in(self, text: str) -> list[int]:
        return [int(match[1]) for match in self.word.finditer(text)]

    def cover(self, field: Field, source: str) -> Covered:
        parts: list[str] = []
        marks: list[tuple[int, int]] = []
        first = len(self._markups)
        position, length = 0, 0
        line, line_start = 1, 0
        for start, end, kind in _markups(source):
            line += source.count("\n", position, start)
            line_start = max(line_start, source.rfind("\n", position, start) + 1)
            word = self._add(Markup(kind, source[start:end], field, Place(line, start - line_start + 1)))
            line += source.count("\n", start, end)
            line_start = max(line_start, source.rfind("\n", start, end) + 1)
            parts += [source[position:start], word]
            here = length + start - position
            length = here + len(parts[-1])
            marks += [(here, start), (length, end)]
            position = end
        parts.append(source[position:])
        return Covered(field, source, "".join(parts), tuple(range(first, len(self._markups))), tuple(marks))

    def restore_html(self, text: str) -> str:
        """The HTML with its Liquid. Braces that a parser made of entities are written as entities again."""
        return self._restore(text, lambda brace: "&#123;" * len(brace), _shown_in_html)

    def restore_text(self, text: str) -> str:
        """Plain text with its Liquid."""
        return self._restore(text, lambda brace: f"{{% raw %}}{brace}{{% endraw %}}", _shown_in_text)

    def without_words(self, text: str) -> str:
        return self.word.sub("", text)

    def without_literal(self, covered: Covered) -> str:
        """The field's source with what is shown as text blanked out, so that lines stay what they are."""
        source, position, parts = covered.source, 0, []
        for number, (_, start) in zip(covered.numbers, covered.marks[::2], strict=True):
            if number in self.literal:
                shown = self._markups[number].text
                parts += [source[position:start], re.sub(r"[^\n]", " ", shown)]
                position = start + len(shown)
        return "".join([*parts, source[position:]])

    def lost(self, covered: Covered, kept: Collection[int], *, how: str) -> list[Fault]:
        """A fault for each piece of the field that is not among `kept`. `how` ends the sentence."""
        return [
            self.fault(number, "field-lost", f"`{shortened(self[number].text)}` would be lost: {how}")
            for number in covered.numbers
            if number not in kept
        ]

    def fault(self, number: int, code: str, detail: str) -> Fault:
        markup = self._markups[number]
        place = markup.place
        return Fault(
            code=code,
            field=markup.field or "content",
            detail=detail,
            line=place.line if place is not None else None,
            column=place.column if place is not None else None,
        )

    def _add(self, markup: Markup) -> str:
        self._markups.append(markup)
        return f"{self.prefix}{len(self._markups) - 1}z"

    def _restore(self, text: str, protect: Callable[[str], str], show: Callable[[str], str]) -> str:
        parts: list[str] = []
        position = 0
        for match in self.word.finditer(text):
            static = text[position : match.start()]
            ends_in_brace = static.endswith("{")
            static = _BRACE.sub(lambda brace: protect(brace[0]), static[:-1] if ends_in_brace else static)
            number = int(match[1])
            shown = self._markups[number].text
            parts += [
                static,
                protect("{") if ends_in_brace else "",
                show(shown) if number in self.literal else shown,
            ]
            position = match.end()
        parts.append(_BRACE.sub(lambda brace: protect(brace[0]), text[position:]))
        return "".join(parts)


def shortened(text: str, chars: int = 60) -> str:
    """One line of it, for a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: chars - 1]}…"


def _markups(source: str) -> list[tuple[int, int, Kind]]:
    """Start, end and kind of each piece, by the rules of `mail_template`, in one pass."""
    found: list[tuple[int, int, Kind]] = []
    position = 0
    is_endless = False
    while (opening := _OPENING.search(source, position)) is not None:
        start = opening.start()
        is_tag = opening.group() == "{%"
        closing = source.find("%}" if is_tag else "}}", opening.end(), opening.end() + MARKUP_CHARS_MAX)
        end = closing + 2
        kind: Kind = "tag" if is_tag else "output"
        if closing < 0 or _OPENING.search(_QUOTED.sub("", source[opening.end() : closing])):
            end, kind = opening.end(), "unclosed"
        elif is_tag and not is_endless and _RAW.fullmatch(source, start, end):
            raw_end = _END_RAW.search(source, end)
            # Looked for once: if there is none for this one, there is none for a later one.
            is_endless = raw_end is None
            if raw_end is not None:
                end, kind = raw_end.end(), "raw"
        elif _CONTENT.fullmatch(source, start, end):
            kind = "content"
        found.append((start, end, kind))
        position = end
    return found


def _shown_in_html(markup: str) -> str:
    return html.escape(markup).replace("{", "&#123;")


def _shown_in_text(markup: str) -> str:
    if _END_RAW.search(markup) is None:
        return f"{{% raw %}}{markup}{{% endraw %}}"
    return _OPENING.sub(lambda opening: f'{{{{ "{opening[0]}" }}}}', markup)
