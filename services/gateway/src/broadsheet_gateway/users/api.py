"""`/api/v1/users`: for owners."""

import msgspec
from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
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
    RepeatableRequest,
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
from broadsheet_gateway.access.interface import read_grants
from broadsheet_gateway.access.last_owner import LastOwnerError
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.tables import idempotency_key
from broadsheet_gateway.users import administer, store
from broadsheet_gateway.users.change_user import OwnSecondFactorError, show_user
from broadsheet_gateway.users.user import User, UserPatch


class UserController(Controller):
    path = "/api/v1/users"
    tags = ("Users",)
    request_class = JsonRequest

    @get(operation_id="listUsers", summary="List users", guards=[requires("users:read")], responses=documents())
    async def list_users(
        self,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[User]:
        """Oldest first, deactivated ones too."""
        async with engine.connect() as connection:
            rows = await store.list_users(connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1)
            grants = await read_grants(connection, [row.id for row in rows[:limit]])
        users = [User(**msgspec.structs.asdict(row), roles=grants[row.id]) for row in rows[:limit]]
        return Page(users, encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)

    @get(
        "/{user_id:int}",
        operation_id="getUser",
        summary="Get a user",
        guards=[requires("users:read")],
        responses=documents(NotFoundError),
    )
    async def get_user(self, user_id: PathId, engine: NamedDependency[AsyncEngine]) -> Response[User]:
        async with engine.connect() as connection:
            return _tagged(await show_user(connection, user_id))

    @patch(
        "/{user_id:int}",
        operation_id="changeUser",
        summary="Change a user's name or roles",
        guards=[requires("users:write"), json_only],
        responses=documents(
            NotFoundError,
            InvalidInputError,
            LastOwnerError,
            PreconditionRequiredError,
            PreconditionFailedError,
            body=True,
        ),
    )
    async def change_user(
        self,
        request: ServiceRequest,
        user_id: PathId,
        data: JSONBody[UserPatch],
        engine: NamedDependency[AsyncEngine],
        if_match: IfMatchHeader = None,
    ) -> Response[User]:
        """In effect at once for sessions, and within API_KEY_CACHE_S (5 seconds) for the user's keys."""
        return _tagged(await administer.change(request.user, user_id, data, if_match=if_match, engine=engine))

    @post(
        "/{user_id:int}/deactivate",
        operation_id="deactivateUser",
        summary="Shut a user out: no sign-in, no session, no key",
        status_code=200,
        guards=[requires("users:write")],
        responses=documents(NotFoundError, LastOwnerError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def deactivate(
        self,
        request: ServiceRequest,
        user_id: PathId,
        engine: NamedDependency[AsyncEngine],
        sessions: NamedDependency[Sessions],
        key: IdempotencyKeyHeader = None,
    ) -> Response[User]:
        """Sessions end at once, keys within API_KEY_CACHE_S (5 seconds). Nothing of what the user wrote changes."""
        repeatable = await RepeatableRequest.of(idempotency_key, request, key)
        user = await administer.deactivate(request.user, user_id, engine=engine, sessions=sessions, request=repeatable)
        return _tagged(user)

    @post(
        "/{user_id:int}/reactivate",
        operation_id="reactivateUser",
        summary="Let a deactivated user in again",
        status_code=200,
        guards=[requires("users:write")],
        responses=documents(NotFoundError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def reactivate(
        self,
        request: ServiceRequest,
        user_id: PathId,
        engine: NamedDependency[AsyncEngine],
        key: IdempotencyKeyHeader = None,
    ) -> Response[User]:
        """With the roles and the keys that they had."""
        repeatable = await RepeatableRequest.of(idempotency_key, request, key)
        return _tagged(await administer.reactivate(request.user, user_id, engine=engine, request=repeatable))

    @post(
        "/{user_id:int}/remove-second-factor",
        operation_id="removeSecondFactor",
        summary="Remove a user's second factor",
        status_code=204,
        guards=[requires("users:write")],
        responses=documents(NotFoundError, OwnSecondFactorError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def remove_second_factor(
        self,
        request: ServiceRequest,
        user_id: PathId,
        engine: NamedDependency[AsyncEngine],
        sessions: NamedDependency[Sessions],
        key: IdempotencyKeyHeader = None,
    ) -> None:
        """With its recovery codes, for somebody who has lost both. Sessions end; the password alone signs in."""
        repeatable = await RepeatableRequest.of(idempotency_key, request, key)
        await administer.remove_second_factor(
            request.user, user_id, engine=engine, sessions=sessions, request=repeatable
        )

    @post(
        "/{user_id:int}/end-sessions",
        operation_id="endUserSessions",
        summary="Sign a user out everywhere",
        status_code=204,
        guards=[requires("users:write")],
        responses=documents(NotFoundError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def end_sessions(
        self,
        request: ServiceRequest,
        user_id: PathId,
        engine: NamedDependency[AsyncEngine],
        sessions: NamedDependency[Sessions],
        key: IdempotencyKeyHeader = None,
    ) -> None:
        """At once. They may sign in again; their keys work on."""
        repeatable = await RepeatableRequest.of(idempotency_key, request, key)
        await administer.end_everywhere(request.user, user_id, engine=engine, sessions=sessions, request=repeatable)


def _tagged(user: User) -> Response[User]:
    return Response(user, headers={"ETag": entity_tag(user)})
