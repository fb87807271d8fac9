"""A fresh proof that was refused, in the audit log: whoever has a session and guesses the password is seen."""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_gateway.accounts.current_session import Session

_log = structlog.get_logger()


async def note_refused_proof(session: Session, *, method: str, reason: str, engine: AsyncEngine) -> None:
    """`method` and `reason` are words, such as `password` and `wrong_code`. How often has a bound: the tries of a user
    are limited before they come here.
    """
    _log.warning("security.confirmation_refused", user_id=session.user_id, method=method, reason=reason)
    said = {"method": method, "reason": reason}
    async with engine.begin() as connection:
        await record_audit(connection, session.identity, "user.reauthentication_refused", session.user_id, after=said)
