"""The background task that publishes issues at their time, in every replica.

It sleeps until the next schedule is due by the database's clock, and never longer than a second: schedules come from
other processes too, and this process's clock counts for nothing.
"""

import asyncio
import random
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.fan_out.resting import Resting, back_off_s
from broadsheet_publishing.schedule.fire_schedule import (
    Fired,
    FiringFailedError,
    NothingDue,
    Withdrawn,
    fire_next_schedule,
)

POLL_S = 1.0
POLL_MIN_S = 0.01

_log = structlog.get_logger()


class ScheduleWorker:
    """One a process; `run` until cancelled. `on_published` is told when there is something to fan out."""

    def __init__(self, engine: AsyncEngine, *, on_published: Callable[[], None]) -> None:
        self._engine = engine
        self._on_published = on_published
        self._random = random.Random()  # noqa: S311  # jitter
        self._resting = Resting()
        self.failures = 0
        """Rounds that failed since one succeeded."""

    async def run(self) -> None:
        while True:
            try:
                wait_s = await self.fire_all_due()
                self.failures = 0
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                self.failures += 1
                wait_s = back_off_s(self.failures, self._random.random())
                _log.warning("publishing.schedule_round_failed", error=type(error).__name__, wait_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def fire_all_due(self) -> float:
        """Publish what is due; how long to wait before looking again, in seconds."""
        while True:
            try:
                step = await fire_next_schedule(self._engine, resting_issue_ids=self._resting.issue_ids())
            except FiringFailedError as error:
                failures, wait_s = self._resting.rest(error.issue_id)
                _log.warning(
                    "publishing.schedule_failed",
                    issue_id=error.issue_id,
                    failures=failures,
                    error=type(error.__cause__).__name__,
                    wait_s=round(wait_s, 1),
                )
                continue
            match step:
                case Fired():
                    self._resting.forget(step.issue_id)
                    self._on_published()
                    _log.info("publishing.schedule_fired", issue_id=step.issue_id)
                case Withdrawn():
                    self._resting.forget(step.issue_id)
                    _log.warning("publishing.schedule_withdrawn", issue_id=step.issue_id)
                case NothingDue():
                    # Jittered, so that replicas started together do not stay together.
                    poll_s = self._random.uniform(POLL_S / 2, POLL_S)
                    return poll_s if step.next_in_s is None else min(poll_s, max(POLL_MIN_S, step.next_in_s))
