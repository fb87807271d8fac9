"""Check a code that a user has typed: one of the authenticator, or a recovery code. Each is good once.

Wrong ones are counted for the user over all sources and replicas, in the database. Only somebody who has proved the
first factor comes this far, so strangers lock nobody out.
"""

from datetime import timedelta
from typing import Final, Literal

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import Actor, record_audit
from broadsheet_common.contracts.sealed_secret import SecretBox, UnreadableSecretError
from broadsheet_gateway.account_notices.queue_notice import queue_notice
from broadsheet_gateway.accounts.interface import UserAccount
from broadsheet_gateway.second_factor import store
from broadsheet_gateway.second_factor.authenticator import matching_step
from broadsheet_gateway.second_factor.notice import Notice, write_notice
from broadsheet_gateway.second_factor.typed_code import AuthenticatorCode, RecoveryCode, parse_code

TRIES_MAX: Final = 10
TRIES_WINDOW: Final = timedelta(minutes=15)
"""So many wrong codes in so long, of either kind."""

WRONG_CODE: Final = "This code is not right, or was used before. Take the one that is shown now."

_log = structlog.get_logger()


class CodeAccepted(msgspec.Struct, frozen=True):
    """It is used up, once the caller's transaction commits."""

    kind: Literal["totp", "recovery_code"]


class CodeRefused(msgspec.Struct, frozen=True):
    """Wrong, used before, or too old: nobody is told which."""


class TooManyCodes(msgspec.Struct, frozen=True):
    """No code is looked at for so long, also no right one."""

    retry_after_s: int


CodeChecked = CodeAccepted | CodeRefused | TooManyCodes


def purpose_of(user_id: int) -> str:
    """What a sealed secret is bound to."""
    return f"second-factor:{user_id}"


async def check_code(
    connection: AsyncConnection, user: UserAccount, typed: str, *, address: str | None, box: SecretBox
) -> CodeChecked:
    """The caller commits in any case: the try counts. `address`: of the request, for the audit log."""
    if not await store.count_try(connection, user.id, tries_max=TRIES_MAX, window=TRIES_WINDOW):
        left_s = await store.seconds_until_next_try(connection, user.id, window=TRIES_WINDOW)
        _log.warning("security.second_factor_limited", user_id=user.id)
        return TooManyCodes(max(1, int(left_s) + 1))
    match parse_code(typed):
        case AuthenticatorCode(digits) if await _accepts(connection, user.id, digits, box=box):
            accepted = CodeAccepted("totp")
        case RecoveryCode(sha256) if await store.use_recovery_code(connection, user_id=user.id, sha256=sha256):
            accepted = CodeAccepted("recovery_code")
            await record_audit(connection, Actor.of_user(user.id, address), "user.recovery_code_used", user.id)
            await queue_notice(connection, user.email, write_notice(Notice.RECOVERY_CODE_USED))
            _log.warning("security.recovery_code_used", user_id=user.id)
        case _:
            return CodeRefused()
    await store.forget_tries(connection, user.id)
    return accepted


async def _accepts(connection: AsyncConnection, user_id: int, digits: str, *, box: SecretBox) -> bool:
    factor = await store.find_factor(connection, user_id)
    if factor is None:
        return False
    try:
        secret = box.open(factor.sealed_secret, purpose=purpose_of(user_id))
    except UnreadableSecretError:
        _log.error("security.second_factor_unreadable", user_id=user_id)
        return False
    step = matching_step(secret, digits, now_s=factor.now_s, after_step=factor.last_step)
    return step is not None and await store.use_step(connection, user_id=user_id, step=step)
