"""Pictures: whether they show, and what is seen where they do not; and content that mail programs remove. Pure."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.links.link import plain
from broadsheet_publishing.checks.reading.liquid_markup import Shielded
from broadsheet_publishing.checks.reading.mail_document import Image, MailDocument
from broadsheet_publishing.checks.reading.markdown_source import pictures_without_words
from broadsheet_publishing.checks.reading.notation import Notation, notation_of_image
from broadsheet_publishing.checks.reading.places import place_in_content
from broadsheet_publishing.compiling.issue_source import IssueSource

IMAGES_MANY: Final = 30
_NUMERIC: Final = re.compile(r"\s*[1-9][0-9]{0,4}\s*")

_DETAILS: Final[dict[str, str]] = {
    "image-without-alt": "The picture '{}' has no alternative text. Many readers see no pictures, or hear the mail.",
    "image-width-not-numeric": (
        "The picture '{}' has no width as a number. Outlook then shows it in its own size, which may be huge."
    ),
    "image-address-broken": "The picture '{}' has no address that works in a mail.",
    "image-inline-data": (
        "A picture stands in the mail itself (data:). Gmail and Outlook do not show it, and the mail grows."
    ),
    "image-over-http": "The picture '{}' is not encrypted: some mail programs do not show it.",
}
_ADVICE: Final[dict[str, str]] = {
    "image-address-broken": "Upload it somewhere, and write its whole address, which begins with https://.",
    "image-inline-data": "Upload it somewhere, and write its address.",
    "image-over-http": "Use https://.",
}
_ADVICE_BY_NOTATION: Final[dict[str, dict[Notation, str]]] = {
    "image-without-alt": {
        "markdown": "Describe it between the brackets: ![A quiet harbour](https://…). One that says nothing is written "
        'as <img src="https://…" alt="">.',
        "mjml": 'Describe it: <mj-image alt="A quiet harbour">; for a picture that says nothing, write alt="".',
        "html": 'Describe it: <img alt="A quiet harbour">; for a picture that says nothing, write alt="".',
    },
    "image-width-not-numeric": {
        "markdown": "Write the width in pixels after it, without a blank: ![A quiet harbour](https://…){width=540}.",
        "mjml": 'Write the width in pixels: <mj-image width="540px">.',
        "html": 'Write the width in pixels and nothing else: <img width="540">.',
    },
}
"""Where it depends on what the picture is written in."""


def check_images(document: MailDocument, liquid: Shielded, source: IssueSource) -> Iterator[Finding]:
    for image in document.images:
        for code, severity in _faults(image, liquid):
            yield _finding(code, severity, image, liquid, source)
    if len(document.images) > IMAGES_MANY:
        yield Finding(
            code="images-many",
            severity="notes",
            detail=f"The mail has {len(document.images)} pictures: it loads slowly, and filters are suspicious of it.",
            advice="Leave some out.",
            field="content",
            data={"count": len(document.images)},
        )


def check_pictures_of_markdown(source: IssueSource) -> Iterator[Finding]:
    """`![](…)` makes an empty alternative text, as if the picture said nothing. More likely it was forgotten: who means
    it writes HTML.
    """
    if source.format != "markdown":
        return
    for address in pictures_without_words(source.content):
        place = place_in_content(source, address)
        yield Finding(
            code="image-without-alt",
            severity="warns",
            detail=_DETAILS["image-without-alt"].format(address[:200]),
            advice=_ADVICE_BY_NOTATION["image-without-alt"]["markdown"],
            field=place.field,
            line=place.line,
            column=place.column,
            data={"src": address},
        )


def _faults(image: Image, liquid: Shielded) -> Iterator[tuple[str, Literal["blocks", "warns"]]]:
    attributes = image.attributes
    address = plain(attributes.get("src") or "")
    lowered = address.lower()
    if lowered.startswith("data:"):
        yield "image-inline-data", "warns"
    elif lowered.startswith("http://"):
        yield "image-over-http", "warns"
    elif not (lowered.startswith("https://") and len(address) > len("https://")) and not lowered.startswith(
        liquid.prefix
    ):
        yield "image-address-broken", "blocks"
    if "alt" not in attributes:
        yield "image-without-alt", "warns"
    width = attributes.get("width") or ""
    if not _NUMERIC.fullmatch(width) and next(liquid.in_text(width), None) is None:
        yield "image-width-not-numeric", "warns"


def _finding(
    code: str, severity: Literal["blocks", "warns"], image: Image, liquid: Shielded, source: IssueSource
) -> Finding:
    address = liquid.readable((image.attributes.get("src") or "")[:200])
    by_notation = _ADVICE_BY_NOTATION.get(code)
    advice = _ADVICE[code] if by_notation is None else by_notation[notation_of_image(source, address)]
    place = place_in_content(source, address, liquid.without_marks(address))
    return Finding(
        code=code,
        severity=severity,
        detail=_DETAILS[code].format(address),
        advice=advice,
        field=place.field,
        line=place.line,
        column=place.column,
        data={"src": address},
    )


def check_active_content(document: MailDocument, source: IssueSource) -> Iterator[Finding]:
    for name in sorted(set(document.active)):
        place = place_in_content(source, name.rstrip(">"))
        yield Finding(
            code="active-content",
            severity="warns",
            detail=f"Mail programs remove {name}, and filters may take the mail for an attack.",
            advice="Remove it.",
            field=place.field,
            line=place.line,
            column=place.column,
            data={"name": name},
        )
