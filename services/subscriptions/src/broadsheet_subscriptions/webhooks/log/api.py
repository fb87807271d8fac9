"""The JSON API for the log of webhook deliveries: what was sent, what was answered, what is tried next."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, parse_parameter
from broadsheet_subscriptions.tables import idempotency_key
from broadsheet_subscriptions.webhooks.endpoints.change_endpoint import NO_SUCH_ENDPOINT
from broadsheet_subscriptions.webhooks.endpoints.store import find_endpoint
from broadsheet_subscriptions.webhooks.log import store
from broadsheet_subscriptions.webhooks.log.send_again import (
    NO_SUCH_DELIVERY,
    NotToBeToldError,
    queue_test,
    retry_delivery,
)
from broadsheet_subscriptions.webhooks.log.store import DeliveryRow, DeliveryStatus
from broadsheet_subscriptions.webhooks.sending.event import MessageType

# The type is text, so that an error names the parameter as it was sent.
StatusFilter = Annotated[
    str | None,
    QueryParameter(
        name="status",
        description="Only deliveries of this status",
        schema_extra={"enum": ["waiting", "delivered", "failed", "cancelled"]},
    ),
]


class WebhookAttempt(msgspec.Struct, frozen=True):
    """`http_status`, or `error` if there was none; `answer`: the beginning of the answer, without addresses and
    tokens.
    """

    at: datetime
    duration_ms: int
    http_status: int | None
    error: str | None
    answer: str | None


class WebhookDelivery(msgspec.Struct, frozen=True):
    """`message_id` is the `webhook-id` of every attempt. `attempts`: newest first, at most twenty.

    `next_attempt_at` null: it is settled, or an attempt is under way. `cancelled`: its subscriber was removed.
    """

    id: int
    endpoint_id: int
    message_id: str
    type: MessageType
    subscriber_id: int | None
    newsletter_id: int | None
    occurred_at: datetime
    status: DeliveryStatus
    next_attempt_at: datetime | None
    settled_at: datetime | None
    attempts: list[WebhookAttempt]


class EndpointDeliveriesController(Controller):
    path = "/api/v1/webhook-endpoints/{endpoint_id:int}"
    tags = ("Webhooks",)
    request_class = JsonRequest

    @get(
        "/deliveries",
        operation_id="listWebhookDeliveries",
        summary="List the deliveries to a webhook endpoint, sent or waiting, newest first",
        guards=[requires("webhooks:read")],
        responses=documents(NotFoundError),
    )
    async def list_deliveries(
        self,
        engine: NamedDependency[AsyncEngine],
        endpoint_id: PathId,
        status: StatusFilter = None,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[WebhookDelivery]:
        before_id, wanted = decode_cursor(cursor), _parse_status(status)
        async with engine.connect() as connection:
            if await find_endpoint(connection, endpoint_id) is None:
                raise NotFoundError(NO_SUCH_ENDPOINT)
            rows = await store.list_deliveries(
                connection, endpoint_id=endpoint_id, status=wanted, before_id=before_id, limit=limit + 1
            )
            items = await _with_attempts(connection, rows[:limit])
        return Page(items, encode_cursor(items[-1].id) if len(rows) > limit else None)

    @post(
        "/test",
        operation_id="sendTestWebhook",
        summary="Send a webhook endpoint a test message, once",
        description="The answer comes before the call; `GET /api/v1/webhook-deliveries/{id}` shows its result.",
        status_code=202,
        guards=[requires("webhooks:write")],
        responses=documents(NotFoundError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def send_test(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        endpoint_id: PathId,
        key: IdempotencyKeyHeader = None,
    ) -> Response[WebhookDelivery]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, WebhookDelivery)
            queued = _shown(await queue_test(connection, endpoint_id), [])
            await record_audit(connection, request.user, "webhook_endpoint.test_sent", endpoint_id)
            await keep_answer(connection, idempotency_key, request, key, status=202, body=queued)
        return Response(queued, status_code=202)


class WebhookDeliveryController(Controller):
    path = "/api/v1/webhook-deliveries/{delivery_id:int}"
    tags = ("Webhooks",)
    request_class = JsonRequest

    @get(
        operation_id="getWebhookDelivery",
        summary="Get a webhook delivery with its attempts",
        guards=[requires("webhooks:read")],
        responses=documents(NotFoundError),
    )
    async def get_delivery(self, engine: NamedDependency[AsyncEngine], delivery_id: PathId) -> WebhookDelivery:
        async with engine.connect() as connection:
            found = await store.find_delivery(connection, delivery_id)
            if found is None:
                raise NotFoundError(NO_SUCH_DELIVERY)
            return (await _with_attempts(connection, [found]))[0]

    @post(
        "/retry",
        operation_id="retryWebhookDelivery",
        summary="Send a webhook delivery again, at once",
        description="With the same `webhook-id`, whether it was delivered, had failed or waits for its next attempt.",
        status_code=202,
        guards=[requires("webhooks:write")],
        responses=documents(NotFoundError, NotToBeToldError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def retry(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        delivery_id: PathId,
        key: IdempotencyKeyHeader = None,
    ) -> Response[WebhookDelivery]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, WebhookDelivery)
            queued = (await _with_attempts(connection, [await retry_delivery(connection, delivery_id)]))[0]
            await record_audit(
                connection,
                request.user,
                "webhook_delivery.retried",
                delivery_id,
                after={"endpoint_id": queued.endpoint_id},
            )
            await keep_answer(connection, idempotency_key, request, key, status=202, body=queued)
        return Response(queued, status_code=202)


def _parse_status(text: str | None) -> DeliveryStatus | None:
    status: DeliveryStatus | None = parse_parameter(text, DeliveryStatus | None, pointer="/status")
    return status


async def _with_attempts(connection: AsyncConnection, rows: list[DeliveryRow]) -> list[WebhookDelivery]:
    attempts = await store.list_attempts(connection, [row.id for row in rows])
    return [
        _shown(
            row,
            [
                WebhookAttempt(one.recorded_at, one.duration_ms, one.http_status, one.error, one.answer)
                for one in attempts[row.id]
            ],
        )
        for row in rows
    ]


def _shown(row: DeliveryRow, attempts: list[WebhookAttempt]) -> WebhookDelivery:
    return WebhookDelivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        message_id=f"msg_{row.message_id.hex}",
        type=row.type,
        subscriber_id=row.subscriber_id,
        newsletter_id=row.newsletter_id,
        occurred_at=row.occurred_at,
        status=row.status,
        next_attempt_at=row.run_at if row.status == "waiting" and not row.under_way else None,
        settled_at=row.settled_at,
        attempts=attempts,
    )
