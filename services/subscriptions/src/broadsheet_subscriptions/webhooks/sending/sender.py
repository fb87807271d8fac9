"""The loop that sends webhooks: claims what is due, calls the endpoints, and records the results.

Any number of replicas may run it. A call is made under a lease and outside all transactions. If a replica dies
before it records a call, the message is sent again with the same `webhook-id`. Each endpoint has places of its
own, so a slow one does not delay the others; there are at most `ENDPOINTS_MAX` endpoints, so the number of calls
at once is bounded. More deliveries are claimed than there are places, and results are recorded in batches: the
pace is bounded by transactions, not by calls. A delivery whose turn comes too late, because its endpoint is slow,
is given back.
"""

import asyncio
import collections
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop
from broadsheet_common.background.set_aside import SetAside, batch_or_each
from broadsheet_common.process.database import is_database_unavailable
from broadsheet_common.process.metrics import Counter, Gauge, Histogram
from broadsheet_subscriptions.webhooks.log import store as log_store
from broadsheet_subscriptions.webhooks.sending import store as queue_store
from broadsheet_subscriptions.webhooks.sending.attempt import Attempt, Attempter, Called, result_of
from broadsheet_subscriptions.webhooks.sending.record_attempts import record_attempts
from broadsheet_subscriptions.webhooks.sending.store import Claimed

TRANSACTIONS_MAX: Final = 3
"""How many transactions the sender runs at once; requests have the rest of the pool."""
CLAIMED_PER_PLACE: Final = 10
RECORDED_AT_ONCE_MAX: Final = 200
POLL_S: Final = 1.0
GATHER_S: Final = 0.005
"""A wait before each claim: more places become free meanwhile, and one claim serves them all."""
FIGURES_INTERVAL_S: Final = 12.0
REMOVE_INTERVAL_S: Final = 450.0
REMOVE_BATCH_ROWS: Final = 1_000
REMOVE_BATCHES_MAX: Final = 200
BOUND_S: Final = 60.0
LEASE_MARGIN: Final = timedelta(seconds=30)
"""How much the lease exceeds the longest call: time for the transactions before and after it."""
WAITING_COUNT_MAX: Final = 1_000_000

_log = structlog.get_logger()


