"""The background task that publishes issues at their time, in every replica.

It sleeps until the next schedule is due by the database's clock, and never longer than a second, because other
processes make schedules too. This process's clock is not used.
"""

import random
from collections.abc import Callable

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.background.set_aside import SetAside
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.schedule.fire_schedule import (
    Fired,
    NothingDue,
    Withdrawn,
    fire_next_schedule,
)

POLL_S = 1.0
POLL_MIN_S = 0.01
BOUND_S = 60.0

_log = structlog.get_logger()


class ScheduleWorker:
    """One a process: its `loop`. `on_published` is told when there is something to fan out."""

    def __init__(self, engine: AsyncEngine, installation: Installation, *, on_published: Callable[[], None]) -> None:
        self._engine = engine
        self._installation = installation
        self._on_published = on_published
        self._random = random.Random()  # noqa: S311  # jitter
        self._set_aside: SetAside[int] = SetAside("publishing.schedules")
        self.loop = Loop(
            "publishing.schedules",
            self._round,
            interval_s=POLL_S,
            bound_s=BOUND_S,
            required=True,
            cancel_on_stop=True,
            set_aside=self._set_aside,
        )

    async def _round(self) -> Next:
        return Next(await self.fire_all_due())

    async def fire_all_due(self) -> float:
        """Publish what is due. Returns how long to wait before the next round, in seconds."""
        while True:
            try:
                step = await fire_next_schedule(
                    self._engine, self._installation, resting_issue_ids=self._set_aside.resting()
                )
            except IssueStepFailedError as error:
                self._set_aside.hold(error.issue_id, error.cause)
                continue
            self.loop.progress()
            match step:
                case Fired():
                    self._set_aside.forget(step.issue_id)
                    self._on_published()
                    _log.info("publishing.schedule_fired", issue_id=step.issue_id)
                case Withdrawn():
                    self._set_aside.forget(step.issue_id)
                    _log.warning("publishing.schedule_withdrawn", issue_id=step.issue_id)
                case NothingDue():
                    # With jitter, so that replicas that start together do not run in step.
                    poll_s = self._random.uniform(POLL_S / 2, POLL_S)
                    return poll_s if step.next_in_s is None else min(poll_s, max(POLL_MIN_S, step.next_in_s))
