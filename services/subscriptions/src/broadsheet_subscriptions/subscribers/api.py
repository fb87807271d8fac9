"""The JSON API for subscribers, `/api/v1/subscribers`: for authors and their programs."""

import unicodedata
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    entity_tag,
    require_match,
)
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.pagination import (
    CURSOR_CHARS_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    Page,
    PageCursor,
    PageLimit,
)
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import RECORD_ID_MAX, PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only, parse_parameter
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import TAG_CHARS_MAX, parse_tag
from broadsheet_subscriptions.attributes.interface import attribute_types
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.leaving.unsubscribe import unsubscribe_subscriber
from broadsheet_subscriptions.segments.load_segment import load_filter
from broadsheet_subscriptions.segments.parse_filter import parse_filter
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, parse_sign_up, subscribe
from broadsheet_subscriptions.subscribers import store
from broadsheet_subscriptions.subscribers.change_source import begin_change
from broadsheet_subscriptions.subscribers.change_subscriber import change_subscriber, read_notes
from broadsheet_subscriptions.subscribers.list_subscribers import Wanted, list_subscribers
from broadsheet_subscriptions.subscribers.show_subscriber import (
    Subscriber,
    SubscriberReader,
    allowed_newsletters,
    show_subscriber,
    show_subscribers,
)
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.tables import idempotency_key
from broadsheet_subscriptions.tables.lists import NAME_SEARCH_CHARS

EMAIL_CHARS_MAX = 1_000
"""Longer texts are refused before they are parsed."""
NAME_CHARS_MAX = 20_000
IDS_MAX = 100
"""Subscribers that one request may name by their ids."""

# Litestar reserves the parameter name `state`. The type is text, so that an error names the parameter as it was sent.
StateFilter = Annotated[
    str | None,
    QueryParameter(
        name="state",
        description="Only subscribers with a subscription in this state",
        schema_extra={"enum": ["pending", "confirmed", "unsubscribed"]},
    ),
]
NewsletterFilter = Annotated[
    int | None,
    QueryParameter(
        name="newsletter_id",
        ge=1,
        le=RECORD_ID_MAX,
        description="Only subscribers with a subscription to this newsletter",
    ),
]
IdsFilter = Annotated[
    list[RecordId] | None,
    QueryParameter(
        name="id",
        max_items=IDS_MAX,
        description="Only the subscribers of these ids; may be repeated. Who does not exist is left out",
    ),
]
EmailFilter = Annotated[
    str | None,
    QueryParameter(name="email", max_length=EMAIL_CHARS_MAX, description="Only the subscriber with this address"),
]
AddressPrefix = Annotated[
    str | None,
    QueryParameter(
        name="email_prefix",
        min_length=1,
        max_length=EMAIL_CHARS_MAX,
        description="Only addresses that begin with this text; the list is then ordered by address",
    ),
]
NamePrefix = Annotated[
    str | None,
    QueryParameter(
        name="name_prefix",
        min_length=1,
        max_length=NAME_SEARCH_CHARS,
        description="Only names that, or whose last word, begin with this text; the list is then ordered by these",
    ),
]
TagFilter = Annotated[
    str | None,
    QueryParameter(
        name="tag",
        min_length=1,
        max_length=TAG_CHARS_MAX,
        description="Only subscribers with exactly this tag; case matters",
    ),
]
SegmentFilter = Annotated[
    int | None,
    QueryParameter(name="segment_id", ge=1, le=RECORD_ID_MAX, description="Only subscribers in this segment"),
]
SuppressedFilter = Annotated[
    bool | None,
    QueryParameter(
        name="suppressed",
        description="true: only confirmed subscribers who get no issue, being suppressed; false: all others",
    ),
]
_SHORT_PAGES = (
    "A page may have fewer items than `limit`, or none, if several filters are combined or a segment is given: "
    "each page looks at a bounded number of subscribers. The list ends only where `next_cursor` is null."
)


T = TypeVar("T")


class SubscriberInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new subscriber; they get a confirmation mail. `newsletter_id` null means the default newsletter."""

    email: Annotated[str, msgspec.Meta(max_length=EMAIL_CHARS_MAX)]
    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]
    newsletter_id: RecordId | None = None
    attributes: dict[str, Any] = {}
    tags: list[str] = []


class SubscriberChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member that is left out stays as it is. `attributes` are merged in, and null removes a value; `tags` replace
    all tags.
    """

    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    attributes: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET


class SubscriberSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`filter` is a tree as in a segment (see `POST /api/v1/segments`)."""

    filter: dict[str, Any]
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE_DEFAULT
    cursor: Annotated[str, msgspec.Meta(max_length=CURSOR_CHARS_MAX)] | None = None


class UnsubscribeInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`newsletter_id` null means every newsletter."""

    newsletter_id: RecordId | None = None


class SubscriberController(Controller):
    path = "/api/v1/subscribers"
    tags = ("Subscribers",)
    request_class = JsonRequest

    @get(
        operation_id="listSubscribers",
        summary="List subscribers, newest first",
        description=_SHORT_PAGES,
        guards=[requires("subscribers:read", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(InvalidInputError),
    )
    async def list_subscribers(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        ids: IdsFilter = None,
        subscription_state: StateFilter = None,
        newsletter_id: NewsletterFilter = None,
        email: EmailFilter = None,
        email_prefix: AddressPrefix = None,
        name_prefix: NamePrefix = None,
        tag: TagFilter = None,
        segment_id: SegmentFilter = None,
        suppressed: SuppressedFilter = None,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Subscriber]:
        allowed = allowed_newsletters(request.user, "subscribers:read", newsletter_id)
        wanted = Wanted(
            ids=None if ids is None else tuple(ids),
            state=_parse_state(subscription_state),
            newsletter_id=newsletter_id,
            email_key=None if email is None else _parse_filter(email).key,
            email_prefix=None if email_prefix is None else _searchable(email_prefix).lower(),
            name_prefix=None if name_prefix is None else _searchable(name_prefix),
            tag=None if tag is None else _parse_tag(tag),
            suppressed=suppressed,
        )
        async with engine.connect() as connection:
            if segment_id is not None:
                matching = await load_filter(connection, segment_id, at="/segment_id")
                wanted = msgspec.structs.replace(wanted, matching=matching)
            page = await list_subscribers(connection, wanted, cursor=cursor, limit=limit)
            return Page(await show_subscribers(connection, page.ids, allowed=allowed), page.next_cursor)

    @post(
        "/search",
        operation_id="searchSubscribers",
        summary="List the subscribers that match a filter, newest first",
        description=_SHORT_PAGES,
        status_code=200,
        guards=[requires("subscribers:read"), json_only],
        responses=documents(InvalidInputError, body=True),
    )
    async def search_subscribers(
        self, data: JSONBody[SubscriberSearch], engine: NamedDependency[AsyncEngine]
    ) -> Page[Subscriber]:
        async with engine.connect() as connection:
            matching = parse_filter(data.filter, await attribute_types(connection))
            page = await list_subscribers(connection, Wanted(matching=matching), cursor=data.cursor, limit=data.limit)
            return Page(await show_subscribers(connection, page.ids, allowed=None), page.next_cursor)

    @get(
        "/{subscriber_id:int}",
        operation_id="getSubscriber",
        summary="Get a subscriber",
        guards=[requires("subscribers:read", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(NotFoundError),
    )
    async def get_subscriber(
        self, request: ServiceRequest, subscriber_reader: NamedDependency[SubscriberReader], subscriber_id: PathId
    ) -> Response[Subscriber]:
        allowed = request.user.newsletters_with("subscribers:read")
        subscriber = await subscriber_reader.show(subscriber_id, allowed=allowed)
        return Response(subscriber, headers={"ETag": entity_tag(subscriber)})

    @patch(
        "/{subscriber_id:int}",
        operation_id="changeSubscriber",
        summary="Change the name, attributes or tags of a subscriber",
        guards=[requires("subscribers:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(
            NotFoundError, InvalidInputError, PreconditionRequiredError, PreconditionFailedError, body=True
        ),
    )
    async def change_subscriber(
        self,
        request: ServiceRequest,
        subscriber_id: PathId,
        data: JSONBody[SubscriberChange],
        engine: NamedDependency[AsyncEngine],
        if_match: IfMatchHeader = None,
    ) -> Response[Subscriber]:
        allowed = request.user.newsletters_with("subscribers:write")
        async with engine.begin() as connection:
            if await store.find_subscriber(connection, subscriber_id, lock=True) is None:
                raise NotFoundError("There is no such subscriber.")
            require_match(if_match, await show_subscriber(connection, subscriber_id, allowed=allowed))
            notes = await read_notes(
                connection, name=given(data.name), attributes=given(data.attributes), tags=given(data.tags)
            )
            await change_subscriber(connection, subscriber_id, notes)
            await record_audit(
                connection, request.user, "subscriber.changed", subscriber_id, after={"changed": given_fields(data)}
            )
            subscriber = await show_subscriber(connection, subscriber_id, allowed=allowed)
        return Response(subscriber, headers={"ETag": entity_tag(subscriber)})

    @post(
        operation_id="createSubscriber",
        summary="Sign somebody up; they get a confirmation mail",
        description="201 for a new address; 200 for one that already exists and keeps its name, attributes and tags.",
        guards=[requires("subscribers:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses={
            200: ResponseSpec(Subscriber, generate_examples=False, description="The address already exists"),
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
        allowed = allowed_newsletters(request.user, "subscribers:write", data.newsletter_id)
        sign_up = parse_sign_up(
            email=data.email,
            name=data.name,
            newsletter=data.newsletter_id,
            evidence=Evidence(source="api", actor=request.user.subject),
        )
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Subscriber)
            await begin_change(connection, "operator")
            notes = await read_notes(connection, attributes=data.attributes, tags=data.tags or None)
            signed_up = await subscribe(connection, sign_up, confirmation_policy)
            if signed_up.is_new:
                await change_subscriber(connection, signed_up.subscriber.id, notes)
            subscriber = await show_subscriber(connection, signed_up.subscriber.id, allowed=allowed)
            await record_audit(
                connection,
                request.user,
                "subscriber.created",
                signed_up.subscriber.id,
                newsletter_id=data.newsletter_id,
                after={"is_new": signed_up.is_new},
            )
            status = 201 if signed_up.is_new else 200
            await keep_answer(connection, idempotency_key, request, key, status=status, body=subscriber)
        return Response(subscriber, status_code=status)

    @post(
        "/{subscriber_id:int}/unsubscribe",
        operation_id="unsubscribeSubscriber",
        summary="Unsubscribe somebody from one newsletter or from all",
        status_code=200,
        guards=[requires("subscribers:write", newsletter=NARROWED_BY_HANDLER), json_only],
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
        allowed = allowed_newsletters(request.user, "subscribers:write", data.newsletter_id)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Subscriber)
            await show_subscriber(connection, subscriber_id, allowed=allowed)  # not found, if it is none of theirs
            row = await unsubscribe_subscriber(
                connection, subscriber_id=subscriber_id, newsletter_id=data.newsletter_id
            )
            await record_audit(
                connection, request.user, "subscriber.unsubscribed", row.id, newsletter_id=data.newsletter_id
            )
            subscriber = await show_subscriber(connection, row.id, allowed=allowed)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=subscriber)
        return Response(subscriber, status_code=200)


def _parse_state(text: str | None) -> State | None:
    state: State | None = parse_parameter(text, State | None, pointer="/state")
    return state


def _parse_filter(email: str) -> EmailAddress:
    try:
        return EmailAddress.parse(email)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/email", detail=str(error)),)) from error


def _parse_tag(text: str) -> str:
    try:
        return parse_tag(text)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/tag", detail=str(error)),)) from error


def _searchable(text: str) -> str:
    """In the normal form that names are stored in."""
    return unicodedata.normalize("NFC", text)


def given_fields(data: SubscriberChange) -> list[str]:
    """The names of the members that were sent."""
    return [name for name in ("name", "attributes", "tags") if getattr(data, name) is not msgspec.UNSET]


def given(value: T | msgspec.UnsetType) -> T | None:
    return None if value is msgspec.UNSET else value
