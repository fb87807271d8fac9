"""Sign-ins and sign-outs in the audit log, also those that are refused.

Nothing else is written with them, so each is a transaction of its own. How many refused ones are noted has a bound over
all sources: a flood of them must not fill the log. Beyond it they are lines of the process's log alone.
"""

from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor, AuditAction, Detail, record_audit
from broadsheet_gateway.limits.limiter import Charge, Limiter
from broadsheet_gateway.limits.rate_limit import RateLimit

REFUSALS_NOTED: Final = RateLimit(600, 60)
"""Of all refused sign-ins together."""

_log = structlog.get_logger()


class SignInNotes:
    """`address` is the network address of the request; None: not known. `method` is a word such as `password`."""

    def __init__(self, engine: AsyncEngine, limiter: Limiter) -> None:
        self._engine = engine
        self._limiter = limiter

    async def signed_in(self, user_id: int, *, address: str | None, method: str) -> None:
        await self._note(Actor.of_user(user_id, address), "user.signed_in", user_id, {"method": method})

    async def signed_out(self, user_id: int, *, address: str | None) -> None:
        await self._note(Actor.of_user(user_id, address), "user.signed_out", user_id, None)

    async def refused(self, user_id: int | None, *, address: str | None, method: str, reason: str) -> None:
        """`user_id` None: there is no such user. What was typed as the name is not kept: it may be a password."""
        [verdict] = await self._limiter.charge([Charge("sign-in-refusals-noted", "all", REFUSALS_NOTED)])
        if verdict.is_allowed:
            said: dict[str, Detail] = {"method": method, "reason": reason}
            await self._note(Actor.stranger(address), "user.sign_in_refused", user_id, said)
        else:
            _log.warning("security.refusals_not_all_audited")

    async def limited(self, user_id: int | None, *, address: str | None, limit: str) -> None:
        """For callers that bound how often they call it."""
        said: dict[str, Detail] = {"limit": limit.replace("-", "_")}
        await self._note(Actor.stranger(address), "user.sign_in_limited", user_id, said)

    async def _note(self, by: Actor, action: AuditAction, user_id: int | None, said: dict[str, Detail] | None) -> None:
        async with self._engine.begin() as connection:
            await record_audit(connection, by, action, user_id, after=said)
