"""A whole HTML document becomes the HTML of a mail: its style sheets inlined, its language and preheader set; pure.

A parser of HTML moves text that stands where no text belongs (between rows, before the body), sorts attributes and
drops what it cannot read in a style. So what is hidden from it takes the form that it keeps in each place: a comment
between elements, one attribute for whatever is conditional in a tag, a style of its own. Afterwards all of it must be
where it was, in the same order.
"""

import html
import re
from functools import cache
from itertools import pairwise
from typing import Final

import css_inline

from broadsheet_common.mail.notice_frame import PREVIEW_PADDING
from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.issue_source import Look
from broadsheet_publishing.compiling.liquid_shield import Shield, shortened
from broadsheet_publishing.compiling.markup import VOID, Attribute, Piece, all_pieces_of, attributes_of, pieces_of

_HIDDEN: Final = (
    "display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all"
)
_TITLE: Final = "{{ issue.title }}"
_PLAIN_FIELD: Final = re.compile(r"\{\{-?\s*[\w.]+\s*-?\}\}")
_OPENERS: Final = frozenset({"if", "unless", "case"})
_OF_HEADS: Final = frozenset({"base", "link", "meta", "noscript", "style", "title"})
_IGNORE: Final = ' data-css-inline="ignore"'
_HAS_STYLE: Final = re.compile(r"\bstyle\s*=", re.IGNORECASE)
_STYLE: Final = "style="


class InlineFaultError(Exception):
    """The parser of HTML or CSS refused the document; the text says why."""


