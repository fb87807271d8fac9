"""Change a user's name or roles, and say who may sign in. One owner always remains."""

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, record_audit
from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.entity_tag import require_match
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_gateway.access.granting import require_may_grant
from broadsheet_gateway.access.interface import read_grants, replace_grants
from broadsheet_gateway.access.last_owner import require_another_owner
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.interface import end_sessions, find_user
from broadsheet_gateway.second_factor.remove import remove_every_factor
from broadsheet_gateway.users import store
from broadsheet_gateway.users.user import User, UserPatch, parse_grants, parse_name

_OWNER = Grant("owner")


async def show_user(connection: AsyncConnection, user_id: int, *, lock: bool = False) -> User:
    """Raises NotFoundError."""
    row = await store.find_user_row(connection, user_id, lock=lock)
    if row is None:
        raise NotFoundError("There is no such user.")
    grants = await read_grants(connection, [user_id])
    return User(**msgspec.structs.asdict(row), roles=grants[user_id])


async def change_user(
    connection: AsyncConnection, user_id: int, patch: UserPatch, *, by: Identity, if_match: str | None
) -> tuple[User, User]:
    """The user before and after.

    Raises:
        NotFoundError, PreconditionRequiredError, PreconditionFailedError
        InvalidInputError: the name cannot be shown.
        ForbiddenError: a role that is added would allow more than the caller may do.
        LastOwnerError: it would leave the installation without an owner.
    """
    before = await show_user(connection, user_id, lock=True)
    require_match(if_match, before)
    if patch.name is not UNSET:
        await store.update_user(connection, user_id, name=parse_name(patch.name))
    if patch.roles is not UNSET:
        grants = parse_grants(patch.roles)
        require_may_grant(by, [grant for grant in grants if grant not in before.roles])
        if _OWNER in before.roles and _OWNER not in grants and before.deactivated_at is None:
            await require_another_owner(connection, user_id)
        await replace_grants(connection, user_id, grants)
    return before, await show_user(connection, user_id)


async def deactivate_user(connection: AsyncConnection, user_id: int) -> tuple[User, User]:
    """The user can't sign in, their sessions end, and their keys stop working. Doing it again changes nothing.

    Raises:
        NotFoundError
        LastOwnerError: nobody else is an owner.
    """
    before = await show_user(connection, user_id, lock=True)
    if before.deactivated_at is not None:
        return before, before
    if _OWNER in before.roles:
        await require_another_owner(connection, user_id)
    await store.deactivate(connection, user_id)
    return before, await show_user(connection, user_id)


async def end_user_sessions(connection: AsyncConnection, user_id: int, *, by: By) -> None:
    """From the commit on, every session that began before is over. Raises NotFoundError."""
    if not await end_sessions(connection, user_id):
        raise NotFoundError("There is no such user.")
    await record_audit(connection, by, "user.sessions_ended", user_id, after={"reason": "by_owner"})


class OwnSecondFactorError(ConflictError):
    slug, title = "own-second-factor", "One's own second factor is removed at /admin/account/second-factor"


async def remove_factor_of(connection: AsyncConnection, user_id: int, *, by: Identity) -> bool:
    """False if the user has none.

    Raises:
        NotFoundError
        OwnSecondFactorError: it is the caller's own, which only a fresh proof with that factor removes.
        ForbiddenError: the user may do more than the caller, who must not make it easier to become them.
    """
    user = await find_user(connection, user_id)
    if user is None:
        raise NotFoundError("There is no such user.")
    if by.user == f"user:{user_id}":
        raise OwnSecondFactorError
    require_may_grant(by, (await read_grants(connection, [user_id]))[user_id])
    return await remove_every_factor(connection, user, by=by)


async def reactivate_user(connection: AsyncConnection, user_id: int, *, by: Identity) -> tuple[User, User]:
    """They may sign in again, with the roles and the keys that they had.

    Raises:
        NotFoundError
        ForbiddenError: one of these roles allows more than the caller may do.
    """
    before = await show_user(connection, user_id, lock=True)
    require_may_grant(by, before.roles)
    await store.update_user(connection, user_id, deactivated_at=None)
    return before, await show_user(connection, user_id)
