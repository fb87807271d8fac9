"""Routes about deliveries: the status of each recipient of an issue, and its timeline."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody, PathParameter, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    find_first_answer,
    keep_answer,
    replay_body,
)
from broadsheet_common.http.pagination import (
    PAGE_SIZE_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    decode_cursor,
    encode_cursor,
)
from broadsheet_common.http.problems import InvalidInputError, NotFoundError, UnavailableError
from broadsheet_common.http.record_id import RECORD_ID_MAX, PathId, RecordId
from broadsheet_common.http.route_rules import documents, json_only
from broadsheet_delivery.composing.compose_mail import delivery_id, parse_delivery_id
from broadsheet_delivery.postmark.answer import UnusableAnswerError
from broadsheet_delivery.postmark.message import METADATA_DELIVERY
from broadsheet_delivery.postmark.records import PostmarkRecords
from broadsheet_delivery.reporting.deliveries_store import (
    DeliveryRow,
    DeliveryStatus,
    find_delivery,
    issue_deliveries,
    subscriber_deliveries,
)
from broadsheet_delivery.reporting.timeline_store import (
    SHOWN_MAX,
    AttemptRow,
    EarlierOutcomeRow,
    ProviderEventRow,
    attempts_of,
    earlier_outcomes_of,
    provider_events_of,
)
from broadsheet_delivery.retention.interface import RemovedError, refuse_removed
from broadsheet_delivery.settling.decide_uncertain import CancelledError, NotParkedError, decide_delivery
from broadsheet_delivery.settling.decision_request import DecisionRequest
from broadsheet_delivery.settling.interface import Decision, issue_decisions
from broadsheet_delivery.tables import idempotency_key
from broadsheet_delivery.throttle.interface import newsletter_of_issue

SEQ_MAX = 2**31 - 1

DeliveryId = Annotated[str, PathParameter(max_length=40, description="`<issue>-<number>`, as lists show it")]
SubscriberFilter = Annotated[
    int | None, QueryParameter(name="subscriber_id", ge=1, le=RECORD_ID_MAX, description="Deliveries to this person")
]

SUBSCRIBERS_MAX = 100
SubscribersFilter = Annotated[
    list[RecordId] | None,
    QueryParameter(
        name="subscriber_id",
        max_items=SUBSCRIBERS_MAX,
        description="Only deliveries to these people; may be repeated",
    ),
]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One issue to one subscriber. `message_id` is Postmark's; `reason` says why it was not accepted.

    `parked`: uncertain for so long that it waits for a decision.
    """

    id: str
    issue_id: int
    subscriber_id: int
    status: DeliveryStatus
    parked: bool
    message_id: uuid.UUID | None
    attempt_id: uuid.UUID | None
    error_code: int | None
    reason: str | None
    settled_at: datetime | None


class DeliveryTimeline(Delivery, frozen=True, kw_only=True):
    """A delivery with its timeline; every list is oldest first.

    `attempts` and `queued_at` are known as long as the issue's working rows are kept.
    """

    queued_at: datetime | None
    attempts: list[AttemptRow]
    earlier_outcomes: list[EarlierOutcomeRow]
    decisions: list[Decision]
    events: list[ProviderEventRow]


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(**_fields(row))


def _fields(row: DeliveryRow) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    seq = fields.pop("seq")
    del fields["queued_at"]
    return fields | {"id": delivery_id(row.issue_id, seq)}


def _parse(text: str) -> tuple[int, int]:
    found = parse_delivery_id(text)
    if found is None or not 1 <= found[0] <= RECORD_ID_MAX or not 1 <= found[1] <= SEQ_MAX:
        raise NotFoundError("There is no such delivery.")
    return found


@get(
    "/api/v1/issues/{issue_id:int}/deliveries",
    guards=[requires("deliveries:read", newsletter=newsletter_of_issue)],
    operation_id="listIssueDeliveries",
    summary="List the deliveries of an issue, one a recipient",
    tags=["Deliveries"],
    responses=documents(NotFoundError, RemovedError),
)
async def list_issue_deliveries(
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    limit: PageLimit = PAGE_SIZE_DEFAULT,
    cursor: PageCursor = None,
    status: FromQuery[DeliveryStatus | None] = None,
    subscriber_ids: SubscribersFilter = None,
) -> Page[Delivery]:
    """The deliveries of an issue, in the order in which they were enqueued."""
    after_seq = decode_cursor(cursor, position_max=SEQ_MAX) or 0
    async with engine.connect() as connection:
        await refuse_removed(connection, issue_id=issue_id)
        rows = await issue_deliveries(
            connection,
            issue_id=issue_id,
            after_seq=after_seq,
            limit=limit + 1,
            status=status,
            subscriber_ids=subscriber_ids,
        )
    return Page(
        [_delivery(row) for row in rows[:limit]], encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None
    )


