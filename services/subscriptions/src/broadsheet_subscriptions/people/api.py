"""The JSON API on subscribers, `/api/v1/subscribers`: for authors and their programs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.email_address import EmailAddress
from broadsheet_common.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.identity import ServiceRequest, requires
from broadsheet_common.pagination import PAGE_SIZE_DEFAULT, Page, PageCursor, PageLimit, decode_cursor, encode_cursor
from broadsheet_common.problems import FieldProblem, InvalidInputError, MalformedRequestError, NotFoundError
from broadsheet_common.record_id import RECORD_ID_MAX, PathId, RecordId
from broadsheet_common.route_rules import JsonRequest, documents, json_only
from broadsheet_subscriptions.leaving.unsubscribe import unsubscribe_subscriber
from broadsheet_subscriptions.people import store
from broadsheet_subscriptions.people.subscription import State
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, parse_sign_up, subscribe
from broadsheet_subscriptions.tables import idempotency_key

EMAIL_CHARS_MAX = 1_000
"""Longer texts are refused before they are parsed."""
NAME_CHARS_MAX = 20_000

# A parameter called `state` would be Litestar's own; text, so that a fault is reported under the name it came by.
StateFilter = Annotated[
    str | None,
    QueryParameter(
        name="state",
        description="Who has a subscription in this state",
        schema_extra={"enum": ["pending", "confirmed", "unsubscribed"]},
    ),
]
NewsletterFilter = Annotated[
    int | None,
    QueryParameter(name="newsletter_id", ge=1, le=RECORD_ID_MAX, description="Who subscribed to this newsletter"),
]
EmailFilter = Annotated[
    str | None, QueryParameter(name="email", max_length=EMAIL_CHARS_MAX, description="Whose address this is")
]


class Subscription(msgspec.Struct, frozen=True):
    newsletter_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None


class Subscriber(msgspec.Struct, frozen=True):
    id: int
    email: str
    name: str
    created_at: datetime
    subscriptions: list[Subscription]


class SubscriberInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to sign up; they get a confirmation mail. `newsletter_id` null is the default newsletter."""

    email: Annotated[str, msgspec.Meta(max_length=EMAIL_CHARS_MAX)]
    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]
    newsletter_id: RecordId | None = None


class UnsubscribeInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`newsletter_id` null is every newsletter."""

    newsletter_id: RecordId | None = None


class SubscriberController(Controller):
    path = "/api/v1/subscribers"
    tags = ("Subscribers",)
    request_class = JsonRequest

    @get(
        operation_id="listSubscribers",
        summary="List subscribers, newest first",
        guards=[requires("read")],
        responses=documents(InvalidInputError),
    )
    async def list_subscribers(
        self,
        engine: NamedDependency[AsyncEngine],
        subscription_state: StateFilter = None,
        newsletter_id: NewsletterFilter = None,
        email: EmailFilter = None,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Subscriber]:
        async with engine.connect() as connection:
            rows = await store.list_subscribers(
                connection,
                before_id=decode_cursor(cursor),
                limit=limit + 1,
                state=_parse_state(subscription_state),
                newsletter_id=newsletter_id,
                email_key=None if email is None else _parse_filter(email).key,
            )
            items = await _with_subscriptions(connection, rows[:limit])
        return Page(items, encode_cursor(items[-1].id) if len(rows) > limit else None)

    @get(
        "/{subscriber_id:int}",
        operation_id="getSubscriber",
        summary="Get a subscriber",
        guards=[requires("read")],
        responses=documents(NotFoundError),
    )
    async def get_subscriber(self, engine: NamedDependency[AsyncEngine], subscriber_id: PathId) -> Subscriber:
        async with engine.connect() as connection:
            row = await store.find_subscriber(connection, subscriber_id)
            if row is None:
                raise NotFoundError("There is no such subscriber.")
            return (await _with_subscriptions(connection, [row]))[0]

    @post(
        operation_id="createSubscriber",
        summary="Sign somebody up; they get a confirmation mail",
        description="201 for a new address, 200 for one that is there already, which keeps its name.",
        guards=[requires("write"), json_only],
        responses={
            200: ResponseSpec(Subscriber, generate_examples=False, description="The address is there already"),
            **documents(InvalidInputError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True),
        },
    )
    async def create_subscriber(
        self,
        request: ServiceRequest,
        data: JSONBody[SubscriberInput],
        engine: NamedDependency[AsyncEngine],
        confirmation_policy: NamedDependency[ConfirmationPolicy],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Subscriber]:
        sign_up = parse_sign_up(email=data.email, name=data.name, newsletter_id=data.newsletter_id)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Subscriber)
            signed_up = await subscribe(connection, sign_up, confirmation_policy)
            subscriber = (await _with_subscriptions(connection, [signed_up.subscriber]))[0]
            status = 201 if signed_up.is_new else 200
            await keep_answer(connection, idempotency_key, request, key, status=status, body=subscriber)
        return Response(subscriber, status_code=status)

    @post(
        "/{subscriber_id:int}/unsubscribe",
        operation_id="unsubscribeSubscriber",
        summary="Unsubscribe somebody from one newsletter or from all",
        status_code=200,
        guards=[requires("write"), json_only],
        responses=documents(
            NotFoundError, InvalidInputError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def unsubscribe(
        self,
        request: ServiceRequest,
        subscriber_id: PathId,
        data: JSONBody[UnsubscribeInput],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Subscriber]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Subscriber)
            row = await unsubscribe_subscriber(
                connection, subscriber_id=subscriber_id, newsletter_id=data.newsletter_id
            )
            subscriber = (await _with_subscriptions(connection, [row]))[0]
            await keep_answer(connection, idempotency_key, request, key, status=200, body=subscriber)
        return Response(subscriber, status_code=200)


def _parse_state(text: str | None) -> State | None:
    try:
        state: State | None = msgspec.convert(text, State | None)
    except msgspec.ValidationError as error:
        raise MalformedRequestError(errors=(FieldProblem(pointer="/state", detail=str(error)),)) from error
    return state


def _parse_filter(email: str) -> EmailAddress:
    try:
        return EmailAddress.parse(email)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/email", detail=str(error)),)) from error


async def _with_subscriptions(connection: AsyncConnection, rows: Sequence[store.SubscriberRow]) -> list[Subscriber]:
    by_subscriber: dict[int, list[Subscription]] = {row.id: [] for row in rows}
    for item in await store.list_subscriptions(connection, list(by_subscriber)):
        by_subscriber[item.subscriber_id].append(
            Subscription(item.newsletter_id, item.state, item.created_at, item.confirmed_at, item.unsubscribed_at)
        )
    return [Subscriber(row.id, str(row.email), row.name, row.created_at, by_subscriber[row.id]) for row in rows]
