"""The background task that fans issues out, and prunes expired idempotency keys in between.

A publish in the same process wakes it at once; a poll every one to two seconds is the truth, and finds what another
process published or left unfinished. Any number of replicas may run it.
"""

import asyncio
import random
import time

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.idempotency import prune_answers
from broadsheet_publishing.fan_out.fan_out import (
    PARTITION_ABOVE_DEFAULT,
    Enqueued,
    FanOutFailedError,
    Finished,
    NothingToDo,
    Prepared,
    fan_out_step,
)
from broadsheet_publishing.fan_out.resting import Resting, back_off_s
from broadsheet_publishing.tables import idempotency_key

POLL_MIN_S, POLL_MAX_S = 1.0, 2.0
PRUNE_INTERVAL_S = 600.0
PRUNE_BATCHES_MAX = 100
PRUNE_BATCH_ROWS = 1_000

_log = structlog.get_logger()


class FanOutWorker:
    """One worker a process; `run` until cancelled, `wake` after a publish."""

    def __init__(self, engine: AsyncEngine, *, page_rows: int, partition_above: int = PARTITION_ABOVE_DEFAULT) -> None:
        self._engine = engine
        self._partition_above = partition_above
        self._page_rows = page_rows
        self._awake = asyncio.Event()
        self._random = random.Random()  # noqa: S311  # jitter
        self._resting = Resting()
        self.failures = 0
        """Rounds that failed since one succeeded."""
        self._prune_at_s = 0.0

    def wake(self) -> None:
        self._awake.set()

    async def run(self) -> None:
        while True:
            try:
                await self.work_until_idle()
                await self._prune_when_due()
                wait_s = self._random.uniform(POLL_MIN_S, POLL_MAX_S)
                self.failures = 0
            except Exception as error:  # noqa: BLE001  # whatever it is, the next round must come
                self.failures += 1
                wait_s = back_off_s(self.failures, self._random.random())
                expected = isinstance(error, SQLAlchemyError | OSError | TimeoutError)
                _log.log(
                    30 if expected else 40,
                    "publishing.fan_out_round_failed",
                    error=type(error).__name__,
                    wait_s=round(wait_s, 1),
                    exc_info=None if expected else error,
                )
            await self._sleep(wait_s)

    async def work_until_idle(self) -> None:
        """Step after step until no open fan-out is left to this worker."""
        while True:
            try:
                step = await fan_out_step(
                    self._engine,
                    page_rows=self._page_rows,
                    resting_issue_ids=self._resting.issue_ids(),
                    partition_above=self._partition_above,
                )
            except FanOutFailedError as error:
                self._rest(error)
                continue
            match step:
                case Prepared():
                    pass
                case Enqueued():
                    self._resting.forget(step.issue_id)
                case Finished():
                    self._resting.forget(step.issue_id)
                    _log.info("publishing.fan_out_finished", issue_id=step.issue_id)
                case NothingToDo():
                    return

    def _rest(self, error: FanOutFailedError) -> None:
        failures, wait_s = self._resting.rest(error.issue_id)
        _log.warning(
            "publishing.fan_out_step_failed",
            issue_id=error.issue_id,
            failures=failures,
            error=type(error.__cause__).__name__,
            wait_s=round(wait_s, 1),
        )

    async def _prune_when_due(self) -> None:
        if time.monotonic() < self._prune_at_s:
            return
        self._prune_at_s = time.monotonic() + self._random.uniform(PRUNE_INTERVAL_S / 2, PRUNE_INTERVAL_S)
        for _ in range(PRUNE_BATCHES_MAX):
            async with self._engine.begin() as connection:
                if await prune_answers(connection, idempotency_key, rows_max=PRUNE_BATCH_ROWS) == 0:
                    return

    async def _sleep(self, wait_s: float) -> None:
        try:
            await asyncio.wait_for(self._awake.wait(), wait_s)
        except TimeoutError:
            return
        finally:
            self._awake.clear()
