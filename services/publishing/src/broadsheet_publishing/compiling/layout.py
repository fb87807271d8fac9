"""The layout around a Markdown issue: the newsletter's own, or the one that ships; pure."""

import html
import re
from functools import cache
from importlib import resources
from typing import Final

from liquid import BoundTemplate, Environment

from broadsheet_common.mail.footer_words import footer_words
from broadsheet_common.mail.mail_template import VARIABLES
from broadsheet_common.mail.readable_colour import best_on, readable
from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.issue_source import CONTENT_PLACE, Layout, Look
from broadsheet_publishing.compiling.liquid_shield import Covered, Shield
from broadsheet_publishing.compiling.markup import pieces_of
from broadsheet_publishing.compiling.mjml_html import html_of_mjml

OPTIONAL_LINKS: Final = frozenset({"preferences_url", "web_url"}) & VARIABLES
"""Links of a footer that are written only where the template language has them."""
_PAPER: Final = "#fffdf8"
_NIGHT: Final = "#211e1a"
_ACCENT: Final = "#7a1f1f"
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")


def shipped_layout(look: Look) -> Layout:
    """The layout for newsletters that have none of their own."""
    accent = look.accent_colour if _COLOUR.fullmatch(look.accent_colour) else _ACCENT
    on_paper, at_night = readable(accent, _PAPER), readable(accent, _NIGHT)
    values: dict[str, object] = {
        "language": look.language,
        "direction": look.direction,
        "start": "right" if look.direction == "rtl" else "left",
        "newsletter_name": look.newsletter_name,
        "address_lines": [line.strip() for line in look.postal_address.splitlines() if line.strip()],
        "logo_url": look.logo_url,
        "logo_alt": look.logo_alt or look.newsletter_name,
        "accent": on_paper,
        "on_accent": best_on(on_paper),
        "night_accent": at_night,
        "on_night_accent": best_on(at_night),
        "web": look.has_archive and "web_url" in OPTIONAL_LINKS,
        "preferences": "preferences_url" in OPTIONAL_LINKS,
        **_words(look),
    }
    return Layout("html", _shipped().render(**{name: _without_liquid(value) for name, value in values.items()}))


def _words(look: Look) -> dict[str, object]:
    words = footer_words(look.language, look.newsletter_name)
    return {f"{name}_words": getattr(words, name) for name in words.__struct_fields__}


def layout_html(layout: Layout, covered: Covered, shield: Shield, look: Look) -> str:
    """The layout as HTML, with words in the place of its Liquid and of its content.

    Raises:
        MjmlFaultError: the layout's MJML cannot be read.
    """
    return html_of_mjml(covered, shield, look) if layout.format == "mjml" else covered.text


def faults_of_place(covered: Covered, shield: Shield) -> list[Fault]:
    """Whether the layout takes the content exactly once."""
    places = [number for number in covered.numbers if shield[number].kind == "content"]
    if not places:
        detail = f"The layout has no place for the content. Write {CONTENT_PLACE} where it belongs."
        return [Fault(code="layout-content", field="layout", detail=detail)]
    detail = f"The layout takes the content {len(places)} times. Leave one {CONTENT_PLACE}."
    return [shield.fault(number, "layout-content", detail) for number in places[1:]]


def filled(layout_html_: str, covered: Covered, shield: Shield, content: str) -> str | Fault:
    """The layout with the content in its place; a fault if that is no place for paragraphs and pictures."""
    number = next(number for number in covered.numbers if shield[number].kind == "content")
    in_head = False
    for piece in pieces_of(layout_html_):
        if piece.name == "head":
            in_head = piece.kind == "start"
        text = layout_html_[piece.start : piece.end]
        if piece.kind == "text" and not in_head and number in shield.numbers_in(text):
            word = next(word for word in shield.word.finditer(text) if int(word[1]) == number)
            start, end = piece.start + word.start(), piece.start + word.end()
            return f"{layout_html_[:start]}{content}{layout_html_[end:]}"
    how = "In MJML, that is in <mj-text> or <mj-raw>; in HTML, in <td> or <div>."
    return shield.fault(number, "layout-content", f"{CONTENT_PLACE} must stand where text may stand. {how}")


def _without_liquid(value: object) -> object:
    """Texts of a look are no templates: their braces become entities."""
    if isinstance(value, str):
        return _Escaped(html.escape(value).replace("{", "&#123;"))
    return [_without_liquid(one) for one in value] if isinstance(value, list) else value


class _Escaped(str):
    """HTML. The engine asks for it by this method and does not escape it again."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@cache
def _shipped() -> BoundTemplate:
    source = resources.files(__package__ or "").joinpath("layouts/broadsheet.html").read_text(encoding="utf-8")
    # Other signs than those of the mail's own Liquid, which must stay in it.
    environment = Environment(
        autoescape=True,
        tag_start_string="[%",
        tag_end_string="%]",
        statement_start_string="[[",
        statement_end_string="]]",
    )
    return environment.from_string(source)
