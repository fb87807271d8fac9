"""MJML becomes HTML; pure. See https://documentation.mjml.io for its elements."""

import re
from bisect import bisect_right
from collections import Counter
from typing import Final

import mjml

from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.issue_source import Look
from broadsheet_publishing.compiling.liquid_shield import Covered, Shield, shortened
from broadsheet_publishing.compiling.markup import VOID, Piece, attributes_of, pieces_of

_ELEMENTS: Final = frozenset({
    "mjml", "mj-head", "mj-body", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint", "mj-font",
    "mj-html-attributes", "mj-selector", "mj-html-attribute", "mj-preview", "mj-style", "mj-title", "mj-accordion",
    "mj-accordion-element", "mj-accordion-text", "mj-accordion-title", "mj-button", "mj-carousel", "mj-carousel-image",
    "mj-column", "mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar", "mj-navbar-link", "mj-raw", "mj-section",
    "mj-social", "mj-social-element", "mj-spacer", "mj-table", "mj-text", "mj-wrapper",
})  # fmt: skip
_HOLD_TEXT: Final = frozenset({
    "mj-accordion-text", "mj-accordion-title", "mj-button", "mj-navbar-link", "mj-preview", "mj-raw",
    "mj-social-element", "mj-style", "mj-table", "mj-text", "mj-title",
})  # fmt: skip
FAULTS_MAX: Final = 20
_POSITION: Final = re.compile(r"(?: in root template)?(?: at position (\d+):\d+)?$")


