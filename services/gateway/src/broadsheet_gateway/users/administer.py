"""What owners do to users, each with its entry in the audit log: for the API and for the pages alike."""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.idempotency import RepeatableRequest, replay_body
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.users.change_user import (
    change_user,
    deactivate_user,
    end_user_sessions,
    reactivate_user,
    remove_factor_of,
)
from broadsheet_gateway.users.record_changes import record_changes
from broadsheet_gateway.users.user import User, UserPatch

_log = structlog.get_logger()


async def change(by: Identity, user_id: int, patch: UserPatch, *, if_match: str | None, engine: AsyncEngine) -> User:
    """Raises as `change_user`."""
    async with engine.begin() as connection:
        before, after = await change_user(connection, user_id, patch, by=by, if_match=if_match)
        await record_changes(connection, by, before, after)
    _log.warning("security.user_changed", user_id=user_id, changed_by=by.subject)
    return after


async def deactivate(
    by: Identity, user_id: int, *, engine: AsyncEngine, sessions: Sessions, request: RepeatableRequest | None = None
) -> User:
    """Raises as `deactivate_user`, and as `claim_key` of the `request`."""
    async with engine.begin() as connection:
        if request is not None and (answer := await request.first_answer(connection)) is not None:
            return replay_body(answer, User)
        before, after = await deactivate_user(connection, user_id)
        await record_changes(connection, by, before, after)
        if request is not None:
            await request.keep(connection, status=200, body=after)
    _log.warning("security.user_deactivated", user_id=user_id, changed_by=by.subject)
    await sessions.end_all_if_reachable(user_id)
    return after


async def reactivate(
    by: Identity, user_id: int, *, engine: AsyncEngine, request: RepeatableRequest | None = None
) -> User:
    """Raises as `reactivate_user`, and as `claim_key` of the `request`."""
    async with engine.begin() as connection:
        if request is not None and (answer := await request.first_answer(connection)) is not None:
            return replay_body(answer, User)
        before, after = await reactivate_user(connection, user_id, by=by)
        await record_changes(connection, by, before, after)
        if request is not None:
            await request.keep(connection, status=200, body=after)
    _log.warning("security.user_reactivated", user_id=user_id, changed_by=by.subject)
    return after


async def end_everywhere(
    by: Identity, user_id: int, *, engine: AsyncEngine, sessions: Sessions, request: RepeatableRequest | None = None
) -> None:
    """Raises NotFoundError, and as `claim_key` of the `request`."""
    async with engine.begin() as connection:
        if request is not None and await request.first_answer(connection) is not None:
            return
        await end_user_sessions(connection, user_id, by=by)
        if request is not None:
            await request.keep(connection, status=204, body=None)
    _log.warning("security.sessions_ended", user_id=user_id, ended_by=by.subject)
    await sessions.end_all_if_reachable(user_id)


async def remove_second_factor(
    by: Identity, user_id: int, *, engine: AsyncEngine, sessions: Sessions, request: RepeatableRequest | None = None
) -> None:
    """Nothing for a user who has none. Raises as `remove_factor_of`, and as `claim_key`."""
    async with engine.begin() as connection:
        if request is not None and await request.first_answer(connection) is not None:
            return
        is_removed = await remove_factor_of(connection, user_id, by=by)
        if request is not None:
            await request.keep(connection, status=204, body=None)
    if is_removed:
        _log.warning("security.second_factor_removed", user_id=user_id, changed_by=by.subject)
        await sessions.end_all_if_reachable(user_id)
