"""Routes with which an operator helps with signing up, beside the public ones in `api.py`."""

import msgspec
from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, requires
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
