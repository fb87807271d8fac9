"""Routes about suppressions: which addresses must not be sent to on which stream, and decisions of operators about
them.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.contracts.suppression import SuppressionKind, SuppressionOrigin
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
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents, json_only
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_delivery.events.provider_event import email_key
from broadsheet_delivery.suppressions.change_suppression import ComplaintStaysError, lift_suppression, suppress_address
from broadsheet_delivery.suppressions.store import SuppressionRow, list_suppressions
from broadsheet_delivery.suppressions.suppression import ALL_STREAMS
from broadsheet_delivery.tables import idempotency_key

STREAM_PATTERN = "^[a-z0-9][a-z0-9_-]{0,49}$"

StreamFilter = Annotated[
    str | None, QueryParameter(name="stream", max_length=50, description="Only of this message stream")
]
EmailFilter = Annotated[str | None, QueryParameter(name="email", max_length=254, description="Only of this address")]
ActiveFilter = Annotated[
    bool | None, QueryParameter(name="active", description="True: in effect; false: lifted; none: both")
]


class Suppression(msgspec.Struct, frozen=True):
    """`stream` null means every stream. `origin` says who decided, `changed_at` when. `postmark_told`: Postmark has
    the same state; `postmark_refusal`: why it refused the change made here.
    """

    id: int
    email: str
    stream: str | None
    kind: SuppressionKind
    reason: str
    origin: SuppressionOrigin
    note: str | None
    active: bool
    created_at: datetime
    changed_at: datetime
    postmark_told: bool
    postmark_refusal: str | None


class NewSuppression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stream` null means every stream, including those used later."""

    email: Annotated[str, msgspec.Meta(min_length=1, max_length=320)]
    stream: Annotated[str, msgspec.Meta(pattern=STREAM_PATTERN)] | None
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None


def _shown(row: SuppressionRow) -> Suppression:
    return Suppression(
        id=row.id,
        email=row.email_key,
        stream=None if row.message_stream == ALL_STREAMS else row.message_stream,
        kind=row.kind,
        reason=row.reason,
        origin=row.origin,
        note=row.note,
        active=row.active,
        created_at=row.created_at,
        changed_at=row.changed_at,
        postmark_told=not row.tell_pending and row.tell_error is None,
        postmark_refusal=row.tell_error,
    )


@get(
    "/api/v1/suppressions",
    guards=[requires("suppressions:read")],
    operation_id="listSuppressions",
    summary="List the addresses that must not be sent to",
    tags=["Suppressions"],
    responses=documents(),
)
async def show_suppressions(
    engine: NamedDependency[AsyncEngine],
    limit: PageLimit = PAGE_SIZE_DEFAULT,
    cursor: PageCursor = None,
    stream: StreamFilter = None,
    email: EmailFilter = None,
    active: ActiveFilter = None,
) -> Page[Suppression]:
    """Suppressions by stream and address, newest first."""
    before_id = decode_cursor(cursor)
    async with engine.connect() as connection:
        rows = await list_suppressions(
            connection,
            before_id=before_id,
            limit=limit + 1,
            stream=stream,
            email_key=email_key(email),
            active=active,
        )
    items = [_shown(row) for row in rows[:limit]]
    return Page(items, encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)


@post(
    "/api/v1/suppressions",
    guards=[requires("suppressions:write"), json_only],
    operation_id="createSuppression",
    summary="Suppress an address on a stream, or on all",
    tags=["Suppressions"],
    responses=documents(InvalidInputError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True),
)
async def create_suppression(
    request: ServiceRequest,
    engine: NamedDependency[AsyncEngine],
    address_hasher: NamedDependency[AddressHasher],
    transactional_stream: NamedDependency[str],
    data: JSONBody[NewSuppression],
    key: IdempotencyKeyHeader = None,
) -> Suppression:
    """Send nothing more to the address on the stream, and tell Postmark. Repeating it changes nothing."""
    try:
        email = EmailAddress.parse(data.email)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/email", detail=str(error)),)) from error
    async with engine.begin() as connection:
        if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
            return replay_body(answer, Suppression)
        row = await suppress_address(
            connection,
            address_hasher,
            email=email,
            stream=data.stream,
            transactional_stream=transactional_stream,
            note=data.note,
        )
        await record_audit(
            connection,
            request.user,
            "suppression.created",
            row.id,
            after={"kind": row.kind, "is_active": row.active, "all_streams": data.stream is None},
        )
        shown = _shown(row)
        await keep_answer(connection, idempotency_key, request, key, status=201, body=shown)
    return shown


@delete(
    "/api/v1/suppressions/{suppression_id:int}",
    guards=[requires("suppressions:write")],
    operation_id="deleteSuppression",
    summary="Lift a suppression",
    tags=["Suppressions"],
    responses=documents(NotFoundError, ComplaintStaysError),
)
async def delete_suppression(
    request: ServiceRequest, engine: NamedDependency[AsyncEngine], suppression_id: PathId
) -> None:
    """Allow mail to the address again, and tell Postmark. A complaint cannot be lifted. Lifting a suppression of
    every stream also lifts the rows made from it on each stream.
    """
    async with engine.begin() as connection:
        await lift_suppression(connection, suppression_id)
        await record_audit(connection, request.user, "suppression.lifted", suppression_id)


SUPPRESSION_ROUTES: list[HTTPRouteHandler] = [show_suppressions, create_suppression, delete_suppression]
