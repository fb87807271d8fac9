"""The loops of a replica: its lanes, lease rescue, reconciliation, heartbeat, and the rest.

One claimer a lane claims only while a place is free, so at most `concurrent_calls` calls are under way. Polling
finds all work; a NOTIFY at publish only makes the next poll come sooner. `drain` claims nothing more and finishes
what is under way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress as ignoring
from functools import partial
from typing import Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from broadsheet_common.background.loop import Loop, Next, Round
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.process.database import is_database_unavailable
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.finish_erasures import finish_erasures
from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.events.run_backstop import run_backstop
from broadsheet_delivery.preflight.check_stream import preflight_issues
from broadsheet_delivery.preflight.refresh_facts import FACTS_A_ROUND_MAX, refresh_facts
from broadsheet_delivery.queue.claim_chunk import IssueRotation, NothingToClaim, claim_chunk
from broadsheet_delivery.queue.interface import SinglePart
from broadsheet_delivery.queue.rescue_leases import rescue_leases
from broadsheet_delivery.queue.wake_up import RECONNECT_S, listen
from broadsheet_delivery.reporting.roll_up_engagement import roll_up_engagement
from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from broadsheet_delivery.retention.remove_old import retain
from broadsheet_delivery.senders.interface import report_alive
from broadsheet_delivery.sending.place import Place, Places
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import claim_single_mails, send_single_mails
from broadsheet_delivery.sending.send_welcome_mails import claim_welcome_mails, send_welcome_mails
from broadsheet_delivery.settling.cancel_remainders import cancel_remainders
from broadsheet_delivery.settling.finish_issues import finish_issues
from broadsheet_delivery.settling.reconcile import park_overdue, reconcile
from broadsheet_delivery.suppressions.tell_postmark import tell_postmark
from broadsheet_delivery.throttle.sending_metrics import show_sending_state

SINGLE_CALLS_MAX: Final = 2
"""Concurrent batch calls for transactional mail: places of its own, never behind newsletters."""
NEWSLETTER_MAILS_CALLS_MAX: Final = 1
WELCOME_CALLS_MAX: Final = 1
_GROWING_POLL_S: Final = 0.05
_FINISH_INTERVAL_S: Final = 1.0
_RECONCILE_INTERVAL_S: Final = 2.0
_PARK_INTERVAL_S: Final = 5.0
_HEARTBEAT_INTERVAL_S: Final = 5.0
_RETAIN_INTERVAL_S: Final = 60.0
_PROVIDER_EVENTS_INTERVAL_S: Final = 0.5
_TELL_INTERVAL_S: Final = 1.0
_ERASURE_INTERVAL_S: Final = 1.0
_BACKSTOP_LOOK_S: Final = 10.0
_ENGAGEMENT_INTERVAL_S: Final = 3.0
_PREFLIGHT_FACTS_INTERVAL_S: Final = 1.0
_REPORTS_INTERVAL_S: Final = 1.0
_BOUND_S: Final = 60.0
"""How long a loop may go without a successful round before readiness names it."""
_LONG_BOUND_S: Final = 1800.0
"""A run of the backstop reads all of Postmark's lists."""


class Work(NamedTuple):
    """Claimed work. `key` names it in the log and, if it fails, among what is set aside."""

    key: str
    run: Callable[[Place], Awaitable[None]]


Claim = Callable[[], Awaitable[Work | float]]
"""Claims the next piece of work, or says for how many seconds there is none."""


