"""The second half of a sign-in: a code of the authenticator, or a recovery code."""

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_gateway.accounts.current_session import to_us
from broadsheet_gateway.accounts.interface import UserAccount, find_user
from broadsheet_gateway.accounts.note_sign_in import SignInNotes
from broadsheet_gateway.second_factor.check_code import CodeAccepted, TooManyCodes, check_code
from broadsheet_gateway.sign_in.admission import Admission, SignedIn, Visit
from broadsheet_gateway.sign_in.half_sign_ins import HalfSignIn, HalfSignIns

_log = structlog.get_logger()


class CodeWrong(msgspec.Struct, frozen=True):
    """Another may be tried."""


class HalfSignInOver(msgspec.Struct, frozen=True):
    """It is too old, was used, had all its tries, or its user changed the password or was shut out since."""


async def finish_sign_in(
    token: str | None,
    typed: str,
    *,
    visit: Visit,
    admission: Admission,
    half_sign_ins: HalfSignIns,
    notes: SignInNotes,
    engine: AsyncEngine,
    box: SecretBox,
) -> SignedIn | CodeWrong | TooManyCodes | HalfSignInOver:
    """`token` is the browser's own.

    Raises:
        UnavailableError: Redis does not answer. A code that was right is used up all the same.
    """
    half = await half_sign_ins.try_code(token)
    if token is None or half is None:
        return HalfSignInOver()
    async with engine.begin() as connection:
        user = await find_user(connection, half.user_id)
        if user is None or _is_over(half, user):
            return HalfSignInOver()
        checked = await check_code(connection, user, typed, address=visit.address, box=box)
    if isinstance(checked, CodeAccepted):
        if not await half_sign_ins.finish(token):
            return HalfSignInOver()
        return await admission.start(
            user,
            method=f"{half.method}+{checked.kind}",
            visit=visit,
            is_two_factor=True,
            is_fresh=half.is_fresh,
        )
    reason = "too_many_codes" if isinstance(checked, TooManyCodes) else "wrong_code"
    _log.warning("security.login_refused", user_id=user.id, reason=reason, method=half.method)
    await notes.refused(user.id, address=visit.address, method=half.method, reason=reason)
    return checked if isinstance(checked, TooManyCodes) else CodeWrong()


def _is_over(half: HalfSignIn, user: UserAccount) -> bool:
    """As a session that had begun then would be."""
    return (
        user.is_deactivated
        or not user.has_second_factor
        or half.password_changed_at_us != to_us(user.password_changed_at)
        or (user.sessions_end_before is not None and half.started_at_us < to_us(user.sessions_end_before))
    )
