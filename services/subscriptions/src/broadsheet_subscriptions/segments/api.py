"""The JSON API on segments, `/api/v1/segments`."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import changes, record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
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
from broadsheet_subscriptions.segments import store
from broadsheet_subscriptions.segments.count_segment import SegmentCount, count_segment
from broadsheet_subscriptions.segments.save_segment import (
    SegmentExistsError,
    SegmentInUseError,
    change_segment,
    create_segment,
    delete_segment,
    lock_segment,
)
from broadsheet_subscriptions.tables import idempotency_key

_RAW_CHARS_MAX = 1_000
_FILTER = """\
A tree: `{"all": […]}`, `{"any": […]}`, `{"not": …}`, or a leaf with a `field`:

- `attribute`: `name`, `op`, `value`. Text: `eq ne in contains starts_with is_set`; number: `eq ne in lt le gt ge
  between is_set`; date: the same and `within_days`; boolean: `eq ne is_set`.
- `tag`: `op` `has` (a tag), `has_any`, `has_all` (a list).
- `name`: `op` `eq ne in contains starts_with`. `email`: `op` `eq in domain starts_with`.
- `created`, and `confirmed` with a `newsletter_id`: `op` `before`, `since` (a moment or a date), `within_days`.
- `subscription`: `newsletter_id`, `state` `pending confirmed unsubscribed none`.
- `engagement`: `event` `received opened clicked`, and either `issue_id` or `within_days`.

Names and texts are compared without regard to case, tags exactly, all in Unicode's normal form C. A missing value fits
`ne` alone, so `not` is always the exact complement. At most 100 parts, 10 levels deep. Days are in UTC.
"""

Filter = Annotated[dict[str, Any], msgspec.Meta(description=_FILTER)]


class Segment(msgspec.Struct, frozen=True):
    """A saved filter. Its members are the subscribers that match it at any given time."""

    id: int
    name: str
    filter: Filter
    created_at: datetime
    updated_at: datetime


class SegmentInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)]
    filter: Filter


class SegmentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member that is left out stays as it is."""

    name: Annotated[str, msgspec.Meta(max_length=_RAW_CHARS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    filter: Filter | msgspec.UnsetType = msgspec.UNSET


class CountInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With a `newsletter_id`, the answer also says how many of them would get an issue of it, and why the others
    would not.
    """

    filter: Filter
    newsletter_id: RecordId | None = None


class SegmentController(Controller):
    path = "/api/v1/segments"
    tags = ("Segments",)
    request_class = JsonRequest

    @get(
        operation_id="listSegments", summary="List segments", guards=[requires("segments:read")], responses=documents()
    )
    async def list_segments(
        self,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Segment]:
        async with engine.connect() as connection:
            rows = await store.list_segments(connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1)
        return Page(
            [_segment(row) for row in rows[:limit]], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
        )

    @get(
        "/{segment_id:int}",
        operation_id="getSegment",
        summary="Get a segment",
        guards=[requires("segments:read")],
        responses=documents(NotFoundError),
    )
    async def get_segment(self, engine: NamedDependency[AsyncEngine], segment_id: PathId) -> Response[Segment]:
        async with engine.connect() as connection:
            row = await store.find_segment(connection, segment_id)
        if row is None:
            raise NotFoundError("There is no such segment.")
        return _tagged(_segment(row))

    @post(
        operation_id="createSegment",
        summary="Create a segment",
        guards=[requires("segments:write"), json_only],
        responses=documents(
            InvalidInputError, SegmentExistsError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def create_segment(
        self,
        request: ServiceRequest,
        data: JSONBody[SegmentInput],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Segment]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Segment, tag_of=entity_tag)
            segment = _segment(await create_segment(connection, name=data.name, filter_=data.filter))
            await record_audit(connection, request.user, "segment.created", segment.id)
            await keep_answer(connection, idempotency_key, request, key, status=201, body=segment)
        return _tagged(segment, status=201)

    @patch(
        "/{segment_id:int}",
        operation_id="changeSegment",
        summary="Change a segment; issues already published keep their tree",
        guards=[requires("segments:write"), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            SegmentExistsError,
            PreconditionRequiredError,
            PreconditionFailedError,
            body=True,
        ),
    )
    async def change_segment(
        self,
        request: ServiceRequest,
        segment_id: PathId,
        data: JSONBody[SegmentChange],
        engine: NamedDependency[AsyncEngine],
        if_match: IfMatchHeader = None,
    ) -> Response[Segment]:
        async with engine.begin() as connection:
            row = await lock_segment(connection, segment_id)
            require_match(if_match, _segment(row))
            changed = await change_segment(
                connection,
                row,
                name=None if data.name is msgspec.UNSET else data.name,
                filter_=None if data.filter is msgspec.UNSET else data.filter,
            )
            made = changes({"name": row.name, "filter": row.filter}, {"name": changed.name, "filter": changed.filter})
            if made is not None:
                await record_audit(connection, request.user, "segment.changed", segment_id, after=made[1])
        return _tagged(_segment(changed))

    @delete(
        "/{segment_id:int}",
        operation_id="deleteSegment",
        summary="Delete a segment that no issue waits for",
        status_code=204,
        guards=[requires("segments:write")],
        responses=documents(NotFoundError, SegmentInUseError),
    )
    async def delete_segment(
        self, request: ServiceRequest, engine: NamedDependency[AsyncEngine], segment_id: PathId
    ) -> None:
        async with engine.begin() as connection:
            await delete_segment(connection, segment_id)
            await record_audit(connection, request.user, "segment.deleted", segment_id)

    @post(
        "/count",
        operation_id="countSegment",
        summary="Count the subscribers that match a filter, and those who would get an issue",
        status_code=200,
        guards=[requires("segments:read"), json_only],
        responses=documents(InvalidInputError, body=True),
    )
    async def count_segment(self, data: JSONBody[CountInput], engine: NamedDependency[AsyncEngine]) -> SegmentCount:
        async with engine.connect() as connection:
            return await count_segment(connection, filter_=data.filter, newsletter_id=data.newsletter_id)


def _segment(row: store.SegmentRow) -> Segment:
    return Segment(row.id, row.name, row.filter, row.created_at, row.updated_at)


def _tagged(segment: Segment, *, status: int = 200) -> Response[Segment]:
    return Response(segment, status_code=status, headers={"ETag": entity_tag(segment)})
