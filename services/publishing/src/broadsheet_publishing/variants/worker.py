"""The background task that decides A/B tests at their time, in every replica. Time is the database's."""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.background.set_aside import SetAside
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.variants.decide_winner import Decided, NothingDue, decide_next_test

POLL_S = 5.0
BOUND_S = 60.0

_log = structlog.get_logger()


class AbTestWorker:
    """One a process: its `loop`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._set_aside: SetAside[int] = SetAside("publishing.ab_tests")
        self.loop = Loop(
            "publishing.ab_tests",
            self.decide_all_due,
            interval_s=POLL_S,
            bound_s=BOUND_S,
            required=True,
            cancel_on_stop=True,
            set_aside=self._set_aside,
        )

    async def decide_all_due(self) -> None:
        """Every test whose figures are to be looked at now."""
        while True:
            try:
                step = await decide_next_test(self._engine, resting_issue_ids=self._set_aside.resting())
            except IssueStepFailedError as error:
                self._set_aside.hold(error.issue_id, error.cause)
                continue
            if isinstance(step, NothingDue):
                return
            self.loop.progress()
            self._set_aside.forget(step.issue_id)
            if isinstance(step, Decided):
                _log.info("publishing.ab_test_decided", issue_id=step.issue_id, winner=step.winner)