class HtmlDocument:
    """An HTML document with words in the place of its Liquid, on its way through css-inline."""

    def __init__(self, source: str, shield: Shield) -> None:
        self._shield = shield
        # What is hidden in addition to Liquid: parts of tags, and Outlook's conditions.
        self._hidden: list[str] = []
        self._prefix = f"{shield.prefix}h"
        self.faults: list[Fault] = []
        self._before = self._numbers_outside_styles(source)
        self.inlined = self._inlined(self._prepared(_with_body(source)))

    def finished(self, preheader: str, look: Look) -> str:
        """The document, still with words for its Liquid. `preheader` is HTML."""
        text = self._uncovered(_with_title(_with_language(self.inlined, look), self._shield))
        if preheader:
            shown = f'<div style="{_HIDDEN}">{preheader}</div>'
            if not all(_PLAIN_FIELD.fullmatch(self._shield[number].text) for number in self._shield.numbers_in(shown)):
                # Delivery then looks at this part of each mail. Otherwise it would look at each whole mail, because
                # what is computed within a hidden element might end it.
                shown = f"{self._shield.add('{% if true %}')}{shown}{self._shield.add('{% endif %}')}"
            text = _after_body_tag(text, f'{shown}<div style="{_HIDDEN}">{PREVIEW_PADDING}</div>')
        return text if _has_doctype(text) else f"<!DOCTYPE html>\n{text}"

    def for_text(self) -> str:
        """The document for the plain text: without the preheader, words alone in comments."""
        return self._uncovered(self.inlined, keep_comments=True)

    def fragment(self) -> str:
        """What the document's head and body hold, for a place in another document."""
        text = self._uncovered(self.inlined)
        return "".join(_inner(text, name) for name in ("head", "body"))

    def check(self) -> list[Fault]:
        """What the parser lost, doubled, moved or tore apart."""
        return self.faults or self._moved() or self._torn()

    # What the parser must not see

    def _prepared(self, source: str) -> str:
        if self._shield.word.search(source) is None and "<![" not in source:
            return source
        parts: list[str] = []
        for piece in all_pieces_of(source):
            text = source[piece.start : piece.end]
            if piece.kind == "text":
                text = self._shield.word.sub(lambda word: f"<!--{word[0]}-->", text)
            elif piece.kind == "declaration" and text.startswith("<!["):
                text = f"<!--{self._hide(text)}-->"
            elif piece.kind == "start" and self._shield.prefix in text:
                text = self._prepared_tag(source, piece)
            if piece.kind == "raw" and piece.name == "style" and self._shield.word.search(text):
                parts[-1] = f"{parts[-1][:-1].rstrip('/')}{_IGNORE}>"
            parts.append(text)
        return "".join(parts)

    def _prepared_tag(self, source: str, tag: Piece) -> str:
        attributes = attributes_of(source, tag)
        loose = [at for at, attribute in enumerate(attributes) if self._shield.word.search(attribute.name)]
        hidden: dict[int, str] = {}
        if loose:
            first, last = attributes[loose[0]], attributes[loose[-1]]
            region = source[first.start : last.end]
            if len(loose) > 1 and _HAS_STYLE.search(self._shield.word.sub(" ", region)):
                number = self._shield.numbers_in(first.name)[0]
                self.faults.append(
                    self._shield.fault(
                        number,
                        "conditional-style",
                        f"`{shortened(self._shield[number].text)}` stands around a `style`. Put it inside: "
                        'style="{% if … %}…{% endif %}".',
                    )
                )
            hidden = dict.fromkeys(range(loose[0], loose[-1] + 1), "")
            hidden[loose[0]] = self._hide(region)
        end = "/>" if source[tag.end - 2] == "/" else ">"
        written = [hidden.get(at, self._attribute(source, one)) for at, one in enumerate(attributes)]
        return f"<{source[tag.start + 1 : tag.inner_start]} {' '.join(filter(None, written))}{end}"

    def _attribute(self, source: str, attribute: Attribute) -> str:
        text = source[attribute.start : attribute.end]
        if attribute.name == "style" and self._shield.word.search(text):
            return self._hide(f"{_STYLE}{attribute.value}")
        return text

    def _hide(self, text: str) -> str:
        self._hidden.append(text)
        return f"{self._prefix}{len(self._hidden) - 1}z"

    def _inlined(self, prepared: str) -> str:
        try:
            return _inliner().inline(prepared)
        except css_inline.InlineError as error:
            raise InlineFaultError(str(error)) from error

    # What comes back

    def _uncovered(self, inlined: str, *, keep_comments: bool = False) -> str:
        text = inlined.replace(_IGNORE, "")
        if self._hidden:
            if any(hidden.startswith(_STYLE) for hidden in self._hidden):
                text = self._with_own_styles(text)
            text = re.sub(rf'<!--{self._prefix}(\d+)z-->|{self._prefix}(\d+)z(?:="")?', self._shown, text)
        if keep_comments:
            return text
        return re.sub(rf"<!--({self._shield.prefix}\d+z)-->", r"\1", text)

    def _shown(self, match: re.Match[str]) -> str:
        return self._hidden[int(match[1] or match[2])]

    def _with_own_styles(self, text: str) -> str:
        """A style that was hidden follows what style sheets gave the element, in one attribute."""
        parts: list[str] = []
        for piece in pieces_of(text):
            written = text[piece.start : piece.end]
            if piece.kind == "start" and self._prefix in written:
                written = self._with_own_style(text, piece)
            parts.append(written)
        return "".join(parts)

    def _with_own_style(self, text: str, tag: Piece) -> str:
        attributes = attributes_of(text, tag)
        hidden = {at: self._hidden_style(one) for at, one in enumerate(attributes)}
        own = next((style for style in hidden.values() if style is not None), None)
        if own is None:
            return text[tag.start : tag.end]
        given = next((one.value for one in attributes if one.name == "style" and one.value), "").rstrip("; ")
        kept = [
            text[one.start : one.end] for at, one in enumerate(attributes) if hidden[at] is None and one.name != "style"
        ]
        style = ";".join(filter(None, (given, own))).replace('"', "&quot;")
        return f'<{tag.name} {" ".join([*kept, ""])}style="{style}">'

    def _hidden_style(self, attribute: Attribute) -> str | None:
        match = re.fullmatch(rf"{self._prefix}(\d+)z", attribute.name)
        shown = self._hidden[int(match[1])] if match is not None else ""
        return shown.removeprefix(_STYLE) if shown.startswith(_STYLE) else None

    def _numbers_outside_styles(self, text: str) -> list[int]:
        if self._shield.word.search(text) is None:
            return []
        return [
            number
            for piece in all_pieces_of(text)
            if not (piece.kind == "raw" and piece.name == "style")
            for number in self._shield.numbers_in(text[piece.start : piece.end])
        ]

    def _moved(self) -> list[Fault]:
        after = self._numbers_outside_styles(self._uncovered(self.inlined))
        if after == self._before:
            return []
        kept = set(after)
        lost = [number for number in self._before if number not in kept]
        if lost:
            return [self._at_fault(number, "field-lost", "would be lost") for number in lost]
        moved = next((old for old, new in zip(self._before, after, strict=False) if old != new), self._before[-1])
        return [self._at_fault(moved, "field-moved", "would come out elsewhere")]

    def _at_fault(self, number: int, code: str, what: str) -> Fault:
        text = shortened(self._shield[number].text)
        return self._shield.fault(
            number, code, f"`{text}` {what}: HTML has no place for it here. Put it in a text or in a value in quotes."
        )

    def _torn(self) -> list[Fault]:
        """Conditions whose branches do not hold whole elements: the parser closed what a branch left open."""
        if not any(self._shield[number].tag_name in _OPENERS for number in self._before):
            return []
        parents = _parents(self.inlined, self._shield)
        faults: list[Fault] = []
        open_blocks: list[int] = []
        for number, parent in parents.items():
            name = self._shield[number].tag_name
            if name in _OPENERS:
                open_blocks.append(number)
            elif open_blocks and (name.startswith("end") or name in {"else", "elsif", "when"}):
                opener = open_blocks[-1]
                if parents[opener] != parent:
                    faults.append(
                        self._shield.fault(
                            number,
                            "unbalanced-block",
                            f"Between `{shortened(self._shield[opener].text)}` and "
                            f"`{shortened(self._shield[number].text)}`, an element is opened and not closed, or closed "
                            "and not opened. Each branch must hold whole elements (in Markdown, whole paragraphs).",
                        )
                    )
                if name.startswith("end"):
                    open_blocks.pop()
        return faults


