"""The mail as a whole: footer, size, language and direction; pure."""

from collections.abc import Iterator
from typing import Final

import regex  # type: ignore[import-untyped]  # it ships no types

from broadsheet_common.mail.template_work import RENDERED_CHARS_MAX
from broadsheet_publishing.checks.checked_issue import NewsletterFacts, Rendered
from broadsheet_publishing.checks.finding import Finding, Value
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.compiling.issue_source import IssueSource

GMAIL_BYTES_MAX: Final = 102 * 1024
"""Gmail shows that much of the HTML and hides the rest behind a link. Google documents no figure; this one is what
senders measure. What delivery and Postmark add, such as rewritten links, comes on top."""
GMAIL_BYTES_NEAR: Final = 90 * 1024
_RTL_SHARE_MIN: Final = 0.5
_LETTERS_MIN: Final = 20
_LETTER: Final = regex.compile(r"\p{L}")
_RTL_LETTER: Final = regex.compile(r"[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Thaana}\p{Nko}]")


def check_footer(newsletter: NewsletterFacts, rendered: Rendered) -> Iterator[Finding]:
    """Bulk mail must show how to unsubscribe, and who sends it from where."""
    mail = rendered.sample
    if not mail.final_shows_link:
        yield Finding(
            code="unsubscribe-link-missing",
            severity="blocks",
            detail="The mail shows no link to unsubscribe.",
            advice="Put a link to {{ unsubscribe_url }} where everybody sees it.",
            field="content",
        )
    if not newsletter.postal_address.strip():
        yield Finding(
            code="postal-address-missing",
            severity="blocks",
            detail="The newsletter has no postal address, which the law of many countries asks for in every mail.",
            advice="Enter it in the newsletter's settings; the footer shows it then.",
        )
    elif not mail.final_shows_address:
        yield Finding(
            code="postal-address-missing",
            severity="blocks",
            detail="The mail does not show the newsletter's postal address.",
            advice="Put {{ newsletter.postal_address }} where everybody sees it.",
            field="content",
        )
    added = []
    if mail.final_shows_link and not mail.shows_link:
        added.append("a link to unsubscribe")
    if newsletter.postal_address.strip() and mail.final_shows_address and not mail.shows_address:
        added.append("the postal address")
    if added:
        yield Finding(
            code="footer-is-added",
            severity="notes",
            detail=f"The mail does not show {' and '.join(added)}, so a footer with it is added to every mail.",
            advice="Nothing needs to be done; with {{ unsubscribe_url }} and {{ newsletter.postal_address }} you choose"
            " the place yourself.",
            field="content",
            data={"added": tuple(added)},
        )


def check_size(rendered: Rendered) -> Iterator[Finding]:
    size = rendered.html_bytes_max
    if max(size, rendered.text_bytes_max) > RENDERED_CHARS_MAX:
        yield Finding(
            code="size-over-postmark-limit",
            severity="blocks",
            detail="The longest mail would be larger than the 5 MB that Postmark takes.",
            advice="Write less, or put pictures on the web.",
            field="content",
            data={"bytes": max(size, rendered.text_bytes_max), "bytes_max": RENDERED_CHARS_MAX},
        )
    data: dict[str, Value] = {"bytes": size, "bytes_max": GMAIL_BYTES_MAX}
    if size > GMAIL_BYTES_MAX:
        yield Finding(
            code="size-over-gmail-limit",
            severity="warns",
            detail=f"The longest mail has {size / 1024:.0f} KB of HTML. Gmail shows 102 KB, and hides the rest, the"
            " footer with it.",
            advice="Shorten it, or link to the rest on the web.",
            field="content",
            data=data,
        )
    elif size > GMAIL_BYTES_NEAR:
        yield Finding(
            code="size-near-gmail-limit",
            severity="warns",
            detail=f"The longest mail has {size / 1024:.0f} KB of HTML; Gmail hides what is beyond 102 KB.",
            advice="Shorten it, to be safe: links that are rewritten for tracking come on top.",
            field="content",
            data=data,
        )


def check_language(newsletter: NewsletterFacts, document: MailDocument, source: IssueSource) -> Iterator[Finding]:
    root = "mjml" if source.format == "mjml" else "html"
    wanted = newsletter.language.lower().partition("-")[0]
    said = (document.language or "").partition("-")[0]
    if said != wanted:
        yield Finding(
            code="language-differs",
            severity="warns",
            detail=f"The mail says that it is in '{document.language}', the newsletter is in '{newsletter.language}'."
            if said
            else "The mail does not say in which language it is: screen readers guess.",
            advice=f'Write <{root} lang="{newsletter.language}">, or change the newsletter\'s language.',
            field="content",
        )
    direction = document.direction or "ltr"
    if direction not in {newsletter.direction, "auto"}:
        yield Finding(
            code="direction-differs",
            severity="warns",
            detail=f"The mail runs {direction}, the newsletter {newsletter.direction}.",
            advice=f'Write <{root} dir="{newsletter.direction}">, or change the newsletter\'s direction.',
            field="content",
        )
    letters = len(_LETTER.findall(document.text))
    share = len(_RTL_LETTER.findall(document.text)) / letters if letters >= _LETTERS_MIN else None
    if share is not None and (share > _RTL_SHARE_MIN) != (direction == "rtl") and direction != "auto":
        yield Finding(
            code="direction-unlike-text",
            severity="warns",
            detail=f"The mail runs {direction}, but {share:.0%} of its letters are of scripts that run from the right.",
            advice="Set the newsletter's direction (and language) to that of its text.",
            field="content",
            data={"right_to_left": round(share, 2)},
        )
