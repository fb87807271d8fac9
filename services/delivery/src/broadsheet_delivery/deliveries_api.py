"""Routes about deliveries: where each recipient of an issue stands."""

import uuid
from datetime import datetime

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.identity import requires
from broadsheet_common.pagination import PAGE_SIZE_DEFAULT, Page, PageCursor, PageLimit, decode_cursor, encode_cursor
from broadsheet_common.problems import NotFoundError
from broadsheet_common.record_id import PathId
from broadsheet_common.route_rules import documents
from broadsheet_delivery.compose_mail import delivery_id
from broadsheet_delivery.sending_state import issue_run_state
from broadsheet_delivery.timeline_store import DeliveryStatus, issue_deliveries


class Delivery(msgspec.Struct, frozen=True):
    """One issue to one subscriber. `message_id` is Postmark's; `reason` says why it was not accepted."""

    id: str
    issue_id: int
    subscriber_id: int
    status: DeliveryStatus
    message_id: uuid.UUID | None
    attempt_id: uuid.UUID | None
    error_code: int | None
    reason: str | None
    settled_at: datetime | None


@get(
    "/api/v1/issues/{issue_id:int}/deliveries",
    guards=[requires("read")],
    operation_id="listIssueDeliveries",
    summary="List the deliveries of an issue, one a recipient",
    tags=["Deliveries"],
    responses=documents(NotFoundError),
)
async def list_issue_deliveries(
    engine: NamedDependency[AsyncEngine],
    issue_id: PathId,
    limit: PageLimit = PAGE_SIZE_DEFAULT,
    cursor: PageCursor = None,
    status: FromQuery[DeliveryStatus | None] = None,
) -> Page[Delivery]:
    """The deliveries of an issue, in the order in which they were enqueued."""
    after_seq = decode_cursor(cursor) or 0
    async with engine.connect() as connection:
        if await issue_run_state(connection, issue_id=issue_id) is None:
            raise NotFoundError("No issue with this id has been published.")
        rows = await issue_deliveries(
            connection, issue_id=issue_id, after_seq=after_seq, limit=limit + 1, status=status
        )
    items = [
        Delivery(
            id=delivery_id(issue_id, row.seq),
            issue_id=issue_id,
            subscriber_id=row.subscriber_id,
            status=row.status,
            message_id=row.message_id,
            attempt_id=row.attempt_id,
            error_code=row.error_code,
            reason=row.reason,
            settled_at=row.settled_at,
        )
        for row in rows[:limit]
    ]
    return Page(items, encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None)


DELIVERY_ROUTES: list[HTTPRouteHandler] = [list_issue_deliveries]
