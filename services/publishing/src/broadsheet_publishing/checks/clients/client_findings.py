"""What of a mail's CSS and HTML mail programs drop: one finding for each feature; pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from broadsheet_publishing.checks.clients.client_support import Feature, Kind, by_name
from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.reading.liquid_markup import Shielded
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.checks.reading.places import place_in_content
from broadsheet_publishing.checks.reading.style import Style
from broadsheet_publishing.compiling.issue_source import IssueSource

NOTED_SHARE_MIN: Final = 0.02
WARNED_SHARE_MIN: Final = 0.25
_ONLY_NOTED: Final[frozenset[Kind]] = frozenset({"pseudo", "media", "at-rule", "attribute"})
"""A mail without them is as it would be without: nothing of it is lost."""


def check_clients(document: MailDocument, liquid: Shielded, source: IssueSource) -> Iterator[Finding]:
    used = Counter(_used(document, liquid))
    features: dict[str, tuple[Feature, str, int]] = {}
    for (kind, name), count in used.items():
        feature = by_name().get((kind, name))
        if feature is not None:
            _, first, total = features.get(feature.slug, (feature, name, 0))
            features[feature.slug] = (feature, first, total + count)
    for feature, name, count in sorted(features.values(), key=lambda one: (-one[0].share, one[0].slug)):
        if feature.share < NOTED_SHARE_MIN:
            continue
        if source.format == "mjml" and name.partition(":")[0] not in source.content:
            # MJML itself wrote it, and knows how to do without.
            continue
        place = place_in_content(source, name.partition(":")[0])
        is_warned = feature.share >= WARNED_SHARE_MIN and feature.kind not in _ONLY_NOTED
        yield Finding(
            code="client-support",
            severity="warns" if is_warned else "notes",
            detail=f"{feature.title} is dropped by mail programs of about {feature.share:.0%} of readers.",
            advice=f"See that the mail is fine without it. {feature.page}",
            field=place.field,
            line=place.line,
            column=place.column,
            data={
                "feature": feature.slug,
                "share": round(feature.share, 3),
                "count": count,
                "dropped_by": feature.dropped_by,
                "page": feature.page,
            },
        )


def _used(document: MailDocument, liquid: Shielded) -> Iterator[tuple[Kind, str]]:
    for element in document.elements:
        yield "element", element.tag
        for name in element.attributes:
            yield "attribute", name
    for style in document.styles():
        yield from _used_in_style(style)
    for sheet in document.sheets:
        for name in sheet.at_rules:
            yield "at-rule", name
        for name in sheet.media_features:
            yield "media", name
        for name in sheet.pseudo:
            yield "pseudo", name
    for image in document.images:
        address = liquid.without_marks(image.attributes.get("src") or "")[:2_000]
        if not address.lower().startswith("data:"):
            yield "image", _ending(address)


def _used_in_style(style: Style) -> Iterator[tuple[Kind, str]]:
    for name, value in style.declarations:
        yield "property", name
        yield "declaration", f"{name}:{value}"
    for name in style.functions:
        yield "function", name
    for name in style.units:
        yield "unit", name


def _ending(address: str) -> str:
    try:
        path = urlsplit(address).path
    except ValueError:
        return ""
    return path.rpartition(".")[2].lower()
