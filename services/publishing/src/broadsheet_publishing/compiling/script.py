"""What would run script: elements, handlers and addresses that no mail program keeps and no page may show; pure.

It tells an author what is never right in a mail. It is no sanitiser: what is shown on the web is sanitised there.
"""

import re
from collections.abc import Callable
from typing import Final

from broadsheet_publishing.compiling.compiled_issue import Fault, Field
from broadsheet_publishing.compiling.liquid_shield import Covered, Markup, Shield, shortened
from broadsheet_publishing.compiling.markup import Attribute, Piece, Place, all_pieces_of, attributes_of, is_outlooks

FAULTS_MAX: Final = 20
_HANDLER: Final = re.compile(r"on[a-z]")
_ADDRESSES: Final = frozenset({
    "action", "background", "background-url", "cite", "data", "formaction", "from", "href", "longdesc", "lowsrc",
    "poster", "src", "srcdoc", "to", "values", "xlink:href",
})  # fmt: skip
_SHOWS_PICTURES: Final = frozenset({"background", "background-url", "poster", "src"})
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):")
_IGNORED_IN_ADDRESSES: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u200b\ufeff]+")
_RUNS_SCRIPT: Final = frozenset({"javascript", "vbscript", "livescript", "mocha"})
_IN_STYLE: Final = re.compile(
    r"(?:java|vb)script\s*:|expression\s*\(|-moz-binding\s*:|behavior\s*:\s*url", re.IGNORECASE
)
_IN_LIQUID: Final = re.compile(r"<\s*/?\s*script\b|(?:java|vb)script\s*:|<[^>]*\son[a-z]+\s*=", re.IGNORECASE)
_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)

PlaceOf = Callable[[int], Place | None]


def runs_script(address: str, *, shows_picture: bool = False) -> bool:
    """Whether the address of a link or a picture is code instead of a place."""
    scheme = _SCHEME.match(_IGNORED_IN_ADDRESSES.sub("", address).lower())
    if scheme is None:
        return False
    if scheme[1] == "data":
        return not (shows_picture and _IGNORED_IN_ADDRESSES.sub("", address).lower().startswith("data:image/"))
    return scheme[1] in _RUNS_SCRIPT


def script_in_covered(covered: Covered, shield: Shield, *, is_mjml: bool = False) -> list[Fault]:
    return script_in(covered.text, shield, covered.field, covered.place, is_mjml=is_mjml)


def script_in(text: str, shield: Shield, field: Field, place_of: PlaceOf, *, is_mjml: bool = False) -> list[Fault]:
    """Faults of code `script`, at most `FAULTS_MAX`. `text` has words in the place of its Liquid."""
    faults: list[Fault] = []
    _look(text, shield, faults, lambda index, detail: script_fault(field, place_of(index), detail), is_mjml=is_mjml)
    return faults[:FAULTS_MAX]


def script_in_liquid(shield: Shield, covered: Covered) -> list[Fault]:
    """Script in the texts of the field's own Liquid, such as `{{ "<script>" }}`."""
    return [
        script_fault(covered.field, _place(shield[number]), f"`{shortened(shield[number].text)}` holds script")
        for number in covered.numbers
        if number not in shield.literal and _IN_LIQUID.search(shield[number].text)
    ][:FAULTS_MAX]


def script_fault(field: Field, place: Place | None, what: str) -> Fault:
    return Fault(
        code="script",
        field=field,
        detail=f"{what}. No mail program runs script: take it out.",
        line=place.line if place is not None else None,
        column=place.column if place is not None else None,
    )


def _place(markup: Markup) -> Place | None:
    return markup.place


def _look(
    text: str, shield: Shield, faults: list[Fault], fault: Callable[[int, str], Fault], *, is_mjml: bool = False
) -> None:
    for piece in all_pieces_of(text, is_mjml=is_mjml):
        if len(faults) >= FAULTS_MAX:
            return
        if piece.kind == "comment" and is_outlooks(text, piece):
            inner = text[piece.inner_start : piece.inner_end]
            start = piece.inner_start
            _look(inner, shield, faults, lambda index, what, start=start: fault(start + index, what))  # type: ignore[misc]
        elif piece.kind == "raw" and _runs_in_style(text[piece.start : piece.end]):
            faults.append(fault(piece.start, "A style sheet holds script"))
        elif piece.kind == "start" and piece.name.rpartition(":")[2] == "script":
            faults.append(fault(piece.start, "There is a `<script>`"))
        elif piece.kind == "start":
            faults += [
                fault(attribute.start, what)
                for attribute in attributes_of(text, piece)
                if (what := _fault_of(piece, attribute, shield)) is not None
            ]


def _fault_of(tag: Piece, attribute: Attribute, shield: Shield) -> str | None:
    name = shield.without_words(attribute.name)
    if _HANDLER.match(name):
        return f"`{shortened(name)}` of `<{tag.name}>` runs script"
    if attribute.value is None:
        return None
    if name == "style":
        return f"The style of `<{tag.name}>` holds script" if _runs_in_style(attribute.text) else None
    address = shield.without_words(attribute.text)
    if name == "content" and tag.name == "meta":
        address = address.rpartition("=")[2].strip("'\"")
    elif name not in _ADDRESSES:
        return None
    if name == "srcdoc" or runs_script(address, shows_picture=name in _SHOWS_PICTURES and tag.name != "iframe"):
        return f"`{name}` of `<{tag.name}>` runs script: `{shortened(address)}`"
    return None


def _runs_in_style(css: str) -> bool:
    return _IN_STYLE.search(_CSS_COMMENT.sub("", css)) is not None
