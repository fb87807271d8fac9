"""Colours that are set by halves: in dark mode the mail program takes the other half; pure."""

from collections.abc import Iterator
from typing import Final

from tinycss2.color3 import parse_color

from broadsheet_publishing.checks.finding import Finding, Value
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.checks.reading.places import place_in_content
from broadsheet_publishing.compiling.issue_source import IssueSource

DARK_BACKGROUND: Final = "#121212"
DARK_TEXT: Final = "#e8e8e8"
"""What the dark preview, and so this check, takes a mail program in dark mode to have."""
CONTRAST_MIN: Final = 4.5
"""WCAG 2.2, 1.4.3, for text of usual size."""
_LINEAR_UP_TO: Final = 0.04045


def check_colours(document: MailDocument, source: IssueSource) -> Iterator[Finding]:
    """Each colour once."""
    seen: set[tuple[str, str]] = set()
    for pair in document.colours:
        if pair.text is not None and pair.background is None and ("text", pair.text) not in seen:
            seen.add(("text", pair.text))
            contrast = contrast_of(pair.text, DARK_BACKGROUND)
            place = place_in_content(source, pair.text)
            data: dict[str, Value] = {"colour": pair.text}
            if contrast is not None:
                data["contrast_in_dark"] = round(contrast, 1)
            yield Finding(
                code="colour-without-background",
                severity="warns" if contrast is not None and contrast < CONTRAST_MIN else "notes",
                detail=f"Text has the colour {pair.text} and no background of its own: dark mode puts it on black.",
                advice="Set background-color too, on the text or on what is around it.",
                field=place.field,
                line=place.line,
                column=place.column,
                data=data,
            )
        elif pair.background is not None and pair.text is None and ("background", pair.background) not in seen:
            seen.add(("background", pair.background))
            place = place_in_content(source, pair.background)
            yield Finding(
                code="background-without-colour",
                severity="notes",
                detail=f"Text on the background {pair.background} has no colour of its own: in dark mode it is white.",
                advice="Set color too, on the text or on what is around it.",
                field=place.field,
                line=place.line,
                column=place.column,
                data={"background": pair.background},
            )


def contrast_of(one: str, other: str) -> float | None:
    """WCAG's contrast of two CSS colours, 1 to 21; None if one is no colour that can be read."""
    first, second = parse_color(one), parse_color(other)
    if first is None or second is None or "currentColor" in {first, second}:
        return None
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: tuple[float, float, float, float]) -> float:
    red, green, blue = (
        part / 12.92 if part <= _LINEAR_UP_TO else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def dark_preview(html: str) -> str:
    """The mail as a program in dark mode shows it, as far as it goes: what has no colour of its own turns dark.

    Some programs also change colours that are set; no two do it alike, so this shows what holds for all.
    """
    style = f"<style>html,body{{background-color:{DARK_BACKGROUND};color:{DARK_TEXT}}}</style>"
    at = html.lower().find("<head") if html.isascii() else html.find("<head")
    end = html.find(">", at) + 1 if at >= 0 else 0
    # First in the head, so that whatever the author sets comes after it.
    if end > 0:
        return f"{html[:end]}{style}{html[end:]}"
    return f"{style}{html}"
