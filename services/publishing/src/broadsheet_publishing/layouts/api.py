"""The JSON API on layouts: `/api/v1/layouts`."""

from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    entity_tag,
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
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.compiling.issue_source import Layout as CompilerLayout
from broadsheet_publishing.compiling.issue_source import LayoutFormat
from broadsheet_publishing.layouts import store
from broadsheet_publishing.layouts.save_layout import (
    LayoutInUseError,
    NameTakenError,
    change_layout,
    check_layout,
    create_layout,
    delete_layout,
    parse_name,
)
from broadsheet_publishing.tables import idempotency_key

_log = structlog.get_logger()

RawName = Annotated[str, msgspec.Meta(max_length=1_000)]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A whole HTML or MJML document with one `{{ content }}`, where a Markdown issue's content goes."""

    id: int
    name: str
    format: LayoutFormat
    source: str
    created_at: datetime
    updated_at: datetime


class LayoutInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: RawName
    format: LayoutFormat
    source: str


class LayoutPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields to change; a field that is left out stays unchanged."""

    name: RawName | UnsetType = UNSET
    format: LayoutFormat | UnsetType = UNSET
    source: str | UnsetType = UNSET


class LayoutController(Controller):
    path = "/api/v1/layouts"
    tags = ("Layouts",)
    request_class = JsonRequest

    @get(operation_id="listLayouts", guards=[requires("layouts:read")], summary="List layouts", responses=documents())
    async def list_layouts(
        self,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Layout]:
        async with engine.connect() as connection:
            rows = await store.list_layouts(connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1)
        next_cursor = encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
        return Page([_layout(row) for row in rows[:limit]], next_cursor)

    @post(
        operation_id="createLayout",
        summary="Add a layout",
        guards=[requires("layouts:write"), json_only],
        responses=documents(
            InvalidInputError, NameTakenError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def create_layout(
        self,
        request: ServiceRequest,
        data: JSONBody[LayoutInput],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Layout]:
        """It is tried with a sample first."""
        name, layout = parse_name(data.name), CompilerLayout(data.format, data.source)
        await check_layout(compiler, layout)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Layout, tag_of=entity_tag)
            shown = _layout(await create_layout(connection, name=name, layout=layout, by=request.user))
            await keep_answer(connection, idempotency_key, request, key, status=201, body=shown)
        _log.info("publishing.layout_created", layout_id=shown.id)
        return Response(shown, status_code=201, headers={"ETag": entity_tag(shown)})

    @get(
        "/{layout_id:int}",
        operation_id="getLayout",
        guards=[requires("layouts:read")],
        summary="Get a layout",
        responses=documents(NotFoundError),
    )
    async def get_layout(self, layout_id: PathId, engine: NamedDependency[AsyncEngine]) -> Response[Layout]:
        async with engine.connect() as connection:
            row = await store.find_layout_row(connection, layout_id)
        if row is None:
            raise NotFoundError("There is no such layout.")
        shown = _layout(row)
        return Response(shown, headers={"ETag": entity_tag(shown)})

    @patch(
        "/{layout_id:int}",
        operation_id="changeLayout",
        summary="Change a layout",
        guards=[requires("layouts:write"), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            NameTakenError,
            PreconditionRequiredError,
            PreconditionFailedError,
            body=True,
        ),
    )
    async def change_layout(
        self,
        request: ServiceRequest,
        layout_id: PathId,
        data: JSONBody[LayoutPatch],
        engine: NamedDependency[AsyncEngine],
        compiler: NamedDependency[Compiler],
        if_match: IfMatchHeader = None,
    ) -> Response[Layout]:
        """Drafts are mailed with the new one; what is scheduled or sent stays as it was made."""
        values: dict[str, object] = {
            name: value for name in LayoutPatch.__struct_fields__ if (value := getattr(data, name)) is not UNSET
        }
        if isinstance(data.name, str):
            values["name"] = parse_name(data.name)
        async with engine.connect() as connection:
            before = await store.find_layout_row(connection, layout_id)
        if before is None:
            raise NotFoundError("There is no such layout.")
        await check_layout(
            compiler,
            CompilerLayout(
                before.format if data.format is UNSET else data.format,
                before.source if data.source is UNSET else data.source,
            ),
        )
        async with engine.begin() as connection:
            row = await change_layout(
                connection, layout_id, values, if_match=if_match, represent=_layout, by=request.user
            )
        _log.info("publishing.layout_changed", layout_id=layout_id)
        shown = _layout(row)
        return Response(shown, headers={"ETag": entity_tag(shown)})

    @delete(
        "/{layout_id:int}",
        operation_id="deleteLayout",
        summary="Delete a layout that no newsletter and no draft uses",
        status_code=204,
        guards=[requires("layouts:write")],
        responses=documents(NotFoundError, LayoutInUseError),
    )
    async def delete_layout(
        self, request: ServiceRequest, layout_id: PathId, engine: NamedDependency[AsyncEngine]
    ) -> None:
        async with engine.begin() as connection:
            await delete_layout(connection, layout_id, by=request.user)
        _log.info("publishing.layout_deleted", layout_id=layout_id)


def _layout(row: store.LayoutRow) -> Layout:
    return Layout(**msgspec.structs.asdict(row))