def _with_body(source: str) -> str:
    """A document without `<body>` gets it where its content begins. A parser would begin it later, after Liquid."""
    content_at: int | None = None
    in_head = False
    for piece in all_pieces_of(source):
        if piece.kind in {"start", "end"} and piece.name in {"head", "html"}:
            in_head = piece.name == "head" and piece.kind == "start"
        elif piece.kind == "start" and piece.name in {"body", "frameset"}:
            return source
        elif content_at is None and not in_head and _is_content(source, piece):
            content_at = piece.start
    return source if content_at is None else f"{source[:content_at]}<body>{source[content_at:]}"


def _is_content(source: str, piece: Piece) -> bool:
    if piece.kind == "declaration":
        return source.startswith("<![", piece.start)
    if piece.kind == "text":
        return not source[piece.start : piece.end].isspace()
    return piece.kind == "start" and piece.name not in _OF_HEADS


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(
        # A style sheet is loaded from nowhere: neither from the network nor from a file.
        load_remote_stylesheets=False,
        keep_link_tags=True,
        # What cannot be inlined stays: @media, :hover, selectors for some mail programs.
        keep_style_tags=True,
        keep_at_rules=True,
        remove_inlined_selectors=True,
        # Outlook reads the attribute and not the style.
        apply_width_attributes=True,
    )


def _parents(text: str, shield: Shield) -> dict[int, int]:
    """For each word that stands between elements: the index of the element around it. `text` comes from a parser, so
    that every element is closed.
    """
    stack = [-1]
    parents: dict[int, int] = {}
    for piece in pieces_of(text):
        if piece.kind == "start" and piece.name not in VOID:
            stack.append(piece.start)
        elif piece.kind == "end" and len(stack) > 1:
            stack.pop()
        elif piece.kind in {"comment", "text"}:
            parents |= dict.fromkeys(shield.numbers_in(text[piece.start : piece.end]), stack[-1])
    return parents


def _inner(text: str, name: str) -> str:
    """What the element holds. `text` comes from a parser, so that it is there once and has an end."""
    start = next((piece.end for piece in pieces_of(text) if piece.kind == "start" and piece.name == name), None)
    return "" if start is None else text[start : text.rfind(f"</{name}>")]


def _has_doctype(text: str) -> bool:
    declarations = (text[one.start : one.end] for one in pieces_of(text) if one.kind == "declaration")
    return next(declarations, "").lower().startswith("<!doctype")


def _with_language(text: str, look: Look) -> str:
    for piece in pieces_of(text):
        if piece.kind == "start" and piece.name == "html":
            there = {attribute.name for attribute in attributes_of(text, piece) if attribute.text}
            added = [
                f' {name}="{html.escape(value)}"'
                for name, value in (("lang", look.language), ("dir", look.direction))
                if name not in there
            ]
            return f"{text[: piece.inner_start]}{''.join(added)}{text[piece.inner_start :]}"
    return text


def _with_title(text: str, shield: Shield) -> str:
    """A document without a title gets the issue's."""
    pieces = pieces_of(text)
    for piece, following in pairwise(pieces):
        if piece.kind == "start" and piece.name == "title":
            if following.kind == "raw" and text[following.start : following.end].strip():
                return text
            after = following.end if following.kind == "raw" else following.start
            return f"{text[: piece.end]}{shield.add(_TITLE)}{text[after:]}"
        if piece.kind == "end" and piece.name == "head":
            return f"{text[: piece.start]}<title>{shield.add(_TITLE)}</title>{text[piece.start :]}"
    return text


def _after_body_tag(text: str, added: str) -> str:
    for piece in pieces_of(text):
        if piece.kind == "start" and piece.name == "body":
            return f"{text[: piece.end]}{added}{text[piece.end :]}"
    return f"{added}{text}"
