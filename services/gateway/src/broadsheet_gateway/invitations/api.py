"""`/api/v1/users/invitations`: for owners."""

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
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
from broadsheet_gateway.invitations.invitation import Invitation, InvitationInput, InvitationPolicy
from broadsheet_gateway.invitations.invite import TooManyInvitationsError, invite, send_again, withdraw
from broadsheet_gateway.invitations.store import list_invitations
from broadsheet_gateway.tables import idempotency_key


class InvitationController(Controller):
    path = "/api/v1/users/invitations"
    tags = ("Users",)
    request_class = JsonRequest

    @get(
        operation_id="listInvitations",
        summary="List invitations",
        guards=[requires("users:read")],
        responses=documents(),
    )
    async def list_invitations(
        self,
        engine: NamedDependency[AsyncEngine],
        limit: PageLimit = PAGE_SIZE_DEFAULT,
        cursor: PageCursor = None,
    ) -> Page[Invitation]:
        """Oldest first, those too that do not work any more."""
        async with engine.connect() as connection:
            rows = await list_invitations(connection, after_id=decode_cursor(cursor) or 0, limit=limit + 1)
        return Page(rows[:limit], encode_cursor(rows[limit - 1].id) if len(rows) > limit else None)

    @post(
        operation_id="inviteUser",
        summary="Invite somebody by mail",
        guards=[requires("users:write"), json_only],
        responses=documents(
            InvalidInputError, TooManyInvitationsError, IdempotencyKeyReusedError, IdempotencyInFlightError, body=True
        ),
    )
    async def invite(
        self,
        request: ServiceRequest,
        data: JSONBody[InvitationInput],
        engine: NamedDependency[AsyncEngine],
        invitation_policy: NamedDependency[InvitationPolicy],
        key: IdempotencyKeyHeader = None,
    ) -> Invitation:
        """The address gets a link to make an account. An earlier invitation of the address is replaced."""
        repeatable = await RepeatableRequest.of(idempotency_key, request, key)
        return await invite(request.user, data, policy=invitation_policy, engine=engine, request=repeatable)

    @post(
        "/{invitation_id:int}/send-again",
        operation_id="sendInvitationAgain",
        summary="Send an invitation again",
        status_code=200,
        guards=[requires("users:write")],
        responses=documents(NotFoundError, InvalidInputError, IdempotencyKeyReusedError, IdempotencyInFlightError),
    )
    async def send_again(
        self,
        request: ServiceRequest,
        invitation_id: PathId,
        engine: NamedDependency[AsyncEngine],
        invitation_policy: NamedDependency[InvitationPolicy],
        key: IdempotencyKeyHeader = None,
    ) -> Invitation:
        """With a new link and a new id; the link before opens nothing any more."""
        repeatable = await RepeatableRequest.of(idempotency_key, request, key)
        return await send_again(
            request.user, invitation_id, policy=invitation_policy, engine=engine, request=repeatable
        )

    @delete(
        "/{invitation_id:int}",
        operation_id="withdrawInvitation",
        summary="Withdraw an invitation",
        guards=[requires("users:write")],
        responses=documents(NotFoundError),
    )
    async def withdraw(
        self, request: ServiceRequest, invitation_id: PathId, engine: NamedDependency[AsyncEngine]
    ) -> None:
        """Its link opens nothing any more."""
        await withdraw(request.user, invitation_id, engine=engine)
