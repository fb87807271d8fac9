"""Take sign-ups that arrived together: one transaction for all of them, unless one cannot be written.

Then nothing is written, and each is tried again in a transaction of its own: a bad one harms no other. A row that
somebody else holds is waited for only briefly, because the others of the batch would wait too.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, SignUp, subscribe_all
from broadsheet_subscriptions.subscribers.change_source import begin_change

BATCH_MAX: Final = 100
LOCK_WAIT_MAX_MS: Final = 500
"""How long one of several waits for a row. A sign-up that is alone waits as long as any statement may."""
ALONE_AT_ONCE: Final = 4
"""Transactions at once when each is tried alone, of the pool's connections."""

_log = structlog.get_logger()


async def take_sign_ups(
    engine: AsyncEngine, sign_ups: Sequence[SignUp], policy: ConfirmationPolicy
) -> list[Exception | None]:
    """What became of each, in order: None when it is committed, or the error that it alone has met."""
    outcomes: list[Exception | None] = [None] * len(sign_ups)
    together: list[int] = []
    later: list[int] = []
    mailboxes: set[str] = set()
    for place, sign_up in enumerate(sign_ups):
        # What the second one of a mailbox gets depends on what the first one got.
        is_second = sign_up.email.mailbox_key in mailboxes
        (later if is_second else together).append(place)
        mailboxes.add(sign_up.email.mailbox_key)
    try:
        found = await _write(engine, [sign_ups[place] for place in together], policy, has_company=len(sign_ups) > 1)
        for place, error in zip(together, found, strict=True):
            outcomes[place] = error
    except Exception as error:  # noqa: BLE001  # each is answered with its own, or with this one
        if len(together) == 1 or not may_be_the_items_fault(error):
            return [error] * len(sign_ups)
        _log.warning("sign_up.batch_failed", sign_ups=len(together), error=type(error).__name__)
        slots = asyncio.Semaphore(ALONE_AT_ONCE)

        async def alone(place: int) -> None:
            async with slots:
                outcomes[place] = await _write_alone(engine, sign_ups[place], policy)

        async with asyncio.TaskGroup() as tries:
            for place in together:
                tries.create_task(alone(place))
    for place in later:
        outcomes[place] = await _write_alone(engine, sign_ups[place], policy)
    return outcomes


async def _write_alone(engine: AsyncEngine, sign_up: SignUp, policy: ConfirmationPolicy) -> Exception | None:
    try:
        [error] = await _write(engine, [sign_up], policy, has_company=True)
    except Exception as found:  # noqa: BLE001  # answered, and logged if it is not expected
        return found
    return error


async def _write(
    engine: AsyncEngine, sign_ups: Sequence[SignUp], policy: ConfirmationPolicy, *, has_company: bool
) -> list[Exception | None]:
    """One transaction. `has_company`: others are answered at the same time."""
    async with engine.begin() as connection:
        await begin_change(connection, "sign_up", lock_wait_max_ms=LOCK_WAIT_MAX_MS if has_company else None)
        results = await subscribe_all(connection, sign_ups, policy)
    return [result if isinstance(result, Exception) else None for result in results]