class _Lane:
    """Claims while a place is free; each claim is processed in a task of its own."""

    def __init__(self, name: str, claim: Claim, places: int, context: DeliveryContext) -> None:
        self._set_aside = context.set_asides.of(name)
        self._claim = claim
        self._places = Places(places)
        self._context = context
        self._place: Place | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def wait_for_place(self) -> None:
        if self._place is None:
            self._place = await self._places.take()

    async def claim_and_begin(self) -> Next:
        """One claim; the next follows at once if there was work."""
        await self.wait_for_place()
        work = await self._claim()
        if isinstance(work, float):
            # With jitter, so that replicas do not poll in step.
            return Next(work * (0.5 + self._context.random.random() / 2))
        place, self._place = self._place, None
        assert place is not None
        task = asyncio.create_task(self._run(work, place))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return Next(0)

    async def drain(self) -> None:
        """Waits until what is under way has ended; if this is cancelled, the rest is cancelled too."""
        try:
            while self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            left = list(self._under_way)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _run(self, work: Work, place: Place) -> None:
        try:
            await work.run(place)
        except Exception as error:  # noqa: BLE001  # the lease runs out and the rescuer settles it; the loop goes on
            # An unavailable database is waited for; anything else is a bug and is logged with its traceback.
            if is_database_unavailable(error):
                self._context.log.warning("delivery.work_failed", error=type(error).__name__)
            else:
                self._set_aside.hold(work.key, error)
        else:
            self._set_aside.forget(work.key)
        finally:
            place.free()


