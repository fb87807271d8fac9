"""The loops of a replica: both lanes, the rescuer, the reconciler, and the heartbeat.

One claimer a lane takes work only while a place is free, so at most `concurrent_calls` calls are under way; polling is
the truth, and a NOTIFY at publish only makes the next look come sooner. On `drain` nothing new is claimed and what is
under way is finished.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress as ignoring
from functools import partial
from typing import Final

import structlog

from broadsheet_common.process.database import is_database_unavailable
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.finish_erasures import finish_erasures
from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.events.run_backstop import run_backstop
from broadsheet_delivery.preflight.check_stream import preflight_issues
from broadsheet_delivery.queue.claim_chunk import IssueRotation, NothingToClaim, claim_chunk
from broadsheet_delivery.queue.rescue_leases import rescue_leases
from broadsheet_delivery.queue.single_mail_store import SinglePart
from broadsheet_delivery.reporting.roll_up_engagement import roll_up_engagement
from broadsheet_delivery.retention.remove_old import retain
from broadsheet_delivery.senders.replica import report_alive
from broadsheet_delivery.sending.place import Place, Places
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import claim_single_mails, send_single_mails
from broadsheet_delivery.settling.cancel_remainders import cancel_remainders
from broadsheet_delivery.settling.finish_issues import finish_issues
from broadsheet_delivery.settling.reconcile import reconcile
from broadsheet_delivery.suppressions.tell_postmark import tell_postmark
from broadsheet_delivery.throttle.back_off import loop_wait_s
from broadsheet_delivery.throttle.sending_metrics import show_sending_state

SINGLE_CALLS_MAX: Final = 2
"""Batch calls of the transactional part under way at once: a place of their own, never behind newsletters."""
NEWSLETTER_MAILS_CALLS_MAX: Final = 1
_GROWING_POLL_S: Final = 0.05
_FINISH_INTERVAL_S: Final = 1.0
_RECONCILE_INTERVAL_S: Final = 2.0
_HEARTBEAT_INTERVAL_S: Final = 5.0
_RETAIN_INTERVAL_S: Final = 60.0
_PROVIDER_EVENTS_INTERVAL_S: Final = 0.5
_TELL_INTERVAL_S: Final = 1.0
_ERASURE_INTERVAL_S: Final = 1.0
_BACKSTOP_LOOK_S: Final = 10.0
_ENGAGEMENT_INTERVAL_S: Final = 3.0

Work = Callable[[Place], Awaitable[None]]
Claim = Callable[[], Awaitable[Work | float]]
"""Claims the next piece of work, or says for how many seconds there is none."""


class DeliveryWorker:
    """Runs until drained."""

    def __init__(
        self,
        context: DeliveryContext,
        *,
        concurrent_calls: int,
        poll_s: float,
        single_poll_s: float,
        rescue_interval_s: float,
    ) -> None:
        self._context = context
        self._concurrent_calls = concurrent_calls
        self._poll_s = poll_s
        self._single_poll_s = single_poll_s
        self._rescue_interval_s = rescue_interval_s
        self._rotation = IssueRotation()
        self._draining = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._wake_events: list[asyncio.Event] = []

    def start(self) -> None:
        """Start the loops. The database may be away just now: they wait for it."""
        # Transactional mail, newsletter chunks, and newsletter mails that go alone: places of their own each.
        self._loops = [
            asyncio.create_task(loop)
            for loop in (
                self._claim_loop(self._claim_transactional, SINGLE_CALLS_MAX),
                self._claim_loop(self._claim_chunk, self._concurrent_calls),
                self._claim_loop(self._claim_newsletter_mails, NEWSLETTER_MAILS_CALLS_MAX),
                self._preflight_loop(),
                self._every(_FINISH_INTERVAL_S, self._finish),
                self._every(_RECONCILE_INTERVAL_S, self._reconcile),
                self._every(self._rescue_interval_s, self._rescue),
                self._every(_RETAIN_INTERVAL_S, self._retain),
                self._every(_HEARTBEAT_INTERVAL_S, self._report_alive),
                self._every(_PROVIDER_EVENTS_INTERVAL_S, partial(apply_provider_events, self._context)),
                self._every(_TELL_INTERVAL_S, partial(tell_postmark, self._context)),
                self._every(_ERASURE_INTERVAL_S, partial(finish_erasures, self._context)),
                self._every(_BACKSTOP_LOOK_S, partial(run_backstop, self._context)),
                self._every(_ENGAGEMENT_INTERVAL_S, partial(roll_up_engagement, self._context)),
            )
        ]

    def wake(self) -> None:
        """There may be work: every idle loop looks at once."""
        for event in self._wake_events:
            event.set()

    async def drain(self, timeout_s: float) -> None:
        """Claim nothing more, let calls finish within `timeout_s`, and leave.

        What is still under way then is cancelled: its leases run out, and another replica settles it.
        """
        self._draining.set()
        self.wake()
        context = self._context
        context.log.info("delivery.draining", under_way=len(self._under_way))
        await asyncio.wait(self._loops, timeout=timeout_s)
        for task in [*self._loops, *self._under_way]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._under_way, return_exceptions=True)
        with ignoring(Exception):  # the row is for people to look at; the database may be gone already
            async with context.engine.begin() as connection:
                await report_alive(connection, context.replica, draining=True, stopped=True)
        context.log.info("delivery.drained")

    async def _claim_loop(self, claim: Claim, places: int) -> None:
        free = Places(places)
        own: set[asyncio.Task[None]] = set()
        woken = asyncio.Event()
        self._wake_events.append(woken)
        failures = 0
        while not self._draining.is_set():
            place = await free.take()
            if self._draining.is_set():
                break
            try:
                work = await claim()
                failures = 0
            except Exception as error:  # noqa: BLE001  # whatever it was, it is logged, and the loop must go on
                self._log_failure("delivery.claim_failed", error)
                work = loop_wait_s(failures, self._context.random)
                failures += 1
            if isinstance(work, float):
                place.free()
                await self._idle(woken, work)
                continue
            task = asyncio.create_task(self._run(work, place))
            own.add(task)
            self._under_way.add(task)
            task.add_done_callback(own.discard)
            task.add_done_callback(self._under_way.discard)
        if own:
            await asyncio.wait(own)

    async def _run(self, work: Work, place: Place) -> None:
        structlog.contextvars.bind_contextvars(replica_id=str(self._context.replica.id))
        try:
            await work(place)
        except Exception as error:  # noqa: BLE001  # the lease runs out and the rescuer settles it; the loop goes on
            self._log_failure("delivery.work_failed", error)
        finally:
            place.free()

    def _log_failure(self, event: str, error: Exception) -> None:
        """A database that is away is a matter of waiting; anything else is a fault of ours, told in full."""
        if is_database_unavailable(error):
            self._context.log.warning(event, error=type(error).__name__)
        else:
            self._context.log.error(event, error=type(error).__name__, exc_info=error)

    async def _idle(self, woken: asyncio.Event, wait_s: float) -> None:
        """Wait, jittered so that replicas do not look all at once, or until woken."""
        jittered_s = wait_s * (0.5 + self._context.random.random() / 2)
        with ignoring(TimeoutError):
            await asyncio.wait_for(woken.wait(), jittered_s)
        woken.clear()

    async def _claim_chunk(self) -> Work | float:
        claimed = await claim_chunk(self._context, self._rotation)
        if isinstance(claimed, NothingToClaim):
            poll_s = _GROWING_POLL_S if claimed.growing else self._poll_s
            return poll_s if claimed.wait_s is None else min(claimed.wait_s, self._poll_s)
        return lambda place: send_chunk(self._context, claimed, place)

    async def _claim_transactional(self) -> Work | float:
        return await self._claim_single("transactional", self._single_poll_s)

    async def _claim_newsletter_mails(self) -> Work | float:
        return await self._claim_single("newsletter", self._poll_s)

    async def _claim_single(self, part: SinglePart, poll_s: float) -> Work | float:
        claimed = await claim_single_mails(self._context, part)
        if claimed is None:
            return poll_s
        if isinstance(claimed, float):
            return min(claimed, poll_s)
        return lambda place: send_single_mails(self._context, claimed, place)

    async def _preflight_loop(self) -> None:
        """Woken by a publish like the lanes; an issue that may start is looked for at once."""
        woken = asyncio.Event()
        self._wake_events.append(woken)
        failures = 0
        while not self._draining.is_set():
            wait_s = self._poll_s
            try:
                if await preflight_issues(self._context) > 0:
                    # The lanes; its own bell may have rung again meanwhile, for another issue.
                    for event in self._wake_events:
                        if event is not woken:
                            event.set()
                failures = 0
            except Exception as error:  # noqa: BLE001  # logged; the next round tries again
                self._log_failure("delivery.preflight_failed", error)
                wait_s = loop_wait_s(failures, self._context.random)
                failures += 1
            await self._idle(woken, wait_s)

    async def _every(self, interval_s: float, step: Callable[[], Awaitable[object]]) -> None:
        failures = 0
        while not self._draining.is_set():
            wait_s = interval_s * (0.75 + self._context.random.random() / 2)
            try:
                await step()
                failures = 0
            except Exception as error:  # noqa: BLE001  # logged; the next round tries again
                self._log_failure("delivery.round_failed", error)
                wait_s = max(wait_s, loop_wait_s(failures, self._context.random))
                failures += 1
            with ignoring(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), wait_s)

    async def _finish(self) -> None:
        await cancel_remainders(self._context)
        await finish_issues(self._context)

    async def _reconcile(self) -> None:
        await reconcile(self._context)

    async def _rescue(self) -> None:
        await rescue_leases(self._context)

    async def _retain(self) -> None:
        await retain(self._context)

    async def _report_alive(self) -> None:
        async with self._context.engine.begin() as connection:
            await report_alive(
                connection,
                self._context.replica,
                draining=self._draining.is_set(),
                concurrent_calls=self._context.concurrent_calls,
            )
        await show_sending_state(self._context)
