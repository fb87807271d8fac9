"""Render an issue as it will be mailed: a draft as it is now, a scheduled or published one as it was compiled."""

import asyncio
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.mail.issue_mail import IssueTemplates, Reader
from broadsheet_common.mail.template_work import TemplateError
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
from broadsheet_publishing.issues.interface import IssueRow, find_issue, read_now
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import NewsletterRow, find_newsletter
from broadsheet_publishing.previews import store
from broadsheet_publishing.previews.mail_preview import MailParts, Preview, render_mail
from broadsheet_publishing.previews.preview_reader import read_reader


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


async def preview_issue(
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
    parts = await _parts(previewed, compiler, installation)
    try:
        return await asyncio.to_thread(render_mail, parts, installation)
    except TemplateError as error:
        fault = Fault(code="template-render", field="content", detail=f"It cannot be rendered for them: {error.fault}")
        raise IssueHasFaultsError((fault,)) from error


async def _parts(previewed: Previewed, compiler: Compiler, installation: Installation) -> MailParts:
    """Raises `IssueHasFaultsError`."""
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
    return MailParts(
        newsletter=previewed.newsletter,
        reader=previewed.reader,
        issue_id=previewed.issue.id,
        templates=templates,
        preheader=preheader,
        web_url=web_url,
        published_at=previewed.published_at,
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
    return Previewed(
        issue=issue,
        newsletter=newsletter,
        given=given,
        variant=variant,
        sent=sent,
        published_at=issue.published_at or await read_now(connection),
        reader=await read_reader(
            connection, installation.public_url, issue.newsletter_id, subscriber_id=subscriber_id, sample=sample
        ),
    )
