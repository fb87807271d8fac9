"""The JSON API on previews and test mails; below `/api/v1/issues`."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import IdempotencyInFlightError, IdempotencyKeyHeader, IdempotencyKeyReusedError
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.issues.compile_draft import IssueHasFaultsError
from broadsheet_publishing.issues.interface import find_issue, newsletter_of_issue
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import find_newsletter
from broadsheet_publishing.previews.preview_issue import preview_issue
from broadsheet_publishing.previews.queue_test_mail import queue_test_mail
from broadsheet_publishing.previews.send_test import parse_addresses, require_verified, send_issue_test
from broadsheet_publishing.previews.wire import MailPreview, RawAddresses, SamplePerson, TestSent, person_of, shown

VariantNumber = Annotated[int, msgspec.Meta(ge=1, le=4)]


class PreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As whom: a subscriber of the newsletter, or a sample person. Neither: somebody with a value for every field.
    `variant`: of the issue's A/B test; 1 is the issue itself.
    """

    subscriber_id: RecordId | None = None
    sample: SamplePerson | None = None
    variant: VariantNumber = 1


class TestInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Up to ten addresses: confirmed subscribers of any newsletter, or the sender's own. As whom: see the preview."""

    to: RawAddresses
    subscriber_id: RecordId | None = None
    sample: SamplePerson | None = None
    variant: VariantNumber = 1


class PreviewController(Controller):
    path = "/api/v1/issues"
    tags = ("Previews",)
    request_class = JsonRequest

    @post(
        "/{issue_id:int}/preview",
        operation_id="previewIssue",
        summary="An issue as a reader will get it",
        status_code=200,
        guards=[requires("issues:preview", newsletter=newsletter_of_issue), json_only],
        responses=documents(NotFoundError, IssueHasFaultsError, InvalidInputError, body=True),
    )
    async def preview_issue(
        self,
        issue_id: PathId,
        data: JSONBody[PreviewInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        installation: NamedDependency[Installation],
    ) -> MailPreview:
        """A draft as it is now; a scheduled or published issue as it was compiled."""
        return shown(
            await preview_issue(
                engine,
                compiler,
                installation,
                issue_id,
                subscriber_id=data.subscriber_id,
                sample=person_of(data.subscriber_id, data.sample),
                variant=data.variant,
            )
        )

    @post(
        "/{issue_id:int}/test",
        operation_id="sendTestMail",
        summary="Send an issue to a few people to look at",
        status_code=202,
        guards=[requires("issues:test", newsletter=newsletter_of_issue), json_only],
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
        """From the newsletter's sender, through the transactional stream, with `[Test]` before the subject. They are in
        no report, and their links act for nobody.
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
        preview = await preview_issue(
            engine,
            compiler,
            installation,
            issue_id,
            subscriber_id=data.subscriber_id,
            sample=person_of(data.subscriber_id, data.sample),
            variant=data.variant,
        )
        return await queue_test_mail(
            engine,
            request,
            key,
            preview,
            addresses,
            lambda connection: send_issue_test(
                connection, issue_id, preview, addresses, newsletter_id=newsletter.id, by=request.user
            ),
            issue_id=issue_id,
        )
