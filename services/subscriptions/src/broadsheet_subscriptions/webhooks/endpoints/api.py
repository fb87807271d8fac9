"""The JSON API for webhook endpoints, `/api/v1/webhook-endpoints`.

Only with `webhooks:read` and `webhooks:write`, which owners alone have: an endpoint receives the address of everybody
who subscribes or leaves, and its URL may contain a secret.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Detail, changes, record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    edit_tag,
    require_edit_match,
)
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    StoredAnswer,
    find_first_answer,
    keep_answer,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_common.outgoing.target import URL_CHARS_MAX, TargetPolicy
from broadsheet_subscriptions.tables import idempotency_key
from broadsheet_subscriptions.webhooks.endpoints import store
from broadsheet_subscriptions.webhooks.endpoints.change_endpoint import (
    NO_SUCH_ENDPOINT,
    change_endpoint,
    delete_endpoint,
)
from broadsheet_subscriptions.webhooks.endpoints.create_endpoint import TooManyEndpointsError, create_endpoint
from broadsheet_subscriptions.webhooks.endpoints.endpoint import Endpoint
from broadsheet_subscriptions.webhooks.endpoints.endpoint_fields import (
    DESCRIPTION_CHARS_MAX,
    EndpointFields,
    fields_of,
    parse_fields,
)
from broadsheet_subscriptions.webhooks.endpoints.rotate_secret import rotate_secret
from broadsheet_subscriptions.webhooks.sending.event import EVENT_TYPES, EventType

OVERLAP_S_DEFAULT: Final = 86_400
OVERLAP_S_MAX: Final = 7 * 86_400
_ANSWER_PURPOSE: Final = "idempotent-answer"

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=URL_CHARS_MAX)]
Description = Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARS_MAX)]
Events = Annotated[list[EventType], msgspec.Meta(min_length=1, max_length=len(EVENT_TYPES))]
NewsletterIds = Annotated[list[RecordId], msgspec.Meta(min_length=1, max_length=100)]


class EndpointInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`newsletter_ids` null means every newsletter."""

    url: Url
    events: Events
    newsletter_ids: NewsletterIds | None = None
    description: Description = ""
    enabled: bool = True


class EndpointChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member that is left out stays as it is. While an endpoint is disabled, nothing new is queued for it, and
    deliveries that wait go on waiting.
    """

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    newsletter_ids: NewsletterIds | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookEndpoint(msgspec.Struct, frozen=True):
    """`disabled_reason`: why it was disabled automatically; `failing_since`: no attempt has succeeded since."""

    id: int
    url: str
    description: str
    events: list[EventType]
    newsletter_ids: list[int] | None
    enabled: bool
    disabled_reason: str | None
    disabled_at: datetime | None
    failing_since: datetime | None
    created_at: datetime


class CreatedEndpoint(WebhookEndpoint, frozen=True, kw_only=True):
    """`secret` is shown only once. Receivers check signatures with it."""

    secret: str


class RotationInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds the previous secret still signs, together with the new one."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_S_MAX)] = OVERLAP_S_DEFAULT


class RotatedSecret(msgspec.Struct, frozen=True):
    """Shown only once."""

    secret: str


class WebhookEndpointController(Controller):
    path = "/api/v1/webhook-endpoints"
    tags = ("Webhooks",)
    request_class = JsonRequest

    @get(
        operation_id="listWebhookEndpoints",
        guards=[requires("webhooks:read")],
        summary="List webhook endpoints, newest first",
        responses=documents(),
    )
    async def list_endpoints(
        self,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[WebhookEndpoint]:
        before_id = decode_cursor(cursor)
        async with engine.connect() as connection:
            found = await store.list_endpoints(connection, before_id=before_id, limit=limit + 1)
        items = [_shown(endpoint) for endpoint in found[:limit]]
        return Page(items, encode_cursor(items[-1].id) if len(found) > limit else None)

    @post(
        operation_id="createWebhookEndpoint",
        summary="Add a webhook endpoint; its signing secret is shown once",
        description="Calls are signed as Standard Webhooks specifies.",
        guards=[requires("webhooks:write"), json_only],
        responses=documents(
            InvalidInputError, TooManyEndpointsError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def create_endpoint(
        self,
        request: ServiceRequest,
        data: JSONBody[EndpointInput],
        engine: NamedDependency[AsyncEngine],
        webhook_targets: NamedDependency[TargetPolicy],
        secret_box: NamedDependency[SecretBox],
        key: IdempotencyKeyHeader = None,
    ) -> CreatedEndpoint:
        fields = parse_fields(
            webhook_targets,
            url=data.url,
            description=data.description,
            events=data.events,
            newsletter_ids=data.newsletter_ids,
            enabled=data.enabled,
        )
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return _opened(answer, CreatedEndpoint, secret_box)
            endpoint, secret = await create_endpoint(connection, fields, box=secret_box)
            await record_audit(connection, request.user, "webhook_endpoint.created", endpoint.id, after=_said(endpoint))
            created = CreatedEndpoint(**msgspec.structs.asdict(endpoint), secret=secret.reveal())
            await keep_answer(connection, idempotency_key, request, key, status=201, body=_sealed(created, secret_box))
        return created

    @get(
        "/{endpoint_id:int}",
        operation_id="getWebhookEndpoint",
        guards=[requires("webhooks:read")],
        summary="Get a webhook endpoint",
        responses=documents(NotFoundError),
    )
    async def get_endpoint(
        self, engine: NamedDependency[AsyncEngine], endpoint_id: PathId
    ) -> Response[WebhookEndpoint]:
        async with engine.connect() as connection:
            found = await store.find_endpoint(connection, endpoint_id)
        if found is None:
            raise NotFoundError(NO_SUCH_ENDPOINT)
        return _tagged(found)

    @patch(
        "/{endpoint_id:int}",
        operation_id="updateWebhookEndpoint",
        summary="Change a webhook endpoint, or enable it again",
        guards=[requires("webhooks:write"), json_only],
        responses=documents(
            NotFoundError, InvalidInputError, PreconditionRequiredError, PreconditionFailedError, body=True
        ),
    )
    async def update_endpoint(
        self,
        request: ServiceRequest,
        endpoint_id: PathId,
        data: JSONBody[EndpointChange],
        engine: NamedDependency[AsyncEngine],
        webhook_targets: NamedDependency[TargetPolicy],
        if_match: IfMatchHeader = None,
    ) -> Response[WebhookEndpoint]:
        was: list[Endpoint] = []

        def change(before: Endpoint) -> EndpointFields:
            require_edit_match(if_match, fields_of(before), _shown(before))
            was.append(before)
            return parse_fields(
                webhook_targets,
                url=before.url if data.url is UNSET else data.url,
                description=before.description if data.description is UNSET else data.description,
                events=before.events if data.events is UNSET else data.events,
                newsletter_ids=before.newsletter_ids if data.newsletter_ids is UNSET else data.newsletter_ids,
                enabled=before.enabled if data.enabled is UNSET else data.enabled,
            )

        async with engine.begin() as connection:
            changed = await change_endpoint(connection, endpoint_id, change)
            made = changes(_audited(was[-1]), _audited(changed), shown={"enabled", "newsletter_ids", "events"})
            if made is not None:
                await record_audit(
                    connection,
                    request.user,
                    "webhook_endpoint.changed",
                    endpoint_id,
                    before=made[0],
                    after=made[1],
                )
        return _tagged(changed)

    @delete(
        "/{endpoint_id:int}",
        operation_id="deleteWebhookEndpoint",
        guards=[requires("webhooks:write")],
        summary="Remove a webhook endpoint with its waiting deliveries, its secrets and its log",
        responses=documents(NotFoundError),
    )
    async def delete_endpoint(
        self, request: ServiceRequest, endpoint_id: PathId, engine: NamedDependency[AsyncEngine]
    ) -> None:
        async with engine.begin() as connection:
            await delete_endpoint(connection, endpoint_id)
            await record_audit(connection, request.user, "webhook_endpoint.deleted", endpoint_id)

    @post(
        "/{endpoint_id:int}/rotate-secret",
        operation_id="rotateWebhookSecret",
        summary="Give a webhook endpoint a new signing secret, which is shown once",
        description="Calls carry one signature for each valid secret, so that receivers can change over meanwhile.",
        status_code=200,
        guards=[requires("webhooks:write"), json_only],
        responses=documents(NotFoundError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True),
    )
    async def rotate_secret(
        self,
        request: ServiceRequest,
        endpoint_id: PathId,
        data: JSONBody[RotationInput],
        engine: NamedDependency[AsyncEngine],
        secret_box: NamedDependency[SecretBox],
        key: IdempotencyKeyHeader = None,
    ) -> Response[RotatedSecret]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return Response(_opened(answer, RotatedSecret, secret_box), status_code=answer.status)
            secret = await rotate_secret(
                connection, endpoint_id, overlap=timedelta(seconds=data.overlap_s), box=secret_box
            )
            await record_audit(
                connection,
                request.user,
                "webhook_endpoint.secret_rotated",
                endpoint_id,
                after={"overlap_s": data.overlap_s},
            )
            rotated = RotatedSecret(secret.reveal())
            await keep_answer(connection, idempotency_key, request, key, status=200, body=_sealed(rotated, secret_box))
        return Response(rotated, status_code=200)


def _audited(endpoint: Endpoint) -> dict[str, object]:
    return msgspec.structs.asdict(fields_of(endpoint))


def _said(endpoint: Endpoint) -> dict[str, Detail]:
    """What the audit log may hold of it."""
    return {
        "events": list(endpoint.events),
        "newsletter_ids": None if endpoint.newsletter_ids is None else list(endpoint.newsletter_ids),
        "enabled": endpoint.enabled,
    }


def _shown(endpoint: Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint(**msgspec.structs.asdict(endpoint))


def _tagged(endpoint: Endpoint) -> Response[WebhookEndpoint]:
    """What its calls do to it is no edit."""
    shown = _shown(endpoint)
    return Response(shown, status_code=200, headers={"ETag": edit_tag(fields_of(endpoint), shown)})


AnswerT = TypeVar("AnswerT", CreatedEndpoint, RotatedSecret)


def _sealed(answer: AnswerT, box: SecretBox) -> AnswerT:
    """The answer as it is stored with an idempotency key: sealed, because a secret that is shown once must not be
    stored in plain text.
    """
    return msgspec.structs.replace(answer, secret=box.seal(answer.secret, purpose=_ANSWER_PURPOSE))


def _opened(kept: StoredAnswer, answer_type: type[AnswerT], box: SecretBox) -> AnswerT:
    answer = msgspec.json.decode(kept.body, type=answer_type)
    return msgspec.structs.replace(answer, secret=box.open(answer.secret, purpose=_ANSWER_PURPOSE))
