"""The JSON API for imports, `/api/v1/imports`: the file is the request's body, the answers are JSON."""

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from litestar import Controller, Response, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import AuditAction, Detail, record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    claim_key,
    find_first_answer,
    fingerprint,
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
from broadsheet_common.http.problems import (
    BodyTooLargeError,
    FieldProblem,
    InvalidInputError,
    MalformedRequestError,
    NotFoundError,
    UnsupportedMediaTypeError,
)
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only, parse_parameter
from broadsheet_subscriptions.imports import store
from broadsheet_subscriptions.imports.import_options import (
    ExistingPolicy,
    GivenState,
    ImportOptions,
    parse_options,
)
from broadsheet_subscriptions.imports.reading.text_encoding import (
    ENCODINGS,
    Encoding,
    UnknownEncodingError,
    parse_charset,
)
from broadsheet_subscriptions.imports.receive_file import receive_file
from broadsheet_subscriptions.imports.running.import_worker import ImportPolicy, ImportWorker
from broadsheet_subscriptions.imports.steer_import import (
    ImportStateError,
    UndecidedColumnsError,
    begin_undo,
    cancel_import,
    start_import,
)
from broadsheet_subscriptions.imports.store import ImportRow
from broadsheet_subscriptions.imports.wire import (
    ConsentParameter,
    DryRunParameter,
    ExistingParameter,
    Import,
    MappingParameter,
    NewsletterParameter,
    StartInput,
    StateParameter,
    TagsParameter,
    import_of,
)
from broadsheet_subscriptions.tables import idempotency_key

XLSX_MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FILE_MEDIA_TYPES: Final = (
    "text/csv", XLSX_MEDIA_TYPE, "text/tab-separated-values", "text/plain", "application/octet-stream",
    # Browsers on Windows use this type for CSV files.
    "application/vnd.ms-excel",
)  # fmt: skip

_CHARSET: Final = re.compile(r';\s*charset\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s;"]*))', re.IGNORECASE)

_log = structlog.get_logger()
_mapping_decoder = msgspec.json.Decoder(dict[str, str | None])


class NotAFileError(UnsupportedMediaTypeError):
    title = "The body must be a CSV or XLSX file with a matching Content-Type"


class UnknownCharsetError(UnsupportedMediaTypeError):
    slug, title = "unknown-charset", "The charset in Content-Type is not supported"


