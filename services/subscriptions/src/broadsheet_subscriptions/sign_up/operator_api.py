"""Routes with which an operator helps with signing up, beside the public ones in `api.py`."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, newsletter_in_path, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.problems import ConflictError, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up.preview_mail import SignUpMailKind, preview_mail
from broadsheet_subscriptions.sign_up.send_confirmation_again import (
    AddressBlockedError,
    NotPendingError,
    SentLatelyError,
    send_confirmation_again,
)
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy
from broadsheet_subscriptions.subscribers.show_subscriber import Subscriber, allowed_newsletters, show_subscriber
from broadsheet_subscriptions.tables import idempotency_key


class SendConfirmationInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    newsletter_id: RecordId


PreviewText = Annotated[str, msgspec.Meta(max_length=10_000)]


class SignUpMailTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is being written, in place of what is saved: those of the newsletter's `texts` that stand in these mails.
    One that is left out is as it is saved; an empty one means our own words.
    """

    confirmation_mail_subject: PreviewText | UnsetType = UNSET
    confirmation_mail_heading: PreviewText | UnsetType = UNSET
    confirmation_mail_text: PreviewText | UnsetType = UNSET
    confirmation_mail_button: PreviewText | UnsetType = UNSET
    already_subscribed_mail_subject: PreviewText | UnsetType = UNSET
    already_subscribed_mail_heading: PreviewText | UnsetType = UNSET
    already_subscribed_mail_text: PreviewText | UnsetType = UNSET

    def given(self) -> dict[str, str]:
        return {name: text for name in self.__struct_fields__ if (text := getattr(self, name)) is not UNSET}


class SignUpMailPreviewInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`mail`: the one that asks to confirm, or the one to somebody who is subscribed already."""

    mail: SignUpMailKind
    texts: SignUpMailTexts = SignUpMailTexts()


class SignUpMailPreview(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    html: str
    text: str


class SignUpMailController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Previews",)
    request_class = JsonRequest

    @post(
        "/{newsletter_id:int}/sign-up-mails/preview",
        operation_id="previewSignUpMail",
        summary="A mail about a sign-up as a reader gets it",
        status_code=200,
        guards=[requires("newsletters:read", newsletter=newsletter_in_path), json_only],
        responses=documents(NotFoundError, InvalidInputError, body=True),
    )
    async def preview_sign_up_mail(
        self,
        newsletter_id: PathId,
        data: JSONBody[SignUpMailPreviewInput],
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
    ) -> SignUpMailPreview:
        """Its link acts for nobody."""
        async with engine.connect() as connection:
            mail = await preview_mail(connection, newsletter_id, data.mail, data.texts.given(), confirmation_policy)
        return SignUpMailPreview(subject=mail.subject, html=mail.html_body, text=mail.text_body)


class SignUpController(Controller):
    path = "/api/v1/subscribers"
    tags = ("Subscribers",)
    request_class = JsonRequest

    @post(
        "/{subscriber_id:int}/send-confirmation",
        operation_id="sendConfirmationAgain",
        summary="Send somebody the mail that asks to confirm once more",
        status_code=202,
        guards=[requires("subscribers:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            ConflictError,
            NotPendingError,
            AddressBlockedError,
            SentLatelyError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def send_confirmation(
        self,
        request: ServiceRequest,
        subscriber_id: PathId,
        data: JSONBody[SendConfirmationInput],
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Subscriber]:
        allowed = allowed_newsletters(request.user, "subscribers:write", data.newsletter_id)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Subscriber)
            await show_subscriber(connection, subscriber_id, allowed=allowed)  # not found, if it is none of theirs
            await send_confirmation_again(
                connection,
                subscriber_id=subscriber_id,
                newsletter_id=data.newsletter_id,
                policy=confirmation_policy,
                evidence=Evidence(source="api", actor=request.user.subject),
            )
            await record_audit(
                connection,
                request.user,
                "subscriber.confirmation_sent_again",
                subscriber_id,
                newsletter_id=data.newsletter_id,
            )
            subscriber = await show_subscriber(connection, subscriber_id, allowed=allowed)
            await keep_answer(connection, idempotency_key, request, key, status=202, body=subscriber)
        return Response(subscriber, status_code=202)
