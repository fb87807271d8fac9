"""Render a newsletter's welcome mail as it will be sent: as it is saved, or with what its author is writing."""

import asyncio

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.mail.issue_mail import IssueTemplates
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_publishing.compiling.compiler import Compiler, CompilerBusyError
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import find_newsletter
from broadsheet_publishing.previews import store
from broadsheet_publishing.previews.mail_preview import MailParts, Preview, render_mail
from broadsheet_publishing.previews.preview_reader import read_reader
from broadsheet_publishing.welcome.compile_welcome import compile_welcome, read_welcome_input
from broadsheet_publishing.welcome.interface import find_welcomes
from broadsheet_publishing.welcome.welcome_mail import WelcomeSource, problems_of, shown_faults


async def preview_welcome(
    engine: AsyncEngine,
    compiler: Compiler,
    installation: Installation,
    newsletter_id: int,
    *,
    subject: str | None = None,
    content: str | None = None,
    subscriber_id: int | None = None,
    sample: store.ReaderRow | None = None,
) -> Preview:
    """As this subscriber gets it, or as this sample person; neither: as a person with a value for everything.
    `subject` and `content` in place of what is saved.

    Raises:
        NotFoundError
        InvalidInputError: no mail can be made of it; names every fault.
        NoSubscriberError: nobody of this number is on the newsletter.
    """
    async with engine.connect() as connection:
        newsletter = await find_newsletter(connection, newsletter_id)
        if newsletter is None:
            raise NotFoundError("There is no such newsletter.")
        saved = (await find_welcomes(connection, [newsletter_id])).get(newsletter_id)
        was = WelcomeSource() if saved is None else saved.source
        source = WelcomeSource(
            is_enabled=True,  # what is empty has faults, then
            subject=was.subject if subject is None else subject,
            content=was.content if content is None else content,
        )
        given = await read_welcome_input(connection, source, msgspec.structs.asdict(newsletter))
        reader = await read_reader(
            connection, installation.public_url, newsletter_id, subscriber_id=subscriber_id, sample=sample
        )
    try:
        compiled, faults = await compile_welcome(compiler, given)
    except CompilerBusyError as error:
        compiled, faults = None, shown_faults(error.faults)
    if compiled is None:
        raise InvalidInputError(errors=problems_of(faults))
    parts = MailParts(
        newsletter=newsletter,
        reader=reader,
        issue_id=None,
        templates=IssueTemplates(
            title=compiled.subject,
            subject=compiled.subject,
            html_content=compiled.html_content,
            text_content=compiled.text_content,
        ),
    )
    try:
        return await asyncio.to_thread(render_mail, parts, installation)
    except TemplateError as error:
        problem = FieldProblem(pointer="/welcome_mail/content", detail=f"It cannot be rendered for them: {error.fault}")
        raise InvalidInputError(errors=(problem,)) from error
