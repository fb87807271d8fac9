"""One round: ask the database what is watched, and tell the streams.

At most one question a second, however many watch, and none while nobody does.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.event_streams.messages import encode_event
from broadsheet_delivery.throttle.interface import name_sending_state
from broadsheet_delivery.watching.dashboard_view import DashboardView
from broadsheet_delivery.watching.event_data import (
    DashboardEvent,
    IssueEvent,
    SendingSummary,
    state_id,
    status_of_run,
)
from broadsheet_delivery.watching.send_rate import SendRate, seconds_left
from broadsheet_delivery.watching.store import Snapshot, WatchedDashboard, WatchedIssue, WatchedSending, read_snapshot
from broadsheet_delivery.watching.watchers import State, Watchers

LOOP_NAME: Final = "delivery.watching"
INTERVAL_S: Final = 1.0
IDLE_S: Final = 30.0
BOUND_S: Final = 60.0
ISSUE_EVENT: Final = "issue"
DASHBOARD_EVENT: Final = "dashboard"


class WatchRounds:
    """The rounds of one process. They keep how fast each watched issue gets on."""

    def __init__(
        self, engine: AsyncEngine, watchers: Watchers, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._watchers = watchers
        self._monotonic_s = monotonic_s
        self._asked_at_s = float("-inf")
        self._rates: dict[int, SendRate] = {}

    async def run(self) -> Next:
        """Ask and tell, if somebody watches and the last question is a second old."""
        topics = self._watchers.topics
        if not topics:
            self._rates.clear()
            return Next(IDLE_S)
        too_soon_s = self._asked_at_s + INTERVAL_S - self._monotonic_s()
        if too_soon_s > 0:
            return Next(too_soon_s)
        self._asked_at_s = self._monotonic_s()
        issue_ids = {topic for topic in topics if isinstance(topic, int)}
        views = {topic for topic in topics if isinstance(topic, DashboardView)}
        async with self._engine.connect() as connection:
            snapshot = await read_snapshot(connection, issue_ids=issue_ids, with_dashboard=bool(views))
        self._tell(snapshot, issue_ids, views)
        return Next(INTERVAL_S)

    def _tell(self, snapshot: Snapshot, issue_ids: set[int], views: set[DashboardView]) -> None:
        self._rates = {issue.issue_id: self._rates.get(issue.issue_id, SendRate()) for issue in snapshot.issues}
        events = {
            issue.issue_id: _issue_event(issue, snapshot.at_s, self._rates[issue.issue_id]) for issue in snapshot.issues
        }
        for issue_id in issue_ids:
            event = events.get(issue_id)
            state = None if event is None else _state(ISSUE_EVENT, event, is_final=event.is_final)
            self._watchers.publish(issue_id, state)
        if snapshot.dashboard is not None:
            in_progress = [event for event in events.values() if not event.is_final]
            dashboard = _dashboard_event(snapshot.dashboard, in_progress)
            for view in views:
                self._watchers.publish(view, _state(DASHBOARD_EVENT, view.of(dashboard), is_final=False))


def watching_loop(rounds: WatchRounds) -> Loop:
    return Loop(LOOP_NAME, rounds.run, interval_s=INTERVAL_S, bound_s=BOUND_S)


def _state(name: str, event: IssueEvent | DashboardEvent, *, is_final: bool) -> State:
    identifier = state_id(event)
    return State(identifier, encode_event(name, msgspec.json.encode(event), event_id=identifier), is_final)


def _issue_event(issue: WatchedIssue, at_s: float, rate: SendRate) -> IssueEvent:
    rate.add(at_s, issue.counts.settled)
    status = status_of_run(issue.state, fan_out_is_finished=issue.fan_out_is_finished)
    is_sending = status in {"publishing", "sending"}
    return IssueEvent(
        issue_id=issue.issue_id,
        newsletter_id=issue.newsletter_id,
        title=issue.title,
        status=status,
        status_reason=issue.pause_reason,
        counts=issue.counts,
        parked=issue.parked,
        settled_per_s=rate.per_s if is_sending else None,
        # While the audience is still being queued, nobody knows how many will follow.
        seconds_left=seconds_left(issue.counts.waiting, rate.per_s) if status == "sending" else None,
        finished_at=issue.finished_at,
        is_final=issue.is_final,
    )


def _dashboard_event(found: WatchedDashboard, in_progress: list[IssueEvent]) -> DashboardEvent:
    return DashboardEvent(
        sending=_sending_summary(found.sending),
        issues_in_progress=found.issues_in_progress,
        issues=in_progress,
        uncertain=found.uncertain,
        failing_webhooks=found.failing_webhooks,
        imports_with_rejects=found.imports_with_rejects,
    )


def _sending_summary(sending: WatchedSending) -> SendingSummary:
    state, reason = name_sending_state(sending.pause_reason, sending.breaker, sending.breaker_reason)
    return SendingSummary(
        state=state,
        reason=reason,
        back_off_until=sending.back_off_until if state == "backing_off" else None,
        messages_per_s_max=sending.messages_per_s_max,
        concurrent_calls_max=sending.concurrent_calls_max,
        replicas=sending.replicas,
    )
