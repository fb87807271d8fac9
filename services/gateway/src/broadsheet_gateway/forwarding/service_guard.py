"""What keeps a service that does not answer from taking the gateway with it: each service has a guard of its own.

A guard bounds the calls that wait for its service and the connections to it, and stops calling it for a while when
nothing comes back. What it refuses is answered at once, so the routes of other services go on.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.http.problems import UnavailableError
from broadsheet_common.process.metrics import Counter, Gauge
from broadsheet_gateway.forwarding.breaker import Breaker, Call, Refusal, RefusalReason

PLACE_TIMEOUT_S: Final = 5.0
"""Longest wait for a connection, while all are in use."""
_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}

_log = structlog.get_logger()


class ServiceRefusedError(UnavailableError):
    """The service is not called: it has not answered lately, or too many calls wait for it."""


class GuardLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`connections_max` calls of a service at once, `waiting_max` of them and of those that wait for their turn whose
    answer has not begun. `failures_max` in a row open its breaker. `call_max_s`: the longest call without an upload.
    """

    connections_max: int
    waiting_max: int
    failures_max: int
    call_max_s: float


class GuardedCall:
    """How the call ended; without a word it is not judged."""

    def __init__(self, guard: "ServiceGuard", call: Call) -> None:
        self._guard = guard
        self._call: Call | None = call

    def answered(self) -> None:
        if self._call is not None:
            self._guard.note_answered(self._call)
            self._call = None

    def failed(self) -> None:
        if self._call is not None:
            self._guard.note_failed(self._call)
            self._call = None

    def abandon(self) -> None:
        if self._call is not None:
            self._guard.breaker.abandoned(self._call)
            self._call = None


class Place:
    """One of a service's connections, from before a call until its answer has ended."""

    def __init__(self, places: asyncio.Semaphore, note_refusal: Callable[[RefusalReason], None]) -> None:
        self._places = places
        self._note_refusal = note_refusal
        self._is_taken = False

    async def take(self) -> None:
        """Raises ServiceRefusedError if none becomes free in time."""
        try:
            # A clock for a wait that there is not costs more than the place.
            if self._places.locked():
                async with asyncio.timeout(PLACE_TIMEOUT_S):
                    await self._places.acquire()
            else:
                await self._places.acquire()
        except TimeoutError as error:
            self._note_refusal("waiting")
            raise ServiceRefusedError from error
        self._is_taken = True

    def give_back(self) -> None:
        """Nothing happens if it was not taken."""
        if self._is_taken:
            self._is_taken = False
            self._places.release()


class ServiceGuard:
    """One service's guard."""

    def __init__(
        self,
        service: ServiceName,
        limits: GuardLimits,
        *,
        note_refusal: Callable[[RefusalReason], None],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._note_refusal = note_refusal
        self._places = asyncio.Semaphore(limits.connections_max)
        self.monotonic_s = monotonic_s
        self.breaker = Breaker(
            failures_max=limits.failures_max, waiting_max=limits.waiting_max, probe_max_s=limits.call_max_s
        )

    @contextmanager
    def call(self) -> Iterator[GuardedCall]:
        """Around one call, until its answer begins. Raises ServiceRefusedError."""
        admitted = self.breaker.admit(self.monotonic_s())
        if isinstance(admitted, Refusal):
            self._note_refusal(admitted.reason)
            raise ServiceRefusedError(retry_after_s=max(1, math.ceil(admitted.retry_after_s)))
        guarded = GuardedCall(self, admitted)
        try:
            yield guarded
        finally:
            guarded.abandon()

    def place(self) -> Place:
        return Place(self._places, self._note_refusal)

    def note_answered(self, call: Call) -> None:
        if self.breaker.answered(call):
            _log.info("upstream.breaker_closed", upstream=self._service)

    def note_failed(self, call: Call) -> None:
        if self.breaker.failed(call, self.monotonic_s()):
            _log.warning("upstream.breaker_opened", upstream=self._service)


def make_guards(
    services: Mapping[ServiceName, object], limits: GuardLimits, registry: CollectorRegistry
) -> dict[ServiceName, ServiceGuard]:
    """A guard for each service, whose state the metrics show."""
    refused = Counter(
        "gateway_upstream_refused_total",
        "Calls that were not made: the service's breaker is open, or too many wait for it",
        ("service", "reason"),
        registry=registry,
    )
    state = Gauge("gateway_upstream_breaker", "0 closed, 1 half-open, 2 open", ("service",), registry=registry)
    waiting = Gauge("gateway_upstream_waiting", "Calls whose answer has not begun", ("service",), registry=registry)
    guards: dict[ServiceName, ServiceGuard] = {}
    for service in services:
        guard = ServiceGuard(service, limits, note_refusal=_counts(refused, service))
        state.labels(service).set_function(_reads_state(guard))
        waiting.labels(service).set_function(_reads_waiting(guard))
        guards[service] = guard
    return guards


def _counts(refused: Counter, service: ServiceName) -> Callable[[RefusalReason], None]:
    return lambda reason: refused.labels(service, reason).inc()


def _reads_state(guard: ServiceGuard) -> Callable[[], float]:
    return lambda: _STATES[guard.breaker.state(guard.monotonic_s())]


def _reads_waiting(guard: ServiceGuard) -> Callable[[], float]:
    return lambda: guard.breaker.waiting
