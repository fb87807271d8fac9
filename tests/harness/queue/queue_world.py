"""The world that the queue's model moves: workers that stop at every seam, one clock for all, and a search that
lags.

The database, the provider and the code are the real ones. The model decides the order and the times: a worker is
a task that runs to its next seam (a fixed point in its code) and waits there, so that it can be left as dead,
resumed late, or resumed at once. Time is moved forward, in the database and for every worker alike, and never
waited for.
"""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final, Literal

import httpx
import msgspec
import pytest

from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.call_result import CallResult
from broadsheet_delivery.preflight.check_stream import preflight_issues
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk, IssueRotation, claim_chunk
from broadsheet_delivery.queue.rescue_leases import rescue_leases
from broadsheet_delivery.sending import send_chunk as send_chunk_module
from broadsheet_delivery.sending import send_single_mails as send_single_mails_module
from broadsheet_delivery.sending.send_batch import send_batch
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails, send_single_mails
from broadsheet_delivery.settling.finish_issues import finish_issues
from broadsheet_delivery.settling.reconcile import reconcile
from broadsheet_postmark_sandbox.faults.rules import FaultSet
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import delivering
from harness.queue.queue_time import make_due
from harness.seeding import Seed

CALL_TIMEOUT_S: Final = 5.0
LEASE_S: Final = 8.0
FLOOR_S: Final = 40.0
STRAGGLING_S: Final = 20.0
"""How long the search may hide one message that it ought to show: below the floor, as the guarantee asks."""
STEP_TIMEOUT_S: Final = 30.0
CANARY: Final = "operator@example.com"

Lane = Literal["chunk", "transactional", "newsletter"]
Seam = Literal["claimed", "started", "answered", "ended"]
Rule = dict[str, Any]


class Sent(msgspec.Struct, frozen=True):
    """A message that the sandbox accepted, as its log shows it. `delivery` is empty for a mail of no issue."""

    sequence: int
    message_id: str
    to: str
    delivery: str
    stream: str


