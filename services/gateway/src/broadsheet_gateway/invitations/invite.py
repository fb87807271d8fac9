"""Invite somebody by mail, and send an invitation again: each time with a new link, and the one before is void.

The invitation and its mail are one transaction. One address has one invitation.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import Identity
from broadsheet_common.contracts.queue import AccountMail, enqueue_account_mail
from broadsheet_common.http.idempotency import RepeatableRequest, replay_body
from broadsheet_common.http.problems import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.access.granting import require_may_grant
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.interface import find_user, find_user_by_address
from broadsheet_gateway.api_keys.change_api_key import user_id_of
from broadsheet_gateway.invitations import store
from broadsheet_gateway.invitations.invitation import Invitation, InvitationInput, InvitationPolicy, parse_address
from broadsheet_gateway.invitations.invitation_mail import write_invitation_mail
from broadsheet_gateway.users.user import parse_grants, parse_name

INVITATIONS_MAX: Final = 200

_log = structlog.get_logger()


class TooManyInvitationsError(ConflictError):
    slug, title = "too-many-invitations", "Too many invitations are open; withdraw some first"


def token_sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def invite(
    by: Identity,
    sent: InvitationInput,
    *,
    policy: InvitationPolicy,
    engine: AsyncEngine,
    request: RepeatableRequest | None = None,
) -> Invitation:
    """An earlier invitation of the address is replaced.

    Raises:
        InvalidInputError: no address or name, or the address is a user's.
        ForbiddenError: a role would allow more than the caller may do.
        TooManyInvitationsError
        TooManyRequestsError: the address was mailed a short time ago.
        IdempotencyKeyReusedError, IdempotencyInFlightError: of the `request`.
    """
    address = parse_address(sent.email)
    name, grants = parse_name(sent.name), parse_grants(sent.roles)
    require_may_grant(by, grants)
    async with engine.begin() as connection:
        if request is not None and (answer := await request.first_answer(connection)) is not None:
            return replay_body(answer, Invitation)
        await store.take_turn(connection)
        if await find_user_by_address(connection, address.key) is not None:
            raise InvalidInputError(errors=(FieldProblem("/email", "A user has this address already."),))
        await store.forget_old(connection)
        earlier = await store.find_sent_at(connection, address.key)
        if earlier is not None:
            _require_cool(*earlier, policy)
        elif await store.count_invitations(connection) >= INVITATIONS_MAX:
            raise TooManyInvitationsError(f"At most {INVITATIONS_MAX} are open at a time.")
        made = await _write(connection, by, address, name, grants, policy)
        if request is not None:
            await request.keep(connection, status=201, body=made)
    _log.warning("security.user_invited", invitation_id=made.id, invited_by=by.subject)
    return made


async def send_again(
    by: Identity,
    invitation_id: int,
    *,
    policy: InvitationPolicy,
    engine: AsyncEngine,
    request: RepeatableRequest | None = None,
) -> Invitation:
    """Whoever sends it again is who invites now. It has a new id, and lasts anew.

    Raises:
        NotFoundError
        ForbiddenError: a role of it would allow more than the caller may do.
        InvalidInputError: a user has the address meanwhile.
        TooManyRequestsError: it was mailed a short time ago.
        IdempotencyKeyReusedError, IdempotencyInFlightError: of the `request`.
    """
    async with engine.begin() as connection:
        if request is not None and (answer := await request.first_answer(connection)) is not None:
            return replay_body(answer, Invitation)
        await store.take_turn(connection)
        found = await store.find_invitation(connection, invitation_id, lock=True)
        if found is None:
            raise NotFoundError("There is no such invitation.")
        require_may_grant(by, found.roles)
        address = EmailAddress(found.email)
        if await find_user_by_address(connection, address.key) is not None:
            raise InvalidInputError("A user has this address already; withdraw the invitation.")
        earlier = await store.find_sent_at(connection, address.key)
        if earlier is not None:
            _require_cool(*earlier, policy)
        made = await _write(connection, by, address, found.name, found.roles, policy)
        if request is not None:
            await request.keep(connection, status=200, body=made)
    _log.warning("security.user_invited", invitation_id=made.id, invited_by=by.subject)
    return made


async def withdraw(by: Identity, invitation_id: int, *, engine: AsyncEngine) -> None:
    """Its link opens nothing from the commit on. Raises NotFoundError."""
    async with engine.begin() as connection:
        if not await store.delete_invitation(connection, invitation_id):
            raise NotFoundError("There is no such invitation.")
        await record_audit(connection, by, "user.invitation_withdrawn", None, after={"invitation_id": invitation_id})
    _log.warning("security.invitation_withdrawn", invitation_id=invitation_id, withdrawn_by=by.subject)


async def _write(
    connection: AsyncConnection,
    by: Identity,
    address: EmailAddress,
    name: str,
    grants: list[Grant],
    policy: InvitationPolicy,
) -> Invitation:
    inviter_id = user_id_of(by)
    inviter = await find_user(connection, inviter_id)
    assert inviter is not None, "users are never deleted"
    token = secrets.token_urlsafe(32)
    digest = token_sha256(token)
    lifetime = timedelta(seconds=policy.lifetime_s)
    made = await store.replace_invitation(
        connection,
        address=address,
        name=name,
        grants=grants,
        invited_by=inviter_id,
        token_sha256=digest,
        lifetime=lifetime,
    )
    mail = write_invitation_mail(
        public_url=policy.public_url,
        token=token,
        inviter=inviter.name or inviter.username,
        lifetime_s=policy.lifetime_s,
    )
    await enqueue_account_mail(
        connection,
        AccountMail(
            kind="invitation",
            to=address,
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"invitation:{digest.hex()}",
            expires_in=lifetime,
        ),
    )
    roles = [grant.text for grant in grants]
    await record_audit(connection, by, "user.invited", None, after={"invitation_id": made.id, "roles": roles})
    return made


def _require_cool(sent_at: datetime, now: datetime, policy: InvitationPolicy) -> None:
    left_s = policy.cool_down_s - (now - sent_at).total_seconds()
    if left_s > 0:
        raise TooManyRequestsError(
            "This address was mailed an invitation a moment ago.", headers={"Retry-After": str(ceil(left_s))}
        )
