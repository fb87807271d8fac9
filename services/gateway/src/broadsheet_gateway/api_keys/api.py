"""`/api/v1/api-keys`: everybody's own keys; owners see and revoke all."""

from datetime import date, datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import NARROWED_BY_HANDLER, ServiceRequest, requires
from broadsheet_common.http.idempotency import (
    IdempotencyInFlightError,
    IdempotencyKeyHeader,
    IdempotencyKeyReusedError,
    StoredAnswer,
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
    decode_key_cursor,
    encode_cursor,
    encode_key_cursor,
)
from broadsheet_common.http.problems import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    MalformedRequestError,
    NotFoundError,
)
from broadsheet_common.http.record_id import PathId, RecordId
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_gateway.api_keys import store
from broadsheet_gateway.api_keys.api_key import ApiKeyText, read_scopes
from broadsheet_gateway.api_keys.change_api_key import (
    KeyNameTakenError,
    KeyRevokedError,
    find_key,
    make_api_key,
    parse_scopes_within,
    rename_key,
    revoke_key,
    rotate_key,
    user_id_of,
)
from broadsheet_gateway.api_keys.key_input import parse_expiry, parse_name
from broadsheet_gateway.api_keys.store import ApiKeyRow, KeyUse
from broadsheet_gateway.tables import idempotency_key

NAME_CHARS_MAX = 100
OVERLAP_DEFAULT_S = 86_400
OVERLAP_MAX_S = 30 * 86_400
NEWSLETTERS_MAX = 100
SCOPES_MAX = 100

_log = structlog.get_logger()

KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Everybodys = Annotated[
    bool, QueryParameter(name="all", description="Everybody's keys instead of your own; needs `users:read`.")
]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. It may do what is in its `scopes` and what its user may do, for the newsletters given
    (null: all of its user's). `prefix` is the visible beginning of the key. After a rotation the secret before is good
    until `previous_expires_at`. `last_used_at` is up to a few seconds old.
    """

    id: int
    user_id: int
    name: str
    prefix: str
    scopes: list[str]
    newsletter_ids: list[int] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    previous_expires_at: datetime | None
    revoked_at: datetime | None


class NewApiKey(ApiKey, frozen=True, kw_only=True):
    """A key with its secret in `key`, which is shown only now."""

    key: str


class SecretNotKeptError(ConflictError):
    """The request was answered before. Its answer held a secret, which is shown once, so it is not kept."""

    slug, title = "secret-not-kept", "The first answer to this request held a secret, which is not kept"


class _WhichKey(msgspec.Struct, frozen=True):
    """What is kept of an answer with a secret."""

    id: int


class ApiKeyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`scopes`: permissions such as `issues:publish`, or the groups `read`, `write`, `admin`, `all`; of a group, those
    that you have yourself. Exports, personal data and consent records are in no group but `all`.
    `newsletter_ids` null: all newsletters that you may work on. `expires_at` null: never.
    """

    name: KeyName
    scopes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=SCOPES_MAX)]
    newsletter_ids: Annotated[list[RecordId], msgspec.Meta(min_length=1, max_length=NEWSLETTERS_MAX)] | None = None
    expires_at: datetime | None = None


class ApiKeyPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: KeyName


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`overlap_s`: how many more seconds the present secret is good; 0: no longer, which is right for a leaked key."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_MAX_S)] = OVERLAP_DEFAULT_S