class MjmlFaultError(Exception):
    """`faults` is never empty."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.detail for fault in faults))
        self.faults = faults


def html_of_mjml(covered: Covered, shield: Shield, look: Look) -> str:
    """The document, with words in the place of Liquid. A word in an attribute may come out several times: MJML writes
    some of them once for Outlook and once for the others.

    Raises:
        MjmlFaultError: it is no MJML, or Liquid would be lost or doubled.
    """
    if unknown := _unknown_elements(covered):
        raise MjmlFaultError(*unknown)
    prepared = _Prepared(covered, shield, look)
    try:
        # No fonts by themselves: each would be loaded from a third party when the mail is read.
        html = mjml.mjml2html(prepared.text, fonts={})
    except ValueError as error:
        raise MjmlFaultError(_syntax_fault(str(error), covered, prepared)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise MjmlFaultError(_syntax_fault("its parser fails on it", covered, prepared)) from error
    faults = lost_or_doubled(covered, html, shield, "MJML has no place for it here. Put it in a text or an attribute")
    if faults:
        raise MjmlFaultError(*faults)
    return html


def is_panic(error: BaseException) -> bool:
    """Whether a parser in Rust gave up. It raises a BaseException of a type that no module offers."""
    return type(error).__name__ == "PanicException"


def lost_or_doubled(covered: Covered, html: str, shield: Shield, how: str) -> list[Fault]:
    """Liquid of the field that is not in `html`, or stands there several times as text. `how` ends a sentence."""
    everywhere: set[int] = set()
    as_text: Counter[int] = Counter()
    for piece in pieces_of(html):
        numbers = shield.numbers_in(html[piece.start : piece.end])
        everywhere.update(numbers)
        inner = html[piece.inner_start : piece.inner_end]
        if piece.kind == "text" or (piece.kind == "comment" and shield.word.fullmatch(inner)):
            as_text.update(numbers)
    in_comments = {
        number
        for piece in pieces_of(covered.text)
        if piece.kind == "comment"
        for number in shield.numbers_in(covered.text[piece.start : piece.end])
    }
    faults = shield.lost(covered, everywhere | in_comments, how=f"{how}.")
    for number in covered.numbers:
        if as_text[number] > 1:
            text = shortened(shield[number].text)
            faults.append(shield.fault(number, "field-doubled", f"`{text}` would come out {as_text[number]} times."))
    return faults


class _Prepared:
    """MJML as the parser gets it: with language and direction, and with words between elements in comments."""

    def __init__(self, covered: Covered, shield: Shield, look: Look) -> None:
        source = covered.text
        parts: list[str] = []
        self._marks: list[tuple[int, int]] = []
        length = 0
        stack: list[str] = []
        for piece in pieces_of(source, is_mjml=True):
            text = source[piece.start : piece.end]
            if piece.kind == "start":
                is_closed = text.endswith("/>") or piece.name in VOID
                stack += [] if is_closed else [piece.name]
                if piece.name == "mjml":
                    there = {one.name for one in attributes_of(source, piece)}
                    own = {"lang": look.language, "dir": look.direction}
                    added = "".join(f' {name}="{value}"' for name, value in own.items() if name not in there)
                    text = f"{text[:5]}{added}{text[5:]}"
            elif piece.kind == "end" and stack:
                stack.pop()
            elif piece.kind == "text" and stack and stack[-1] in _ELEMENTS - _HOLD_TEXT:
                text = shield.word.sub(lambda word: f"<!--{word[0]}-->", text)
            self._marks.append((length, piece.start))
            parts.append(text)
            length += len(text)
        self.text = "".join(parts)

    def index_in_covered(self, bytes_before: int) -> int:
        here = len(self.text.encode()[:bytes_before].decode(errors="ignore"))
        own, there = self._marks[bisect_right(self._marks, (here, len(self.text))) - 1]
        return there + here - own


def _unknown_elements(covered: Covered) -> list[Fault]:
    """The parser passes unknown elements on, and a mail would show their content without any form."""
    faults: list[Fault] = []
    for piece in pieces_of(covered.text, is_mjml=True):
        if piece.kind == "start" and piece.name.startswith("mj-") and piece.name not in _ELEMENTS:
            how = "Put the other file's text here." if piece.name == "mj-include" else "Look at its spelling."
            detail = f"MJML has no element `<{piece.name}>` here. {how}"
            faults.append(_fault(covered, piece.start, detail, "unknown-element"))
    return faults[:FAULTS_MAX]


def _syntax_fault(said: str, covered: Covered, prepared: _Prepared) -> Fault:
    if not covered.text.strip().startswith("<mjml") and "<mjml" not in covered.text:
        return _fault(covered, 0, "MJML begins with `<mjml>` and ends with `</mjml>`.")
    found = _first_broken(covered)
    if found is not None:
        return _fault(covered, *found)
    match = _POSITION.search(said)
    reason = said[: match.start()] if match is not None else said
    if match is None or match[1] is None:
        return Fault(code="mjml-syntax", field=covered.field, detail=f"This is not valid MJML: {reason}.")
    return _fault(covered, prepared.index_in_covered(int(match[1])), f"This is not valid MJML: {reason}.")


def _first_broken(covered: Covered) -> tuple[int, str] | None:
    """The first place that breaks the rules of XML, for which the parser often has no position."""
    source = covered.text
    stack: list[tuple[str, int]] = []
    for piece in pieces_of(source, is_mjml=True):
        if piece.kind == "broken":
            return piece.start, "A tag or a comment begins here and does not end."
        if piece.kind == "text" and source[piece.start] == "<":
            return piece.start, "A `<` that begins no tag is written `&lt;`."
        if piece.kind == "start":
            if (bare := _bare_attribute(source, piece)) is not None:
                return bare
            if not source.startswith("/>", piece.end - 2) and piece.name not in VOID:
                stack.append((piece.name, piece.start))
        elif piece.kind == "end":
            name, start = stack.pop() if stack else ("", 0)
            if name != piece.name:
                return (
                    (start, f"`<{name}>` is not closed before `</{piece.name}>`.")
                    if name
                    else (
                        piece.start,
                        f"`</{piece.name}>` ends nothing.",
                    )
                )
    return (stack[-1][1], f"`<{stack[-1][0]}>` is not closed.") if stack else None


def _bare_attribute(source: str, tag: Piece) -> tuple[int, str] | None:
    for attribute in attributes_of(source, tag):
        if attribute.value is None or source[attribute.end - 1] not in "\"'":
            return attribute.start, f'In MJML, an attribute has a value in quotes: {attribute.name}="…".'
    return None


def _fault(covered: Covered, index: int, detail: str, code: str = "mjml-syntax") -> Fault:
    place = covered.place(index)
    return Fault(code=code, field=covered.field, detail=detail, line=place.line, column=place.column)
