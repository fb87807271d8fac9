"""The background work that fans issues out, and prunes expired idempotency keys.

A publish in the same process wakes it at once; polling every one to two seconds finds what another process
published or left unfinished. Any number of replicas may run it.
"""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.http.idempotency import prune_answers
from broadsheet_publishing.fan_out.fan_out import (
    PARTITION_ABOVE_DEFAULT,
    Enqueued,
    Finished,
    NothingToDo,
    Prepared,
    fan_out_step,
)
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.tables import idempotency_key

POLL_S = 1.5
BOUND_S = 120.0
"""Many issues may be fanned out in one round; each step says that it goes on."""
PRUNE_INTERVAL_S = 450.0
PRUNE_BOUND_S = 3600.0
PRUNE_BATCHES_MAX = 100
PRUNE_BATCH_ROWS = 1_000

_log = structlog.get_logger()


class FanOutWorker:
    """One worker a process: its `loops`, and `wake` after a publish."""

    def __init__(self, engine: AsyncEngine, *, page_rows: int, partition_above: int = PARTITION_ABOVE_DEFAULT) -> None:
        self._engine = engine
        self._partition_above = partition_above
        self._page_rows = page_rows
        self._set_aside: SetAside[int] = SetAside("publishing.fan_out")
        self._loop = Loop(
            "publishing.fan_out",
            self.work_until_idle,
            interval_s=POLL_S,
            bound_s=BOUND_S,
            required=True,
            cancel_on_stop=True,
            set_aside=self._set_aside,
        )
        prune = Loop(
            "publishing.prune_keys",
            self._prune,
            interval_s=PRUNE_INTERVAL_S,
            bound_s=PRUNE_BOUND_S,
            cancel_on_stop=True,
        )
        self.loops = (self._loop, prune)

    def wake(self) -> None:
        self._loop.wake()

    async def work_until_idle(self) -> None:
        """Step after step until no open fan-out is left to this worker."""
        while True:
            try:
                step = await fan_out_step(
                    self._engine,
                    page_rows=self._page_rows,
                    resting_issue_ids=self._set_aside.resting(),
                    partition_above=self._partition_above,
                )
            except IssueStepFailedError as error:
                self._set_aside.hold(error.issue_id, error.cause)
                continue
            self._loop.progress()
            match step:
                case Prepared():
                    pass
                case Enqueued():
                    self._set_aside.forget(step.issue_id)
                case Finished():
                    self._set_aside.forget(step.issue_id)
                    _log.info("publishing.fan_out_finished", issue_id=step.issue_id)
                case NothingToDo():
                    return

    async def _prune(self) -> None:
        for _ in range(PRUNE_BATCHES_MAX):
            async with self._engine.begin() as connection:
                if await prune_answers(connection, idempotency_key, rows_max=PRUNE_BATCH_ROWS) == 0:
                    return