class Worker:
    """One claim in progress. `claimed_at` and `started_at` are moments of the world's clock, in seconds."""

    def __init__(self, lane: Lane, claim: ClaimedChunk | ClaimedMails, *, claimed_at_s: float) -> None:
        self.lane = lane
        self.claim = claim
        self.claimed_at_s = claimed_at_s
        self.started_at_s = 0.0
        self.seam: Seam = "claimed"
        self.gone_before_start: frozenset[str] = frozenset()
        """Addresses that had unsubscribed when the call began: none of them may be in it."""
        self._task: asyncio.Task[None] | None = None
        self._go_on: asyncio.Event = asyncio.Event()
        self._stopped: asyncio.Event = asyncio.Event()

    @property
    def issue_id(self) -> int | None:
        if isinstance(self.claim, ClaimedChunk):
            return self.claim.chunk.issue_id
        return self.claim.content.issue_id if self.claim.content else None

    async def run_to_next_seam(self, context: DeliveryContext) -> Seam:
        """Raises what the worker raised."""
        if self._task is None:
            self._task = asyncio.create_task(self._send(context))
        self._stopped.clear()
        self._go_on.set()
        reached = asyncio.create_task(self._stopped.wait())
        done, _ = await asyncio.wait({self._task, reached}, timeout=STEP_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        assert done, f"the worker was stuck behind {self.seam}"
        if self._task.done():
            reached.cancel()
            await asyncio.gather(reached, return_exceptions=True)
            self.seam = "ended"
            self._task.result()
        return self.seam

    async def die(self) -> None:
        """As by kill -9: it waits at a seam, so it has no open transaction, and writes nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.seam = "ended"

    async def stop_at(self, seam: Seam) -> None:
        self.seam = seam
        self._go_on.clear()
        self._stopped.set()
        await self._go_on.wait()

    async def _send(self, context: DeliveryContext) -> None:
        _WORKER.set(self)
        if isinstance(self.claim, ClaimedChunk):
            await send_chunk(context, self.claim)
        else:
            await send_single_mails(context, self.claim)


_WORKER: ContextVar[Worker | None] = ContextVar("worker", default=None)


async def _send_batch_with_seams(*arguments: Any, **named: Any) -> CallResult:
    """Stops on both sides of the real thing: after the commit that announces the call, and after its answer.

    There is no seam inside the call: services/delivery/tests/postmark/test_stopped_sender.py stops a real process
    there.
    """
    worker = _WORKER.get()
    if worker is None:
        return await send_batch(*arguments, **named)
    await worker.stop_at("started")
    result = await send_batch(*arguments, **named)
    await worker.stop_at("answered")
    return result


class MovedTime(ModuleType):
    """The module `time` for the workers: their clocks are ahead by the time that the model let pass."""

    def __init__(self) -> None:
        super().__init__("time")
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def clock_gettime(self, clock: int) -> float:
        return time.clock_gettime(clock) + self.ahead_s

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class QueueWorld:
    """Everything outside the model: made once, emptied before each example by `reset`."""

    def __init__(
        self, runner: asyncio.Runner, seed: Seed, sandbox: RunningSandbox, context: DeliveryContext, clock: MovedTime
    ) -> None:
        self.seed = seed
        self.context = context
        self.search_stands_still = False
        self.sent: list[Sent] = []
        self.ever_hidden: set[str] = set()
        self._runner = runner
        self._sandbox = sandbox
        self._clock = clock
        self._control = httpx.Client(base_url=sandbox.base_url, timeout=10)
        self._rotation = IssueRotation()
        self._hidden: dict[int, float] = {}
        self._moments = self._columns_of_time()

    def close(self) -> None:
        self._control.close()

    # Time and the start of an example -------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """The world's clock: the time that the model let pass; the milliseconds of the real run do not count."""
        return self._clock.ahead_s

    def reset(self, random_seed: int) -> None:
        self.seed.empty()
        self._sandbox.inner.reset()
        self.context.random.seed(random_seed)
        self.search_stands_still = False
        self.sent.clear()
        self.ever_hidden.clear()
        self._hidden.clear()
        self._rotation = IssueRotation()

    def let_pass(self, seconds: float) -> None:
        """Move everything that happened this much further into the past, for the database and for every worker."""
        for table, columns in self._moments.items():
            moved = ", ".join(f"{column} = {column} - make_interval(secs => {seconds})" for column in columns)
            self.seed.execute(f"UPDATE {table} SET {moved}")
        self._clock.ahead_s += seconds
        for sequence, until_s in list(self._hidden.items()):
            if until_s <= self.now_s:
                self._show(sequence)

    def skip_waits(self) -> None:
        """End all waits. They only spare the provider; nothing may depend on them."""
        make_due(self.seed)

    def _columns_of_time(self) -> dict[str, list[str]]:
        rows = self.seed.execute(
            """
            SELECT format('%%I.%%I', namespace.nspname, class.relname), array_agg(quote_ident(attname)::text)
              FROM pg_attribute AS attribute
              JOIN pg_class AS class ON class.oid = attribute.attrelid
              JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
             WHERE namespace.nspname = 'delivery' AND class.relkind IN ('r', 'p') AND NOT class.relispartition
               AND attribute.atttypid = 'timestamptz'::regtype AND attribute.attnum > 0 AND NOT attisdropped
             GROUP BY 1
            """
        )
        return {str(table): columns for table, columns in rows if isinstance(columns, list)}

    # Workers --------------------------------------------------------------------------------------------------

    def claim(self, lane: Lane) -> Worker | None:
        claimed: object
        self._runner.run(preflight_issues(self.context))
        if lane == "chunk":
            claimed = self._runner.run(claim_chunk(self.context, self._rotation))
        else:
            claimed = self._runner.run(claim_single_mails(self.context, lane))
        if not isinstance(claimed, ClaimedChunk | ClaimedMails):
            return None
        return Worker(lane, claimed, claimed_at_s=self.now_s)

    def go_on(self, worker: Worker, *faults: Rule, straggling: bool = False) -> list[Sent]:
        """Run to the worker's next seam, with these faults for a call that it makes. Returns what was accepted
        meanwhile.

        `straggling`: the search shows those mails only some time after it should.
        """
        self._set_faults(faults, hides=straggling)
        self._runner.run(worker.run_to_next_seam(self.context))
        return self._look_at_the_sandbox(straggling=straggling)

    def kill(self, worker: Worker) -> None:
        self._runner.run(worker.die())

    def rescue(self) -> int:
        return self._runner.run(rescue_leases(self.context))

    def reconcile(self, *faults: Rule) -> int:
        self._set_faults(faults)
        asked = self._runner.run(reconcile(self.context))
        self._look_at_the_sandbox()
        return asked

    def finish(self) -> list[int]:
        return self._runner.run(finish_issues(self.context))

    def change(self, step: Any, **arguments: Any) -> Any:
        """Run one of the operator's steps in a transaction of its own, as its route does."""

        async def run() -> Any:
            async with self.context.engine.begin() as connection:
                return await step(connection, **arguments)

        return self._runner.run(run())

    # The sandbox ----------------------------------------------------------------------------------------------

    def _look_at_the_sandbox(self, *, straggling: bool = False) -> list[Sent]:
        """Read what was accepted since the last look, and note for how long the search is to hide it."""
        after = self.sent[-1].sequence if self.sent else 0
        answer = self._control.get("/_sandbox/messages", params={"after": after, "limit": 1000, "bodies": False})
        answer.raise_for_status()
        new = [_sent(item) for item in answer.json()["messages"]]
        self.sent += new
        if straggling or self.search_stands_still:
            until_s = math.inf if self.search_stands_still else self.now_s + STRAGGLING_S
            self._hidden.update(dict.fromkeys((one.sequence for one in new), until_s))
            self.ever_hidden.update(one.to for one in new)
        return new

    def search_recovers(self) -> None:
        """Let the search show everything accepted so far."""
        self.search_stands_still = False
        for sequence in list(self._hidden):
            self._show(sequence)

    def _show(self, sequence: int) -> None:
        del self._hidden[sequence]
        self._sandbox.inner.hide(sequence, 0.0)

    def _set_faults(self, faults: Sequence[Rule], *, hides: bool = False) -> None:
        # Set directly in the injector: rules set from outside would end the lag of what was accepted before them.
        lag = [{"kind": "search_lag", "seconds": 3600}] if hides or self.search_stands_still else []
        self._sandbox.inner.faults.replace(msgspec.convert({"seed": 1, "rules": [*lag, *faults]}, FaultSet))


def _sent(item: dict[str, Any]) -> Sent:
    message = item["message"]
    return Sent(
        sequence=item["sequence"],
        message_id=item["message_id"],
        to=message["To"],
        delivery=(message.get("Metadata") or {}).get("bs_delivery", ""),
        stream=item["stream"],
    )


@asynccontextmanager
async def _replica(database: Database, sandbox: RunningSandbox) -> AsyncIterator[DeliveryContext]:
    async with delivering(
        database,
        sandbox.base_url,
        sandbox.token,
        delivery_http_timeout_s=CALL_TIMEOUT_S,
        delivery_lease_s=LEASE_S,
        delivery_reconcile_floor_s=FLOOR_S,
        delivery_canary_address=CANARY,
    ) as driven:
        yield driven.context


def queue_world(database: Database, sandbox: RunningSandbox) -> Iterator[QueueWorld]:
    """A generator for a fixture. While it is open, the seams and the clock are patched into the code."""
    clock = MovedTime()
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner, Seed.connect(database) as seed:
        for module in (send_chunk_module, send_single_mails_module):
            patch.setattr(module, "send_batch", _send_batch_with_seams)
        for name, module in list(sys.modules.items()):
            if name.startswith("broadsheet_delivery.") and getattr(module, "time", None) is time:
                patch.setattr(module, "time", clock)
        replica = _replica(database, sandbox)
        context = runner.run(replica.__aenter__())
        world = QueueWorld(runner, seed, sandbox, context, clock)
        try:
            yield world
        finally:
            world.close()
            runner.run(replica.__aexit__(None, None, None))
