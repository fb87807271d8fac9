"""The JSON API on previews and test mails of a newsletter's welcome mail; below `/api/v1/newsletters`."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, newsletter_in_path, requires
from broadsheet_common.http.idempotency import IdempotencyInFlightError, IdempotencyKeyHeader, IdempotencyKeyReusedError
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import find_newsletter
from broadsheet_publishing.previews.mail_preview import Preview
from broadsheet_publishing.previews.preview_welcome import preview_welcome
from broadsheet_publishing.previews.queue_test_mail import queue_test_mail
from broadsheet_publishing.previews.send_test import parse_addresses, require_verified, send_welcome_test
from broadsheet_publishing.previews.wire import MailPreview, RawAddresses, SamplePerson, TestSent, person_of, shown
from broadsheet_publishing.welcome.welcome_mail import CONTENT_CHARS_MAX, SUBJECT_CHARS_MAX

Subject = Annotated[str, msgspec.Meta(max_length=SUBJECT_CHARS_MAX)]
Content = Annotated[str, msgspec.Meta(max_length=CONTENT_CHARS_MAX)]


class WelcomeText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is being written, in place of what is saved. Null: as it is saved."""

    subject: Subject | None = None
    content: Content | None = None


class WelcomePreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As whom: a subscriber of the newsletter, or a sample person. Neither: somebody with a value for every field."""

    subscriber_id: RecordId | None = None
    sample: SamplePerson | None = None
    welcome_mail: WelcomeText = WelcomeText()


class WelcomeTestInput(WelcomePreviewInput, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Up to ten addresses: confirmed subscribers of any newsletter, or the sender's own. As whom: see the preview."""

    to: RawAddresses


class WelcomePreviewController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Previews",)
    request_class = JsonRequest

    @post(
        "/{newsletter_id:int}/welcome-mail/preview",
        operation_id="previewWelcomeMail",
        summary="The welcome mail as a reader will get it",
        status_code=200,
        guards=[requires("newsletters:read", newsletter=newsletter_in_path), json_only],
        responses=documents(NotFoundError, InvalidInputError, body=True),
    )
    async def preview_welcome_mail(
        self,
        newsletter_id: PathId,
        data: JSONBody[WelcomePreviewInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
    ) -> MailPreview:
        """Also if it is switched off. What cannot be made into a mail is refused, with every fault at its place."""
        return shown(await _preview(engine, compiler, installation, newsletter_id, data))

    @post(
        "/{newsletter_id:int}/welcome-mail/test",
        operation_id="sendWelcomeTestMail",
        summary="Send the welcome mail to a few people to look at",
        status_code=202,
        guards=[requires("newsletters:write", newsletter=newsletter_in_path), json_only],
        responses=documents(
            NotFoundError, InvalidInputError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def send_welcome_test(
        self,
        request: ServiceRequest,
        newsletter_id: PathId,
        data: JSONBody[WelcomeTestInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
        key: IdempotencyKeyHeader = None,
    ) -> Response[TestSent]:
        """As a test mail of an issue is sent: marked, in no report, with links that act for nobody."""
        addresses = parse_addresses(data.to)
        async with engine.connect() as connection:
            newsletter = await find_newsletter(connection, newsletter_id)
        if newsletter is None:
            raise NotFoundError("There is no such newsletter.")
        await require_verified(engine, addresses, installation, (newsletter.from_email, newsletter.reply_to))
        preview = await _preview(engine, compiler, installation, newsletter_id, data)
        return await queue_test_mail(
            engine,
            request,
            key,
            preview,
            addresses,
            lambda connection: send_welcome_test(connection, newsletter_id, preview, addresses, by=request.user),
            newsletter_id=newsletter_id,
        )


async def _preview(
    engine: AsyncEngine, compiler: Compiler, installation: Installation, newsletter_id: int, data: WelcomePreviewInput
) -> Preview:
    return await preview_welcome(
        engine,
        compiler,
        installation,
        newsletter_id,
        subject=data.welcome_mail.subject,
        content=data.welcome_mail.content,
        subscriber_id=data.subscriber_id,
        sample=person_of(data.subscriber_id, data.sample),
    )
