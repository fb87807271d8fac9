"""Set a new password by a link from a mail.

The link works once; all sessions of the user end; a second factor stays.
"""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_gateway.account_notices.notices import write_password_changed
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.interface import lock_user, set_password_hash
from broadsheet_gateway.accounts.password import PasswordFault, explain, find_fault
from broadsheet_gateway.accounts.password_hashing import PasswordHashing
from broadsheet_gateway.accounts.sessions import Sessions
from broadsheet_gateway.password_reset.request_reset import token_sha256
from broadsheet_gateway.password_reset.store import find_reset, use_reset
from broadsheet_gateway.settings import DEFAULT_PASSWORD

_log = structlog.get_logger()


class PasswordSet(msgspec.Struct, frozen=True):
    pass


class ResetRefused(msgspec.Struct, frozen=True):
    """`errors`: sentences by the field's name. The link still works."""

    errors: dict[str, str]


class LinkNotValid(msgspec.Struct, frozen=True):
    """The link is unknown, used, replaced by a later one, or too old."""


async def is_link_valid(token: str, *, engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return await find_reset(connection, token_sha256(token)) is not None


async def set_by_link(
    *,
    token: str,
    new: str,
    new_repeated: str,
    source: str | None,
    may_use_default_password: bool,
    engine: AsyncEngine,
    hashing: PasswordHashing,
    sessions: Sessions,
) -> PasswordSet | ResetRefused | LinkNotValid:
    """No transaction is open while hashing; of two uses at once one sets the password.

    Raises:
        UnavailableError: too many passwords are being hashed. (Redis away is no obstacle: the database ends sessions.)
    """
    digest = token_sha256(token)
    async with engine.connect() as connection:
        user = await find_reset(connection, digest)
    if user is None:
        return LinkNotValid()
    own_words = (user.name, user.email)
    fault = find_fault(new, new_repeated, username=user.username, own_words=own_words)
    if fault is None and new == DEFAULT_PASSWORD and not may_use_default_password:
        fault = PasswordFault.COMMON
    if fault is not None:
        field = "new_password_check" if fault is PasswordFault.MISMATCH else "new_password"
        return ResetRefused({field: explain(fault, new, username=user.username, own_words=own_words)})
    new_hash = await hashing.hash(new)
    async with engine.begin() as connection:
        await lock_user(connection, user.id)
        if not await use_reset(connection, digest):
            return LinkNotValid()
        await set_password_hash(connection, user_id=user.id, new_hash=new_hash)
        await queue_notice(connection, user.email or None, write_password_changed())
        await record_audit(connection, Actor.of_user(user.id, source), "user.password_reset", user.id)
    _log.info("security.password_reset", user_id=user.id)
    await sessions.end_all_if_reachable(user.id)
    return PasswordSet()