class WebhookMetrics:
    """Metrics of one replica. Those of the queue are from its last look at it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "webhooks_attempts_total",
            "Attempts to deliver a webhook, by result",
            ("result",),
            registry=registry,
        )
        self.attempt_s = Histogram(
            "webhooks_attempt_duration_seconds",
            "Duration of one call to a receiver",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.waiting = Gauge(
            "webhooks_waiting", f"Deliveries that wait, counted up to {WAITING_COUNT_MAX}", registry=registry
        )
        self.oldest_due_s = Gauge(
            "webhooks_oldest_due_seconds", "How long the longest waiting delivery has been due", registry=registry
        )


class SendingPolicy(msgspec.Struct, frozen=True):
    """`call`: the longest that a call may take, including its answer; `failing_max`: for how long an endpoint may
    fail.
    """

    calls_per_endpoint: int
    call: timedelta
    failing_max: timedelta
    log_kept_days: int

    @property
    def claimed_per_endpoint(self) -> int:
        return self.calls_per_endpoint * CLAIMED_PER_PLACE

    @property
    def lease(self) -> timedelta:
        return self.call + LEASE_MARGIN


class WebhookSender:
    """Run its `loops`; or call `send_due` for a single round."""

    def __init__(
        self, engine: AsyncEngine, attempter: Attempter, *, policy: SendingPolicy, metrics: WebhookMetrics
    ) -> None:
        self._engine = engine
        self._attempter = attempter
        self._policy = policy
        self._metrics = metrics
        self._transactions = asyncio.Semaphore(TRANSACTIONS_MAX)
        self._taken: collections.Counter[int] = collections.Counter()
        self._crowded: set[int] = set()
        """Endpoints that have as much claimed as is allowed, so more may be due."""
        self._places: defaultdict[int, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(policy.calls_per_endpoint)
        )
        self._unwritten: list[tuple[Claimed, Attempt]] = []
        self._is_writing = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._set_aside: SetAside[int] = SetAside("webhooks.send")
        """Deliveries whose results could not be recorded."""
        self._sending = Loop(
            "webhooks.send",
            self._send_round,
            interval_s=POLL_S,
            bound_s=BOUND_S,
            drain=self._drain,
            set_aside=self._set_aside,
        )
        self.loops = (
            self._sending,
            Loop(
                "webhooks.figures",
                self._show_figures,
                interval_s=FIGURES_INTERVAL_S,
                bound_s=10 * FIGURES_INTERVAL_S,
                starts_with_wait=True,
                cancel_on_stop=True,
            ),
            Loop(
                "webhooks.remove_old",
                self.remove_old,
                interval_s=REMOVE_INTERVAL_S,
                bound_s=6 * REMOVE_INTERVAL_S,
                starts_with_wait=True,
                cancel_on_stop=True,
            ),
        )

    async def _drain(self) -> None:
        """Waits for calls to end. If it is cancelled, it cancels the remaining calls; another replica sends those
        again.
        """
        try:
            while self._under_way:
                await asyncio.wait(self._under_way)
        finally:
            left = list(self._under_way)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def send_due(self) -> int:
        """Sends what is due now, as far as there are places, and waits for it; returns how many deliveries were
        claimed.
        """
        begun = await self._claim_and_begin()
        while self._under_way:
            await asyncio.wait(self._under_way)
        return begun

    async def _send_round(self) -> None:
        await asyncio.sleep(GATHER_S)
        await self._claim_and_begin()

    async def _claim_and_begin(self) -> int:
        async with self._transactions, self._engine.begin() as connection:
            claimed = await queue_store.claim_due(
                connection,
                taken=self._taken,
                places_per_endpoint=self._policy.claimed_per_endpoint,
                lease=self._policy.lease,
                resting=self._set_aside.resting(),
            )
        claimed_at_s = time.monotonic()
        for one in claimed:
            self._taken[one.endpoint_id] += 1
            self._keep(asyncio.create_task(self._attempt(one, claimed_at_s)))
        self._crowded = {one for one, taken in self._taken.items() if taken >= self._policy.claimed_per_endpoint}
        return len(claimed)

    async def _attempt(self, claimed: Claimed, claimed_at_s: float) -> None:
        try:
            async with self._places[claimed.endpoint_id]:
                made = await self._attempter.attempt(claimed, since_claim_s=time.monotonic() - claimed_at_s)
        except asyncio.CancelledError:
            self._free(claimed.endpoint_id)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the attempt counts, and the others go on
            _log.error("webhooks.attempt_failed", delivery_id=claimed.id, error=type(error).__name__, exc_info=error)
            made = self._attempter.failed(claimed)
        self._unwritten.append((claimed, made))
        if not self._is_writing:
            self._is_writing = True
            self._keep(asyncio.create_task(self._write_down()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _free(self, endpoint_id: int) -> None:
        self._taken[endpoint_id] -= 1
        left = self._taken[endpoint_id]
        if left == 0:
            del self._taken[endpoint_id], self._places[endpoint_id]
        if endpoint_id in self._crowded and left <= self._policy.claimed_per_endpoint // 2:
            self._sending.wake()

    async def _write_down(self) -> None:
        """Records results for as long as there are any. Results that arrive meanwhile go into the next transaction."""
        try:
            while self._unwritten:
                made = self._unwritten[:RECORDED_AT_ONCE_MAX]
                del self._unwritten[:RECORDED_AT_ONCE_MAX]
                try:
                    await batch_or_each(made, self._record, put_aside=self._put_aside)
                except Exception as error:  # noqa: BLE001  # the leases run out and they are sent again
                    _log_failure("webhooks.not_written", error)
                finally:
                    for claimed, _ in made:
                        self._free(claimed.endpoint_id)
        finally:
            self._is_writing = False

    async def _record(self, made: Sequence[tuple[Claimed, Attempt]]) -> int:
        async with self._transactions, self._engine.begin() as connection:
            await record_attempts(connection, made, failing_max=self._policy.failing_max)
        for claimed, _ in made:
            self._set_aside.forget(claimed.id)
        self._show_attempts(made)
        return len(made)

    async def _put_aside(self, made: tuple[Claimed, Attempt], error: Exception) -> None:
        """Sets the delivery aside. Its lease runs out, and it rests before it is sent again."""
        self._set_aside.hold(made[0].id, error)

    def _show_attempts(self, made: Sequence[tuple[Claimed, Attempt]]) -> None:
        for claimed, attempt in made:
            result = result_of(attempt)
            self._metrics.attempts.labels(result).inc()
            if isinstance(attempt, Called):
                self._metrics.attempt_s.observe(attempt.duration_ms / 1000)
                _log.info(
                    "webhooks.attempted",
                    delivery_id=claimed.id,
                    endpoint_id=claimed.endpoint_id,
                    result=result,
                    duration_ms=attempt.duration_ms,
                )

    async def _show_figures(self) -> None:
        async with self._transactions, self._engine.connect() as connection:
            figures = await queue_store.read_figures(connection, count_max=WAITING_COUNT_MAX)
        self._metrics.waiting.set(figures.waiting)
        self._metrics.oldest_due_s.set(figures.oldest_due_s)

    async def remove_old(self) -> int:
        """One bounded round, one transaction per batch; returns how many rows were deleted."""
        removed = 0
        for _ in range(REMOVE_BATCHES_MAX):
            async with self._transactions, self._engine.begin() as connection:
                rows = await log_store.remove_old(
                    connection, kept_days=self._policy.log_kept_days, limit=REMOVE_BATCH_ROWS
                )
            removed += rows
            if rows == 0:
                break
        if removed:
            _log.info("webhooks.log_pruned", rows=removed)
        return removed


def _log_failure(event: str, error: Exception) -> None:
    """An unavailable database comes back by itself, so a warning is enough. Any other error is a bug, logged in
    full.
    """
    if is_database_unavailable(error):
        _log.warning(event, error=type(error).__name__)
    else:
        _log.error(event, error=type(error).__name__, exc_info=error)
