"""Compile welcome mails again whose newsletter or layout looks different now: a background loop of every replica.

What was compiled last stays in use until then, and also if the new look cannot be compiled; then the newsletter shows
why.
"""

from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_publishing.compiling.compiler import Compiler, CompilerBusyError
from broadsheet_publishing.newsletters.interface import find_newsletter
from broadsheet_publishing.welcome import store
from broadsheet_publishing.welcome.compile_welcome import compile_welcome, read_welcome_input

LOOP: Final = "publishing.welcome_mails"
INTERVAL_S: Final = 2.0
MAILS_A_ROUND_MAX: Final = 5
_BOUND_S: Final = 60.0

_log = structlog.get_logger()


async def refresh_welcomes(engine: AsyncEngine, compiler: Compiler, set_aside: SetAside[int] | None = None) -> int:
    """One bounded round; returns how many were compiled. Two replicas may compile the same one: the result is one."""
    held = SetAside[int](LOOP) if set_aside is None else set_aside
    async with engine.connect() as connection:
        due = await store.find_outdated(connection, limit=MAILS_A_ROUND_MAX, resting=held.resting())
    done = 0
    for newsletter_id in due:
        try:
            done += await _refresh(engine, compiler, newsletter_id)
        except CompilerBusyError:
            # Authors wait for it; this is done in a later round.
            break
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            held.hold(newsletter_id, error)
        else:
            held.forget(newsletter_id)
    return done


async def _refresh(engine: AsyncEngine, compiler: Compiler, newsletter_id: int) -> bool:
    async with engine.connect() as connection:
        newsletter = await find_newsletter(connection, newsletter_id)
        row = (await store.find_welcomes(connection, [newsletter_id])).get(newsletter_id)
        if newsletter is None or row is None:
            return False
        given = await read_welcome_input(connection, row.source, msgspec.structs.asdict(newsletter))
    content, faults = await compile_welcome(compiler, given)
    async with engine.begin() as connection:
        is_kept = await store.put_compiled_again(connection, newsletter_id, content, faults, version=row.version)
    _log.info("publishing.welcome_mail_compiled", newsletter_id=newsletter_id, faults=len(faults), is_kept=is_kept)
    return is_kept


class WelcomeRefresher:
    """One a process: its `loop`."""

    def __init__(self, engine: AsyncEngine, compiler: Compiler) -> None:
        self._engine = engine
        self._compiler = compiler
        self._set_aside: SetAside[int] = SetAside(LOOP)
        self.loop = Loop(LOOP, self._round, interval_s=INTERVAL_S, bound_s=_BOUND_S, set_aside=self._set_aside)

    async def _round(self) -> None:
        await refresh_welcomes(self._engine, self._compiler, self._set_aside)