class DeliveryWorker:
    """The loops of a replica, in `runner`."""

    def __init__(
        self,
        context: DeliveryContext,
        *,
        concurrent_calls: int,
        poll_s: float,
        single_poll_s: float,
        rescue_interval_s: float,
        listen_url: PostgresUrl,
        registry: CollectorRegistry | None = None,
        more_loops: Sequence[Loop] = (),
    ) -> None:
        self._context = context
        self._poll_s = poll_s
        self._single_poll_s = single_poll_s
        self._rotation = IssueRotation()
        self._draining = False
        # Transactional mail, newsletter chunks, and newsletter and welcome mails in the single-mail lane have places of
        # their own.
        lanes = [
            self._lane("delivery.transactional_mails", self._claim_transactional, SINGLE_CALLS_MAX),
            self._lane("delivery.chunks", self._claim_chunk, concurrent_calls),
            self._lane("delivery.newsletter_mails", self._claim_newsletter_mails, NEWSLETTER_MAILS_CALLS_MAX),
            self._lane("delivery.welcome_mails", self._claim_welcome_mails, WELCOME_CALLS_MAX),
        ]
        preflight = self._loop("delivery.preflight", self._preflight, poll_s, required=True, calls_postmark=True)
        self._woken = [*lanes, preflight]
        self._lanes = lanes
        loops = [
            *self._woken,
            self._loop("delivery.finish_issues", partial(finish_issues, context), _FINISH_INTERVAL_S, required=True),
            self._loop("delivery.cancel_remainders", partial(cancel_remainders, context), _FINISH_INTERVAL_S),
            self._loop(
                "delivery.reconcile",
                partial(reconcile, context),
                _RECONCILE_INTERVAL_S,
                required=True,
                calls_postmark=True,
            ),
            # Separate from reconcile: a round that waits for the search must not hold up the deadline.
            self._loop("delivery.park_overdue", partial(park_overdue, context), _PARK_INTERVAL_S, required=True),
            self._loop("delivery.rescue_leases", partial(rescue_leases, context), rescue_interval_s, required=True),
            self._loop("delivery.retain", partial(retain, context), _RETAIN_INTERVAL_S),
            self._loop("delivery.report_alive", self._report_alive, _HEARTBEAT_INTERVAL_S),
            self._loop(
                "delivery.provider_events", partial(apply_provider_events, context), _PROVIDER_EVENTS_INTERVAL_S
            ),
            self._loop(
                "delivery.tell_postmark", partial(tell_postmark, context), _TELL_INTERVAL_S, calls_postmark=True
            ),
            self._loop("delivery.finish_erasures", partial(finish_erasures, context), _ERASURE_INTERVAL_S),
            self._loop("delivery.backstop", partial(run_backstop, context), _BACKSTOP_LOOK_S, bound_s=_LONG_BOUND_S),
            self._loop("delivery.engagement", partial(roll_up_engagement, context), _ENGAGEMENT_INTERVAL_S),
            self._loop(
                "delivery.preflight_facts",
                partial(refresh_facts, context),
                _PREFLIGHT_FACTS_INTERVAL_S,
                # A round may wait for the answers about all of its newsletters.
                bound_s=_BOUND_S + FACTS_A_ROUND_MAX * context.call_timeout.total_seconds(),
            ),
            self._loop("delivery.reports", partial(roll_up_reports, context), _REPORTS_INTERVAL_S),
            self._listen_loop(listen_url),
            *more_loops,
        ]
        self.runner = BackgroundRunner(loops, registry=registry)

    def _lane(self, name: str, claim: Claim, places: int) -> Loop:
        lane = _Lane(name, claim, places, self._context)
        return self._loop(
            name,
            lane.claim_and_begin,
            self._poll_s,
            required=True,
            wait_for_room=lane.wait_for_place,
            drain=lane.drain,
        )

    def _loop(
        self,
        name: str,
        run_round: Round,
        interval_s: float,
        *,
        bound_s: float = _BOUND_S,
        calls_postmark: bool = False,
        required: bool = False,
        cancel_on_stop: bool = False,
        wait_for_room: Callable[[], Awaitable[object]] | None = None,
        drain: Callable[[], Awaitable[object]] | None = None,
    ) -> Loop:
        return Loop(
            name,
            run_round,
            interval_s=interval_s,
            # A round may wait for a few answers of Postmark.
            bound_s=bound_s + (3 * self._context.call_timeout.total_seconds() if calls_postmark else 0),
            required=required,
            cancel_on_stop=cancel_on_stop,
            wait_for_room=wait_for_room,
            drain=drain,
            set_aside=self._context.set_asides.of(name),
            context=partial(structlog.contextvars.bound_contextvars, replica_id=str(self._context.replica.id)),
        )

    def _listen_loop(self, url: PostgresUrl) -> Loop:
        """Without it, wake-ups are late; polling still finds the work."""
        loop = self._loop(
            "delivery.listen",
            lambda: listen(url, self.wake, progress=loop.progress),
            RECONNECT_S,
            cancel_on_stop=True,
        )
        return loop

    def wake(self) -> None:
        """Wakes every idle lane: there may be work."""
        for loop in self._woken:
            loop.wake()

    def start(self) -> None:
        self.runner.start()

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing more, let calls finish within `timeout_s`, and stop.

        What is still under way then is cancelled: its leases run out, and another replica settles it.
        """
        self._draining = True
        context = self._context
        context.log.info("delivery.draining")
        await self.runner.stop(timeout_s)
        with ignoring(Exception):  # the row is for people to look at; the database may be gone already
            async with context.engine.begin() as connection:
                await report_alive(connection, context.replica, draining=True, stopped=True)
        context.log.info("delivery.drained")

    async def _claim_chunk(self) -> Work | float:
        claimed = await claim_chunk(self._context, self._rotation)
        if isinstance(claimed, NothingToClaim):
            poll_s = _GROWING_POLL_S if claimed.growing else self._poll_s
            return poll_s if claimed.wait_s is None else min(claimed.wait_s, self._poll_s)
        return Work(f"chunk {claimed.chunk.id}", lambda place: send_chunk(self._context, claimed, place))

    async def _claim_transactional(self) -> Work | float:
        return await self._claim_single("transactional", self._single_poll_s)

    async def _claim_newsletter_mails(self) -> Work | float:
        return await self._claim_single("newsletter", self._poll_s)

    async def _claim_welcome_mails(self) -> Work | float:
        claimed = await claim_welcome_mails(self._context)
        if claimed is None:
            return self._poll_s
        if isinstance(claimed, float):
            return min(claimed, self._poll_s)
        return Work(f"mail {claimed.mails[0].id}", lambda place: send_welcome_mails(self._context, claimed, place))

    async def _claim_single(self, part: SinglePart, poll_s: float) -> Work | float:
        claimed = await claim_single_mails(self._context, part)
        if claimed is None:
            return poll_s
        if isinstance(claimed, float):
            return min(claimed, poll_s)
        return Work(f"mail {claimed.first_id}", lambda place: send_single_mails(self._context, claimed, place))

    async def _preflight(self) -> None:
        """Lanes are woken when an issue may start."""
        if await preflight_issues(self._context) > 0:
            for loop in self._lanes:
                loop.wake()

    async def _report_alive(self) -> None:
        async with self._context.engine.begin() as connection:
            await report_alive(
                connection,
                self._context.replica,
                draining=self._draining,
                concurrent_calls=self._context.concurrent_calls,
            )
        await show_sending_state(self._context)
