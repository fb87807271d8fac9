"""The JSON API on previews and test mails; below `/api/v1/issues`."""

import secrets
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_common.mail.merge_fields import AttributeValue
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.issues.compile_draft import IssueHasFaultsError
from broadsheet_publishing.issues.interface import find_issue
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import find_newsletter
from broadsheet_publishing.previews.render_preview import Preview, render_preview
from broadsheet_publishing.previews.send_test import parse_addresses, require_verified, send_test
from broadsheet_publishing.previews.store import ReaderRow
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

Line = Annotated[str, msgspec.Meta(max_length=1_000)]
Tags = Annotated[list[Line], msgspec.Meta(max_length=200)]
Values = Annotated[dict[Line, AttributeValue], msgspec.Meta(max_length=200)]
VariantNumber = Annotated[int, msgspec.Meta(ge=1, le=4)]
RawAddresses = Annotated[list[Line], msgspec.Meta(max_length=100)]


class SamplePerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody who is not there, with the values that a mail may merge."""

    name: Line = ""
    email: Line = "reader@example.com"
    tags: Tags = []
    attributes: Values = {}


class PreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As whom: a subscriber of the newsletter, or a sample person. Neither: somebody with a value for every field.
    `variant`: of the issue's A/B test; 1 is the issue itself.
    """

    subscriber_id: RecordId | None = None
    sample: SamplePerson | None = None
    variant: VariantNumber = 1


class MailHeader(msgspec.Struct, frozen=True):
    name: str
    value: str


class IssuePreview(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it will be sent, but for its links that act for a reader: here they lead to a page that says so.

    `from_` null: neither the newsletter nor the installation has a sender. `html` null: plain text only. `headers` are
    those beside From, To, Subject and Reply-To. Sizes are bytes in UTF-8.
    """

    from_: str | None = msgspec.field(name="from")
    reply_to: str | None
    to: str
    subject: str
    preheader: str
    html: str | None
    text: str
    headers: list[MailHeader]
    html_bytes: int
    text_bytes: int


class TestInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Up to ten addresses: confirmed subscribers of any newsletter, or the sender's own. As whom: see the preview."""

    to: RawAddresses
    subscriber_id: RecordId | None = None
    sample: SamplePerson | None = None
    variant: VariantNumber = 1


class TestSent(msgspec.Struct, frozen=True, kw_only=True):
    """How many mails are on their way, and their subject."""

    sent: int
    subject: str


class PreviewController(Controller):
    path = "/api/v1/issues"
    tags = ("Previews",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/preview",
        operation_id="previewIssue",
        summary="An issue as a reader will get it",
        status_code=200,
        guards=[requires("read"), json_only],
        responses=documents(NotFoundError, IssueHasFaultsError, InvalidInputError, body=True),
    )
    async def preview_issue(
        self,
        issue_id: PathId,
        data: JSONBody[PreviewInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
    ) -> IssuePreview:
        """A draft as it is now; a scheduled or published issue as it was compiled."""
        return _shown(
            await render_preview(
                engine,
                compiler,
                installation,
                issue_id,
                subscriber_id=data.subscriber_id,
                sample=_person(data.subscriber_id, data.sample),
                variant=data.variant,
            )
        )

    @post(
        "/{issue_id:int}/test",
        operation_id="sendTestMail",
        summary="Send an issue to a few people to look at",
        status_code=202,
        guards=[requires("write"), json_only],
        responses=documents(
            NotFoundError,
            IssueHasFaultsError,
            InvalidInputError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def send_test(
        self,
        request: ServiceRequest,
        issue_id: PathId,
        data: JSONBody[TestInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
        key: IdempotencyKeyHeader = None,
    ) -> Response[TestSent]:
        """From the installation's sender, through the transactional stream, with `[Test]` before the subject. They are
        in no report, and their links act for nobody.
        """
        addresses = parse_addresses(data.to)
        async with engine.connect() as connection:
            issue = await find_issue(connection, issue_id)
            if issue is None:
                raise NotFoundError("There is no such issue.")
            newsletter = await find_newsletter(connection, issue.newsletter_id)
        assert newsletter is not None, "the issue's foreign key"
        own = (newsletter.from_email, newsletter.reply_to)
        await require_verified(engine, addresses, installation, own)
        preview = await render_preview(
            engine,
            compiler,
            installation,
            issue_id,
            subscriber_id=data.subscriber_id,
            sample=_person(data.subscriber_id, data.sample),
            variant=data.variant,
        )
        sent = TestSent(sent=len(addresses), subject=preview.subject)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, TestSent)
            await send_test(
                connection,
                issue_id,
                preview,
                addresses,
                sent_by=request.user.subject,
                request_key=secrets.token_hex(16),
            )
            await keep_answer(connection, idempotency_key, request, key, status=202, body=sent)
        _log.info("publishing.test_sent", issue_id=issue_id, mails=len(addresses))
        return Response(sent, status_code=202)


def _person(subscriber_id: int | None, sample: SamplePerson | None) -> ReaderRow | None:
    if sample is None:
        return None
    if subscriber_id is not None:
        raise InvalidInputError(
            errors=(FieldProblem(pointer="/sample", detail="There is a subscriber already: leave out one of them."),)
        )
    return ReaderRow(name=sample.name, email=sample.email, tags=tuple(sample.tags), attributes=dict(sample.attributes))


def _shown(preview: Preview) -> IssuePreview:
    return IssuePreview(
        from_=preview.sender,
        reply_to=preview.reply_to,
        to=preview.to,
        subject=preview.subject,
        preheader=preview.preheader,
        html=preview.html,
        text=preview.text,
        headers=[MailHeader(name, value) for name, value in preview.headers],
        html_bytes=len((preview.html or "").encode()),
        text_bytes=len(preview.text.encode()),
    )
