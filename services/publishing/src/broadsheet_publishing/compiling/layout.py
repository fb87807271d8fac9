"""The layout around a Markdown issue: the newsletter's own, or the one that ships; pure."""

import html
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from liquid import BoundTemplate, Environment

from broadsheet_common.mail.mail_template import VARIABLES
from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.issue_source import CONTENT_PLACE, Layout, Look
from broadsheet_publishing.compiling.liquid_shield import Covered, Shield
from broadsheet_publishing.compiling.markup import pieces_of
from broadsheet_publishing.compiling.mjml_html import html_of_mjml

OPTIONAL_LINKS: Final = frozenset({"preferences_url", "web_url"}) & VARIABLES
"""Links of a footer that are written only where the template language has them."""
_CONTRAST_MIN: Final = 4.5
"""Of text and its background, by WCAG 2.2 (1.4.3)."""
_PAPER: Final = "#fffdf8"
_NIGHT: Final = "#211e1a"
_LIGHT: Final = "#ffffff"
_DARK: Final = "#1b1815"
_ACCENT: Final = "#7a1f1f"
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_STEPS: Final = 20

WORDS: Final[Mapping[str, str]] = {
    "why": "You get this because you subscribed to",
    "unsubscribe": "Unsubscribe",
    "preferences": "Your preferences",
    "web": "Read on the web",
}


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
        "on_accent": _best_on(on_paper),
        "night_accent": at_night,
        "on_night_accent": _best_on(at_night),
        "web": look.has_archive and "web_url" in OPTIONAL_LINKS,
        "preferences": "preferences_url" in OPTIONAL_LINKS,
        "words": dict(WORDS),
    }
    return Layout("html", _shipped().render(**{name: _without_liquid(value) for name, value in values.items()}))


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


def readable(colour: str, background: str) -> str:
    """The colour, mixed with white or black until text in it can be read on the background."""
    target = (255, 255, 255) if _luminance(_rgb(background)) < 0.5 else (0, 0, 0)  # noqa: PLR2004  # the middle
    rgb = _rgb(colour)
    for step in range(_STEPS + 1):
        share = step / _STEPS
        mixed = tuple(round(own + (other - own) * share) for own, other in zip(rgb, target, strict=True))
        if contrast(mixed, _rgb(background)) >= _CONTRAST_MIN:
            return "#{:02x}{:02x}{:02x}".format(*mixed)
    return "#{:02x}{:02x}{:02x}".format(*target)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """From 1 to 21, of two colours in sRGB (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _best_on(background: str) -> str:
    return max((_LIGHT, _DARK), key=lambda colour: contrast(_rgb(colour), _rgb(background)))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _luminance(rgb: tuple[int, ...]) -> float:
    linear = [
        share / 12.92 if (share := part / 255) <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
        for part in rgb
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


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
