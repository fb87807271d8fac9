"""What is wrong with the links of an issue, as they stand; pure."""

from collections.abc import Iterator

from broadsheet_publishing.checks.checked_issue import NewsletterFacts, RenderedMail
from broadsheet_publishing.checks.finding import CODES, Finding
from broadsheet_publishing.checks.links.link import judge, must_not_be_tracked
from broadsheet_publishing.checks.reading.liquid_markup import Shielded, shield
from broadsheet_publishing.checks.reading.mail_document import Link, MailDocument
from broadsheet_publishing.checks.reading.markdown_source import links_that_are_none
from broadsheet_publishing.checks.reading.notation import notation_of_link
from broadsheet_publishing.checks.reading.places import place_in_content
from broadsheet_publishing.compiling.issue_source import IssueSource

NO_TRACK = "data-pm-no-track"
"""Postmark leaves a link with this attribute as it is."""


def check_link_syntax(
    document: MailDocument, liquid: Shielded, source: IssueSource, newsletter: NewsletterFacts
) -> Iterator[Finding]:
    """Each address once."""
    targets = frozenset(document.targets)
    seen: set[str] = set()
    for link in document.links:
        if link.href in seen:
            continue
        seen.add(link.href)
        fault = judge(link.href, liquid, targets=targets, public_url=newsletter.public_url)
        if fault is not None:
            readable = liquid.readable(link.href)
            place = place_in_content(source, readable, liquid.without_marks(link.href), link.label.strip())
            yield Finding(
                code=fault.code,
                severity=CODES[fault.code][0],
                detail=fault.detail,
                advice=fault.advice,
                field=place.field,
                line=place.line,
                column=place.column,
                data={"href": readable},
            )


def check_links_that_are_none(source: IssueSource) -> Iterator[Finding]:
    """A warning and no more: somebody may want to show brackets."""
    if source.format != "markdown":
        return
    for written in links_that_are_none(source.content):
        is_picture = written.startswith("!")
        place = place_in_content(source, written)
        yield Finding(
            code="link-not-made",
            severity="warns",
            detail=f"'{written}' becomes no {'picture' if is_picture else 'link'}: what stands between ( and ) is no "
            "address, so readers see it with its brackets.",
            advice="Write an address between ( and ), such as https://example.com/harbour; in it, a blank is %20.",
            field=place.field,
            line=place.line,
            column=place.column,
            data={"written": written},
        )


def check_link_labels(document: MailDocument, liquid: Shielded, source: IssueSource) -> Iterator[Finding]:
    seen: set[str] = set()
    for link in document.links:
        if link.href not in seen and not link.label.strip() and link.href.strip():
            seen.add(link.href)
            readable = liquid.readable(link.href)
            place = place_in_content(source, readable)
            yield Finding(
                code="link-without-text",
                severity="warns",
                detail=f"The link to '{readable}' has no text: a screen reader has nothing to say, and nobody sees it.",
                advice="Write words between the brackets: [Read the rest](https://…)."
                if notation_of_link(source, readable) == "markdown"
                else "Give it words, or its picture an alternative text.",
                field=place.field,
                line=place.line,
                column=place.column,
                data={"href": readable},
            )


def check_tracking(
    newsletter: NewsletterFacts, mail: RenderedMail, document: MailDocument, source: IssueSource
) -> Iterator[Finding]:
    """`document` is of the mail itself. Postmark rewrites every link that does not say otherwise."""
    if not newsletter.tracks_links:
        return
    nothing = shield("")
    for link in document.links:
        why = must_not_be_tracked(link.href, nothing, public_url=newsletter.public_url)
        if link.href == mail.unsubscribe_url:
            why = "own"
        if why is None or why == "no-page" or NO_TRACK in link.attributes:
            continue
        is_own = why == "own"
        yield Finding(
            code="tracking-of-protected-link",
            severity="blocks" if is_own else "warns",
            detail="Postmark would track and rewrite a link of the reader's own, such as the one to unsubscribe."
            if is_own
            else "Postmark would track and rewrite a signed address, which may not work then.",
            advice=f"Write the link as HTML, with an attribute that Markdown lacks: <a {NO_TRACK} href=…>."
            if notation_of_link(source, link.href) == "markdown"
            else f"Give the link the attribute {NO_TRACK}.",
            field="content",
            data={"href": "" if is_own else link.href, "label": _label(link)},
        )


def _label(link: Link) -> str:
    return " ".join(link.label.split())[:80]