async def a_file_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard that runs before the body is read."""
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in FILE_MEDIA_TYPES:
        raise NotAFileError
    declared_encoding(connection.headers.get("content-type", ""))


def declared_encoding(content_type: str) -> Encoding | None:
    """The encoding that a `Content-Type` declares; None: it declares none. Raises `UnknownCharsetError`."""
    found = _CHARSET.search(content_type)
    if found is None:
        return None
    try:
        return parse_charset(found["quoted"] if found["quoted"] is not None else found["plain"])
    except UnknownEncodingError as error:
        raise UnknownCharsetError(f"Supported are {', '.join(sorted(ENCODINGS))}. UTF-8 is best.") from error


@dataclass
class UploadOperation(Operation):
    """Describes the file as the request's body, which Litestar cannot derive.

    It is a dataclass itself: an inherited constructor would not call `__post_init__`.
    """

    def __post_init__(self) -> None:
        binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        self.request_body = RequestBody(
            required=True,
            description="The file itself: CSV (UTF-8, UTF-16, Windows-1252, or what the "
            "`charset` of Content-Type declares; comma, semicolon, tab) or XLSX",
            content={media_type: OpenAPIMediaType(schema=binary) for media_type in FILE_MEDIA_TYPES[:2]},
        )


class ImportController(Controller):
    path = "/api/v1/imports"
    tags = ("Imports",)
    request_class = JsonRequest

    @get(
        operation_id="listImports",
        summary="List imports, newest first",
        guards=[requires("imports:read")],
        responses=documents(),
    )
    async def list_imports(
        self, engine: NamedDependency[AsyncEngine], limit: PageLimit = PAGE_SIZE_DEFAULT, cursor: PageCursor = None
    ) -> Page[Import]:
        async with engine.connect() as connection:
            rows = await store.list_imports(connection, before_id=decode_cursor(cursor), limit=limit + 1)
        return Page(
            [import_of(row) for row in rows[:limit]], encode_cursor(rows[limit - 1].id) if rows[limit:] else None
        )

    @get(
        "/{import_id:int}",
        operation_id="getImport",
        summary="Get an import with its progress and counts",
        guards=[requires("imports:read")],
        responses=documents(NotFoundError),
    )
    async def get_import(self, engine: NamedDependency[AsyncEngine], import_id: PathId) -> Import:
        async with engine.connect() as connection:
            return import_of(await _find(connection, import_id))

    @post(
        operation_id="createImport",
        summary="Upload a file of people and import them",
        description="The answer comes when the whole file is uploaded; it is then read in the background. If a "
        "column may say who must not be written to, and neither its values nor the mapping decide it, nothing is "
        "imported: the import fails, `undecided_columns` lists such columns, and `start` takes a mapping that decides "
        "them. A dry run shows them first.",
        status_code=202,
        guards=[requires("imports:write"), a_file_only],
        operation_class=UploadOperation,
        # The size is counted while the body arrives (IMPORT_CSV_MAX_BYTES, IMPORT_XLSX_MAX_BYTES).
        request_max_body_size=None,
        responses={
            415: documents(NotAFileError, UnknownCharsetError)[415],
            **documents(InvalidInputError, BodyTooLargeError, IdempotencyKeyReusedError, IdempotencyInFlightError),
        },
    )
    async def create_import(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        import_policy: NamedDependency[ImportPolicy],
        import_worker: NamedDependency[ImportWorker],
        consent_basis: ConsentParameter,
        newsletter_id: NewsletterParameter = None,
        given_state: StateParameter = "pending",
        existing: ExistingParameter = "fill",
        added_tags: TagsParameter = None,
        mapping: MappingParameter = None,
        dry_run: DryRunParameter = False,
        key: IdempotencyKeyHeader = None,
    ) -> Response[Import]:
        options = parse_options(
            consent_basis=consent_basis,
            given_state=_parse_state(given_state),
            existing=_parse_existing(existing),
            added_tags=added_tags or [],
            dry_run=dry_run,
            mapping=_parse_mapping(mapping),
            attribute_names=await _attribute_names(engine),
        )
        try:
            received = await receive_file(
                engine,
                request.stream(),
                import_policy,
                newsletter_id=newsletter_id,
                created_by=request.user.subject,
                options=options,
                declared=declared_encoding(request.headers.get("content-type", "")),
            )
        except ClientException as error:
            raise MalformedRequestError("The body broke off.") from error
        async with engine.begin() as connection:
            if key is not None:
                parts = (
                    request.method.encode(),
                    request.url.path.encode(),
                    request.scope["query_string"],
                    received.file_sha256,
                )
                answer = await claim_key(
                    connection,
                    idempotency_key,
                    scope=request.user.subject,
                    key=key,
                    request_fingerprint=fingerprint(parts),
                )
                if answer is not None:
                    # The file that came with the repeated request stays an unfinished upload, and is removed as such.
                    return replay(answer, Import)
            await store.finish_upload(
                connection,
                import_id=received.import_id,
                file_format=received.file_format,
                encoding=received.encoding,
                file_bytes=received.file_bytes,
                file_sha256=received.file_sha256,
                failure=received.failure,
            )
            body = import_of(await _find(connection, received.import_id))
            await record_audit(
                connection,
                request.user,
                "import.created",
                body.id,
                newsletter_id=newsletter_id,
                after=_options_said(options),
            )
            await keep_answer(connection, idempotency_key, request, key, status=202, body=body)
        _log.info("import.received", import_id=body.id, bytes=received.file_bytes)
        import_worker.wake()
        return Response(body, status_code=202)

    @post(
        "/{import_id:int}/start",
        operation_id="startImport",
        summary="Import the file of a dry run, or of an import that failed before anything was stored",
        description="Every column in `undecided_columns` must be decided by the mapping: as `opt_out`, `opt_in`, "
        "`state` or `confirmation`, or as `ignored`.",
        status_code=202,
        guards=[requires("imports:write"), json_only],
        responses=documents(
            NotFoundError,
            ImportStateError,
            InvalidInputError,
            UndecidedColumnsError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def start_import(
        self,
        request: ServiceRequest,
        import_id: PathId,
        data: JSONBody[StartInput],
        engine: NamedDependency[AsyncEngine],
        import_worker: NamedDependency[ImportWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Import]:
        attribute_names = await _attribute_names(engine)
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Import)
            options = _options_to_start(data, await _find(connection, import_id), attribute_names)
            body = import_of(await start_import(connection, import_id, options))
            action: AuditAction = "import.checked" if options.dry_run else "import.started"
            await record_audit(connection, request.user, action, import_id, after=_options_said(options))
            await keep_answer(connection, idempotency_key, request, key, status=202, body=body)
        import_worker.wake()
        return Response(body, status_code=202)

    @post(
        "/{import_id:int}/cancel",
        operation_id="cancelImport",
        summary="Cancel an import; what is stored stays until it is undone",
        status_code=200,
        guards=[requires("imports:write")],
        responses=documents(NotFoundError, ImportStateError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def cancel_import(
        self,
        request: ServiceRequest,
        import_id: PathId,
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Import]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Import)
            before = (await _find(connection, import_id)).status
            body = import_of(await cancel_import(connection, import_id))
            await _record_step(connection, request, "import.cancelled", body, before=before)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=body)
        return Response(body, status_code=200)

    @post(
        "/{import_id:int}/undo",
        operation_id="undoImport",
        summary="Undo an import, except what has changed since",
        status_code=202,
        guards=[requires("imports:write")],
        responses=documents(NotFoundError, ImportStateError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def undo_import(
        self,
        request: ServiceRequest,
        import_id: PathId,
        engine: NamedDependency[AsyncEngine],
        import_worker: NamedDependency[ImportWorker],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Import]:
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay(answer, Import)
            before = (await _find(connection, import_id)).status
            body = import_of(await begin_undo(connection, import_id))
            await _record_step(connection, request, "import.undone", body, before=before)
            await keep_answer(connection, idempotency_key, request, key, status=202, body=body)
        import_worker.wake()
        return Response(body, status_code=202)


async def _record_step(
    connection: AsyncConnection, request: ServiceRequest, action: AuditAction, job: Import, *, before: str
) -> None:
    """What is so already is no step."""
    if job.status != before:
        said: dict[str, Detail] = {"status": job.status}
        await record_audit(connection, request.user, action, job.id, before={"status": before}, after=said)


def _options_said(options: ImportOptions) -> dict[str, Detail]:
    """What the audit log may hold of them."""
    return {"state": options.given_state, "existing": options.existing, "dry_run": options.dry_run}


def _parse_state(text: str) -> GivenState:
    state: GivenState = parse_parameter(text, GivenState, pointer="/state")
    return state


def _parse_existing(text: str) -> ExistingPolicy:
    existing: ExistingPolicy = parse_parameter(text, ExistingPolicy, pointer="/existing")
    return existing


def _parse_mapping(text: str | None) -> dict[str, str | None] | None:
    if text is None:
        return None
    try:
        return _mapping_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        detail = "It must be a JSON object from column titles to fields."
        raise MalformedRequestError(errors=(FieldProblem(pointer="/mapping", detail=detail),)) from error


def _options_to_start(data: StartInput, job: ImportRow, attribute_names: list[str]) -> ImportOptions:
    return parse_options(
        consent_basis=job.consent_basis if data.consent_basis is None else data.consent_basis,
        given_state=data.state or job.given_state,
        existing=data.existing or job.existing,
        added_tags=job.added_tags if data.tags is None else data.tags,
        dry_run=data.dry_run,
        mapping=job.given_mapping if data.mapping is None else data.mapping,
        attribute_names=attribute_names,
    )


async def _attribute_names(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return [attribute.name for attribute in await store.list_attributes(connection)]


async def _find(connection: AsyncConnection, import_id: int) -> ImportRow:
    row = await store.find_import(connection, import_id)
    if row is None:
        raise NotFoundError("There is no such import.")
    return row