@get(
    "/api/v1/deliveries",
    guards=[requires("deliveries:read")],
    operation_id="findDeliveries",
    summary="Find deliveries by subscriber or by MessageID",
    tags=["Deliveries"],
    responses=documents(InvalidInputError),
)
async def find_deliveries(
    engine: NamedDependency[AsyncEngine],
    records: NamedDependency[PostmarkRecords],
    message_id: FromQuery[uuid.UUID | None] = None,
    subscriber_id: SubscriberFilter = None,
    limit: PageLimit = PAGE_SIZE_DEFAULT,
    cursor: PageCursor = None,
) -> Page[Delivery]:
    """Exactly one of `message_id` and `subscriber_id`; the newest issue first.

    A MessageID is looked up at Postmark, which carries our id of the delivery for as long as it keeps the message.
    """
    if message_id is not None and subscriber_id is None:
        return Page(await _by_message(engine, records, message_id), None)
    if subscriber_id is None or message_id is not None:
        raise InvalidInputError("Give exactly one of `message_id` and `subscriber_id`.")
    before_issue_id = decode_cursor(cursor) or RECORD_ID_MAX
    async with engine.connect() as connection:
        rows = await subscriber_deliveries(
            connection, subscriber_id=subscriber_id, before_issue_id=before_issue_id, limit=limit + 1
        )
    return Page(
        [_delivery(row) for row in rows[:limit]],
        encode_cursor(rows[limit - 1].issue_id) if len(rows) > limit else None,
    )


async def _by_message(engine: AsyncEngine, records: PostmarkRecords, message_id: uuid.UUID) -> list[Delivery]:
    try:
        text = (await records.metadata_of(message_id)).get(METADATA_DELIVERY)
    except UnusableAnswerError as error:
        raise UnavailableError("Postmark does not answer who this message is for.") from error
    if text is None:
        return []
    issue_id, seq = _parse(text)
    async with engine.connect() as connection:
        row = await find_delivery(connection, issue_id=issue_id, seq=seq)
    return [_delivery(row)] if row is not None and row.message_id in {message_id, None} else []


@get(
    "/api/v1/deliveries/{delivery_id:str}",
    guards=[requires("deliveries:read")],
    operation_id="getDelivery",
    summary="Get a delivery with its timeline",
    tags=["Deliveries"],
    responses=documents(NotFoundError, RemovedError),
)
async def get_delivery(engine: NamedDependency[AsyncEngine], delivery_id: DeliveryId) -> DeliveryTimeline:
    """When it was queued, each call that carried it, its outcome, decisions of operators, and Postmark's events."""
    issue_id, seq = _parse(delivery_id)
    async with engine.connect() as connection:
        await refuse_removed(connection, issue_id=issue_id)
        return await _timeline(connection, issue_id, seq)


async def _timeline(connection: AsyncConnection, issue_id: int, seq: int) -> DeliveryTimeline:
    row = await find_delivery(connection, issue_id=issue_id, seq=seq)
    if row is None:
        raise NotFoundError("There is no such delivery.")
    return DeliveryTimeline(
        **_fields(row),
        queued_at=row.queued_at,
        attempts=await attempts_of(connection, issue_id=issue_id, seq=seq),
        earlier_outcomes=await earlier_outcomes_of(connection, issue_id=issue_id, seq=seq),
        decisions=await issue_decisions(connection, issue_id=issue_id, after_id=0, limit=SHOWN_MAX, seq=seq),
        events=await provider_events_of(connection, issue_id=issue_id, seq=seq, message_id=row.message_id),
    )


@post(
    "/api/v1/deliveries/{delivery_id:str}/decide",
    status_code=200,
    guards=[requires("deliveries:decide"), json_only],
    operation_id="decideDelivery",
    summary="Decide about a delivery that is uncertain and parked",
    tags=["Deliveries"],
    responses=documents(
        NotFoundError,
        NotParkedError,
        CancelledError,
        RemovedError,
        IdempotencyKeyReusedError,
        IdempotencyInFlightError,
        body=True,
    ),
)
async def decide_one_delivery(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    delivery_id: DeliveryId,
    data: JSONBody[DecisionRequest],
    key: IdempotencyKeyHeader = None,
) -> DeliveryTimeline:
    """`mark_sent` and `give_up` settle it. `send_again` risks that the recipient gets it twice."""
    issue_id, seq = _parse(delivery_id)
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay_body(answer, DeliveryTimeline)
        await refuse_removed(connection, issue_id=issue_id)
        if await find_delivery(connection, issue_id=issue_id, seq=seq) is None:
            raise NotFoundError("There is no such delivery.")
        await decide_delivery(
            connection, issue_id=issue_id, seq=seq, choice=data.choice, by=request.user, note=data.note
        )
        timeline = await _timeline(connection, issue_id, seq)
        await keep_answer(connection, idempotency_key, request, key, status=200, body=timeline)
    return timeline


DELIVERY_ROUTES: list[HTTPRouteHandler] = [list_issue_deliveries, find_deliveries, get_delivery, decide_one_delivery]