class ApiKeyController(Controller):
    path = "/api/v1/api-keys"
    tags = ("API keys",)
    request_class = JsonRequest

    @get(
        operation_id="listApiKeys",
        summary="List keys",
        guards=[requires("keys:read", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(),
    )
    async def list_keys(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        everybodys: Everybodys = False,
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[ApiKey]:
        """Your own, oldest first, revoked and expired ones too."""
        if everybodys and request.user.newsletters_with("users:read") is not None:
            raise ForbiddenError("The permission `users:read` is needed for keys of others.")
        user_id = None if everybodys else user_id_of(request.user)
        async with engine.connect() as connection:
            rows = await store.list_api_keys(
                connection, user_id=user_id, after_id=decode_cursor(cursor) or 0, limit=limit + 1
            )
        return Page(
            [_shown(row) for row in rows[:limit]], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
        )

    @post(
        operation_id="createApiKey",
        summary="Make a key; its secret is shown this once",
        guards=[requires("keys:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(
            InvalidInputError,
            KeyNameTakenError,
            SecretNotKeptError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def create_key(
        self,
        request: ServiceRequest,
        data: JSONBody[ApiKeyInput],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[NewApiKey]:
        """For yourself; it can never do more than you can. A request that is sent again with its `Idempotency-Key`
        makes no second key, and shows no secret again (409): rotate the key that the answer names.
        """
        name = parse_name(data.name)
        scopes = parse_scopes_within(data.scopes, request.user)
        async with engine.begin() as connection:
            _refuse_replay(await find_first_answer(connection, idempotency_key, request, key))
            row, made = await make_api_key(
                connection,
                request.user,
                name=name,
                scopes=scopes,
                newsletter_ids=None if data.newsletter_ids is None else sorted(set(data.newsletter_ids)),
                expires_at=parse_expiry(data.expires_at),
            )
            await keep_answer(connection, idempotency_key, request, key, status=201, body=_WhichKey(row.id))
        _log.warning("security.api_key_created", api_key_id=row.id, created_by=request.user.subject)
        return _secret(row, made, status_code=201)

    @get(
        "/{key_id:int}",
        operation_id="getApiKey",
        summary="Get a key",
        guards=[requires("keys:read", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(NotFoundError),
    )
    async def get_key(self, request: ServiceRequest, key_id: PathId, engine: NamedDependency[AsyncEngine]) -> ApiKey:
        async with engine.connect() as connection:
            return _shown(await find_key(connection, request.user, key_id, others="users:read"))

    @patch(
        "/{key_id:int}",
        operation_id="renameApiKey",
        summary="Rename a key",
        guards=[requires("keys:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(NotFoundError, InvalidInputError, KeyNameTakenError, body=True),
    )
    async def rename(
        self,
        request: ServiceRequest,
        key_id: PathId,
        data: JSONBody[ApiKeyPatch],
        engine: NamedDependency[AsyncEngine],
    ) -> ApiKey:
        async with engine.begin() as connection:
            _, after = await rename_key(connection, request.user, key_id, parse_name(data.name))
        return _shown(after)

    @post(
        "/{key_id:int}/rotate",
        operation_id="rotateApiKey",
        summary="Give a key a new secret; the old one works on for a while",
        status_code=200,
        guards=[requires("keys:write", newsletter=NARROWED_BY_HANDLER), json_only],
        responses=documents(
            NotFoundError,
            KeyRevokedError,
            InvalidInputError,
            SecretNotKeptError,
            IdempotencyKeyReusedError,
            IdempotencyInFlightError,
            body=True,
        ),
    )
    async def rotate(
        self,
        request: ServiceRequest,
        key_id: PathId,
        data: JSONBody[Rotation],
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[NewApiKey]:
        """Your own key. Name, scopes and visible prefix stay; the new secret is shown this once: a request that is
        sent again with its `Idempotency-Key` makes no further secret, and shows none (409).
        """
        async with engine.begin() as connection:
            _refuse_replay(await find_first_answer(connection, idempotency_key, request, key))
            row, made = await rotate_key(connection, request.user, key_id, overlap_s=data.overlap_s)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=_WhichKey(row.id))
        _log.warning("security.api_key_rotated", api_key_id=row.id, rotated_by=request.user.subject)
        return _secret(row, made, status_code=200)

    @post(
        "/{key_id:int}/revoke",
        operation_id="revokeApiKey",
        summary="Revoke a key for good",
        status_code=200,
        guards=[requires("keys:write", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(NotFoundError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def revoke(
        self,
        request: ServiceRequest,
        key_id: PathId,
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> ApiKey:
        """In effect on every replica within API_KEY_CACHE_S (5 seconds). Revoking it again changes nothing."""
        async with engine.begin() as connection:
            if (answer := await find_first_answer(connection, idempotency_key, request, key)) is not None:
                return replay_body(answer, ApiKey)
            _, after = await revoke_key(connection, request.user, key_id)
            shown = _shown(after)
            await keep_answer(connection, idempotency_key, request, key, status=200, body=shown)
        _log.warning("security.api_key_revoked", api_key_id=key_id, revoked_by=request.user.subject)
        return shown

    @get(
        "/{key_id:int}/uses",
        operation_id="listApiKeyUses",
        summary="When and from where a key was used",
        guards=[requires("keys:read", newsletter=NARROWED_BY_HANDLER)],
        responses=documents(NotFoundError),
    )
    async def uses(
        self,
        request: ServiceRequest,
        key_id: PathId,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[KeyUse]:
        """Requests by day (UTC) and network address, newest day first; up to a few seconds old, kept for 400 days. Of
        one day at most 100 addresses are told apart; the others are counted together as `other`.
        """
        after = None if cursor is None else _parse_cursor(cursor)
        async with engine.connect() as connection:
            await find_key(connection, request.user, key_id, others="users:read")
            rows = await store.list_uses(connection, key_id, after=after, limit=limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(rows[:limit], None if last is None else encode_key_cursor(last.source, last.day.toordinal()))


def _refuse_replay(answer: StoredAnswer | None) -> None:
    """Raises SecretNotKeptError, which names the key."""
    if answer is not None:
        which = replay_body(answer, _WhichKey)
        raise SecretNotKeptError("If it got lost, rotate the key.", facts={"api_key_id": which.id})


def _parse_cursor(cursor: str) -> tuple[date, str]:
    source, day = decode_key_cursor(cursor)
    try:
        return date.fromordinal(day), source
    except (ValueError, OverflowError) as error:
        raise MalformedRequestError("The cursor is not one that this list gave.") from error


def _shown(row: ApiKeyRow) -> ApiKey:
    values = msgspec.structs.asdict(row) | {"scopes": sorted(read_scopes(row.scopes))}
    return ApiKey(**values)


def _secret(row: ApiKeyRow, key: ApiKeyText, *, status_code: int) -> Response[NewApiKey]:
    shown = NewApiKey(**msgspec.structs.asdict(_shown(row)), key=key.text)
    return Response(shown, status_code=status_code, headers={"Cache-Control": "no-store"})
