"""Render an issue as it will be mailed: a draft as it is now, a scheduled or published one as it was compiled.

Delivery renders the same templates with the same code (`broadsheet_common.mail.issue_mail`).
"""

import asyncio
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.mail.issue_mail import (
    IssueFacts,
    IssueMail,
    IssueTemplates,
    Reader,
    newsletter_headers,
    text_of,
)
from broadsheet_common.mail.template_work import TemplateError, Work
from broadsheet_publishing.compiling.compiled_issue import Fault
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.interface import read_draft
from broadsheet_publishing.issues.compile_draft import (
    CompileInput,
    IssueHasFaultsError,
    compile_input,
    is_in_archive,
    read_compile_input,
)
from broadsheet_publishing.issues.interface import IssueRow, find_issue, read_attribute_types, read_now
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import NewsletterRow, find_newsletter
from broadsheet_publishing.previews import store
from broadsheet_publishing.previews.sample_reader import links_of, sample_reader


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """One mail of the issue, as it will be sent. Sizes are in UTF-8."""

    sender: str | None
    reply_to: str | None
    to: str
    subject: str
    preheader: str
    html: str | None
    text: str
    headers: tuple[tuple[str, str], ...]


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """What a preview is made of: `given`, or what is compiled already, `sent`."""

    issue: IssueRow
    newsletter: NewsletterRow
    given: CompileInput | None
    variant: int
    sent: store.SentContent | None
    published_at: datetime
    reader: Reader


class NoVariantError(InvalidInputError):
    def __init__(self) -> None:
        super().__init__(errors=(FieldProblem(pointer="/variant", detail="The issue has no such variant."),))


class NoSubscriberError(InvalidInputError):
    def __init__(self) -> None:
        super().__init__(
            errors=(FieldProblem(pointer="/subscriber_id", detail="The newsletter has no such subscriber."),)
        )


async def render_preview(
    engine: AsyncEngine,
    compiler: Compiler,
    installation: Installation,
    issue_id: int,
    *,
    subscriber_id: int | None = None,
    sample: store.ReaderRow | None = None,
    variant: int = 1,
) -> Preview:
    """As this subscriber gets it, or as this sample person; neither: as a person with a value for everything.

    Raises:
        NotFoundError, IssueHasFaultsError
        NoSubscriberError: nobody of this number is on the newsletter.
        NoVariantError
    """
    async with engine.connect() as connection:
        previewed = await _read(
            connection, installation, issue_id, subscriber_id=subscriber_id, sample=sample, variant=variant
        )
    return await render(previewed, compiler, installation)


async def render(previewed: Previewed, compiler: Compiler, installation: Installation) -> Preview:
    """Raises `IssueHasFaultsError`."""
    preheader = ""
    web_url = ""
    if previewed.given is not None:
        compiled = await compile_input(compiler, previewed.given, variant=previewed.variant)
        preheader = compiled.preheader
        templates = IssueTemplates(
            title=compiled.title,
            subject=compiled.subject,
            html_content=compiled.html_content,
            text_content=compiled.text_content,
        )
        if previewed.given.look.has_archive:
            slug = previewed.issue.slug or "preview"
            web_url = f"{installation.public_url}/newsletters/{previewed.newsletter.slug}/issues/{slug}"
    else:
        assert previewed.sent is not None
        templates, preheader = previewed.sent.templates, previewed.sent.preheader
        if previewed.sent.web_path is not None:
            web_url = f"{installation.public_url}{previewed.sent.web_path}"
    # Two templates of the largest size take about a second to parse: not on the event loop.
    return await asyncio.to_thread(_render, previewed, templates, preheader, web_url, installation)


def _render(
    previewed: Previewed, templates: IssueTemplates, preheader: str, web_url: str, installation: Installation
) -> Preview:
    newsletter = previewed.newsletter
    facts = IssueFacts(
        newsletter_name=newsletter.name,
        newsletter_slug=newsletter.slug,
        postal_address=newsletter.postal_address,
        published_at=previewed.published_at,
        web_url=web_url,
        tracks_links=newsletter.track_links,
    )
    try:
        mail = IssueMail(templates, facts).render(previewed.reader, Work())
    except TemplateError as error:
        fault = Fault(code="template-render", field="content", detail=f"It cannot be rendered for them: {error.fault}")
        raise IssueHasFaultsError((fault,)) from error
    handles = newsletter.unsubscribe_handling == "custom"
    return Preview(
        sender=newsletter.sender or installation.sender,
        reply_to=newsletter.reply_to,
        to=previewed.reader.email,
        subject=mail.subject,
        preheader=preheader,
        html=None if mail.html_body is None else text_of(mail.html_body),
        text=text_of(mail.text_body),
        headers=newsletter_headers(
            issue_id=previewed.issue.id,
            newsletter_slug=newsletter.slug,
            public_url=installation.public_url,
            unsubscribe_url=previewed.reader.unsubscribe_url if handles else None,
        ),
    )


async def _read(
    connection: AsyncConnection,
    installation: Installation,
    issue_id: int,
    *,
    subscriber_id: int | None,
    sample: store.ReaderRow | None,
    variant: int,
) -> Previewed:
    issue = await find_issue(connection, issue_id)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    newsletter = await find_newsletter(connection, issue.newsletter_id)
    assert newsletter is not None, "the issue's foreign key"
    sent: store.SentContent | None = None
    given: CompileInput | None = None
    if issue.status in {"scheduled", "published"}:
        sent = await store.find_compiled(connection, issue_id, variant)
    if sent is None:
        given = await read_compile_input(
            connection,
            await read_draft(connection, issue_id),
            newsletter,
            in_archive=is_in_archive(issue.in_archive, issue.segment_id, newsletter),
        )
        if variant > 1 + len(given.others):
            raise NoVariantError
    person = sample
    if subscriber_id is not None:
        person = await store.find_reader(connection, newsletter_id=issue.newsletter_id, subscriber_id=subscriber_id)
        if person is None:
            raise NoSubscriberError
    if person is None:
        reader = sample_reader(installation.public_url, await read_attribute_types(connection))
    else:
        unsubscribe_url, preferences_url = links_of(installation.public_url)
        reader = Reader(
            name=person.name,
            email=person.email,
            tags=person.tags,
            attributes=person.attributes,
            unsubscribe_url=unsubscribe_url,
            preferences_url=preferences_url,
        )
    return Previewed(
        issue=issue,
        newsletter=newsletter,
        given=given,
        variant=variant,
        sent=sent,
        published_at=issue.published_at or await read_now(connection),
        reader=reader,
    )
