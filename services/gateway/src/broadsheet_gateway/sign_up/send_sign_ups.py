"""Sends sign-ups to subscriptions: those that arrive while calls are under way share the next call.

A call costs nearly the same for one as for thirty, there and here. A sign-up that comes when none has just been sent
goes at once, alone; others wait for a few hundredths of a second, for company. Each is answered by itself. Bounded are
the calls, the sign-ups and bytes of each, and those that wait.
"""

import asyncio
from collections import deque
from typing import Final

import msgspec
import structlog

from broadsheet_common.contracts.identity import PUBLIC_IDENTITY
from broadsheet_common.http.problems import Problem, ProblemError, UnavailableError
from broadsheet_common.process.tracing import TraceContext, current_trace, enter_trace
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams

PATH: Final = "/public/subscriptions"
PACE_S: Final = 0.02
"""From the beginning of a call to that of the next, unless many wait: fewer and larger calls cost much less."""
SLOW_S: Final = 0.25
"""The next call waits for the answer to the one before, but no longer. So calls grow when answers take longer."""
MANY: Final = 16
CALLS_MAX: Final = 3
SIGN_UPS_A_CALL_MAX: Final = 50
BYTES_A_CALL_MAX: Final = 100 * 1024
"""Less than subscriptions takes; a single sign-up may be larger, and then goes alone."""
WAITING_MAX: Final = 500
WAITING_BYTES_MAX: Final = 8 * 1024 * 1024
WAIT_MAX_S: Final = 20.0
"""From arrival to answer: more than a call itself may take."""
SERVER_FAULT_MIN: Final = 500

_log = structlog.get_logger()


class SignUpForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What subscriptions is told of one sign-up. `newsletter` None is the default one. `traceparent`: beside others."""

    email: str
    name: str
    newsletter: str | None
    wording_version: int | None
    visitor: dict[str, str | None]
    traceparent: str | None = None


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    form: SignUpForm
    size_bytes: int
    mailbox: str | None
    trace: TraceContext
    answered: asyncio.Future[None]


class _Result(msgspec.Struct, frozen=True):
    status: int
    problem: Problem | None = None


class _Results(msgspec.Struct, frozen=True):
    items: list[_Result]


class SignUpSender:
    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._last_began_s = float("-inf")
        self._timer: asyncio.Handle | None = None
        self._timer_at_s = float("inf")

    async def send(self, form: SignUpForm, *, mailbox: str | None) -> None:
        """Returns once the sign-up is committed. `mailbox`: two of one are never sent together, because what the second
        gets depends on the first.

        Raises:
            UpstreamRefusalError: subscriptions refuses it.
            UnavailableError, UpstreamTimeoutError: it is not known to be committed; or too many wait.
        """
        size_bytes = len(msgspec.json.encode(form))
        if len(self._waiting) >= WAITING_MAX or self._waiting_bytes + size_bytes > WAITING_BYTES_MAX:
            raise UnavailableError
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(form, size_bytes, mailbox, current_trace(), answered))
        self._waiting_bytes += size_bytes
        self._begin_calls()
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await answered
        except TimeoutError as error:
            raise UnavailableError from error

    def _begin_calls(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._calls) < CALLS_MAX:
            next_at_s = self._last_began_s + (SLOW_S if self._calls else PACE_S)
            if loop.time() < next_at_s and len(self._waiting) < MANY:
                self._look_again_at(next_at_s)
                return
            batch = self._take()
            if not batch:
                return
            call = asyncio.create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._end_call)
            self._last_began_s = loop.time()

    def _look_again_at(self, moment_s: float) -> None:
        if self._timer is not None:
            if self._timer_at_s <= moment_s:
                return
            self._timer.cancel()
        # Kept here: uvloop gives a handle without its moment for one that is less than half a millisecond away.
        self._timer_at_s = moment_s
        self._timer = asyncio.get_running_loop().call_at(moment_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._begin_calls()

    def _end_call(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._begin_calls()

    def _take(self) -> list[_Waiting]:
        """What came first, up to a call's bounds, without those that nobody waits for any more. A second one of a
        mailbox keeps its place for the next call.
        """
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        mailboxes: set[str] = set()
        size_bytes = 0
        while self._waiting and len(batch) < SIGN_UPS_A_CALL_MAX:
            first = self._waiting[0]
            if batch and size_bytes + first.size_bytes > BYTES_A_CALL_MAX:
                break
            self._waiting.popleft()
            if first.answered.done():
                self._waiting_bytes -= first.size_bytes
            elif first.mailbox in mailboxes:
                left.append(first)
            else:
                self._waiting_bytes -= first.size_bytes
                batch.append(first)
                size_bytes += first.size_bytes
                if first.mailbox is not None:
                    mailboxes.add(first.mailbox)
        self._waiting.extendleft(reversed(left))
        return batch

    async def _call(self, batch: list[_Waiting]) -> None:
        # Of the first one's trace: the others' are in what is sent.
        enter_trace(batch[0].trace)
        outcomes: list[Exception | None] = [UnavailableError() for _ in batch]
        try:
            outcomes = [await self._send_one(batch[0])] if len(batch) == 1 else await self._send_all(batch)
        except ProblemError as error:
            outcomes = [error] * len(batch)
        except Exception as error:  # noqa: BLE001  # those who wait are answered; there is nobody to raise it to
            _log.error("sign_up.batch_failed", error=type(error).__name__, exc_info=error)
        finally:
            # Also when this is cancelled: nobody waits for nothing.
            for one, outcome in zip(batch, outcomes, strict=True):
                _settle(one, outcome)

    async def _send_one(self, one: _Waiting) -> Exception | None:
        try:
            await self._upstreams.call(
                "subscriptions", "POST", PATH, identity=PUBLIC_IDENTITY, answer=dict[str, object], body=one.form
            )
        except UpstreamRefusalError as refusal:
            return refusal
        return None

    async def _send_all(self, batch: list[_Waiting]) -> list[Exception | None]:
        """Raises ProblemError."""
        items = [msgspec.structs.replace(one.form, traceparent=one.trace.traceparent) for one in batch]
        try:
            results = await self._upstreams.call(
                "subscriptions",
                "POST",
                f"{PATH}/batch",
                identity=PUBLIC_IDENTITY,
                answer=_Results,
                body={"items": items},
            )
        except UpstreamRefusalError as refusal:
            # What is wrong with one sign-up is in its result; this is about the call itself, a fault of ours.
            _log.error("sign_up.batch_refused", status=refusal.status, sign_ups=len(batch))
            raise UnavailableError from refusal
        if len(results.items) != len(batch):
            _log.error("sign_up.batch_answer_not_understood", sign_ups=len(batch), results=len(results.items))
            raise UnavailableError
        return [_error_of(result) for result in results.items]


def _settle(one: _Waiting, error: Exception | None) -> None:
    if one.answered.done():
        return
    if error is None:
        one.answered.set_result(None)
    else:
        one.answered.set_exception(error)


def _error_of(result: _Result) -> Exception | None:
    if result.problem is None:
        return None
    if result.status >= SERVER_FAULT_MIN:
        return UnavailableError()
    return UpstreamRefusalError(result.status, result.problem, {})
