"""A stateful model of the queue on real Postgres and the real sandbox: whatever happens in whatever order, every
delivery is settled once, and nobody is sent an issue twice.

`./run test` plays a fixed set of examples. A long run, new examples each time:

    QUEUE_MODEL_EXAMPLES=1000 QUEUE_MODEL_STEPS=80 ./run test tests/queue/test_model.py -n 0

What the provider must keep to is what the guarantee rests on (ARCHITECTURE.md): the search may stand still for any
time, but then for all alike; a single message may straggle, but for less than the floor.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broadsheet_delivery.throttle.state_store import pause_issue, pause_sending, resume_issue, resume_sending
from broadsheet_postmark_sandbox.testing import running_sandbox_sync
from harness.cluster import Cluster
from harness.queue.queue_world import (
    CALL_TIMEOUT_S,
    FLOOR_S,
    LEASE_S,
    Lane,
    QueueWorld,
    Rule,
    Seam,
    Worker,
    queue_world,
)

READERS: Final = 9
WORKERS_MAX: Final = 4
ISSUES_MAX: Final = 5
MAIL_MAX: Final = 4
COMINGS_AND_GOINGS_MAX: Final = 6
SETTLING_ROUNDS_MAX: Final = 12
STALL_MAX_S: Final = LEASE_S - CALL_TIMEOUT_S - 1.0
"""A worker that stood still for so long since it began makes no call: its lease may not outlive it."""

STRAGGLES: Final = "accepted, answer lost, and the search shows it late"
STEPS: Final = (
    "resume everything",
    "search stands still",
    "search recovers",
    "pause the issue",
    "resume the issue",
    "pause everything",
    "complete",
)
FAULTS: Final[dict[str, tuple[Rule, ...]]] = {
    "none": (),
    "accepted, answer lost": ({"kind": "drop_after"},),
    STRAGGLES: ({"kind": "drop_after"},),
    "not accepted, answer lost": ({"kind": "drop_before"},),
    "accepted, 500": ({"kind": "status", "status": 500, "error_code": 101, "accept": True},),
    "accepted, unreadable": ({"kind": "malformed", "shape": "truncated_json"},),
    "429": ({"kind": "rate_limit"},),
    "maintenance": ({"kind": "status", "status": 503, "error_code": 100},),
    "401": ({"kind": "status", "status": 401, "error_code": 10},),
    "413": ({"kind": "status", "status": 413, "error_code": 0},),
    "one inactive": ({"kind": "item_errors", "error_code": 406, "count": 1},),
    "one invalid": ({"kind": "item_errors", "error_code": 300, "message": "Invalid 'To' address.", "count": 1},),
    "one delayed": ({"kind": "item_errors", "error_code": 100, "count": 1},),
    "one of unknown fate": ({"kind": "item_errors", "error_code": 101, "count": 1},),
    "one misconfigured": ({"kind": "item_errors", "error_code": 400, "count": 1},),
}
ANY_FAULT: Final = st.sampled_from(["none", "accepted, answer lost", STRAGGLES, *["none"] * 4, *FAULTS])
ALL_LANES: Final[tuple[Lane, ...]] = ("chunk", "newsletter", "transactional")
LANES: Final[st.SearchStrategy[Lane]] = st.sampled_from(["chunk", "chunk", "chunk", "newsletter", "transactional"])


class QueueModel(RuleBasedStateMachine):
    """What was asked for is kept here; what became of it is read from the database and from the sandbox."""

    def __init__(self, world: QueueWorld) -> None:
        super().__init__()
        self.world = world
        self.readers: list[int] = []
        self.left: set[str] = set()
        self.audience: dict[int, int] = {}
        self.growing: set[int] = set()
        self.mails: list[str] = []
        self.workers: list[Worker] = []
        self.comings_and_goings = 0
        self.loose_ends = False
        """Whether something is held by the dead or of unknown fate: else there is nothing to settle."""
        self.outcomes: dict[tuple[int, int], tuple[str, str | None]] = {}

    @initialize(random_seed=st.integers(0, 999))
    def begin(self, random_seed: int) -> None:
        self.world.reset(random_seed)
        self.readers = self.world.seed.subscribers(READERS)
        self.publish_to([2, 1, 1], complete=True)

    # Work comes in --------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.audience) < ISSUES_MAX)
    @rule(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3), complete=st.booleans())
    def publish(self, sizes: list[int], *, complete: bool) -> None:
        self.publish_to(sizes, complete=complete)

    def publish_to(self, sizes: list[int], *, complete: bool) -> None:
        """Each page of the fan-out makes a chunk of its own, so a few readers make several chunks."""
        seed, first = self.world.seed, sizes[0]
        issue_id = seed.published_issue(self.readers[:first])
        seed.execute("UPDATE delivery.issue_run SET fan_out_finished_at = NULL WHERE issue_id = %s", (issue_id,))
        for size in sizes[1:]:
            page = self.readers[first : first + size]
            seed.execute("SELECT delivery.enqueue_deliveries(%s, %s::bigint[])", (issue_id, page))
            first += size
        [(audience,)] = seed.execute("SELECT count(*) FROM delivery.delivery WHERE issue_id = %s", (issue_id,))
        self.audience[issue_id] = int(str(audience))
        self.growing.add(issue_id)
        if complete:
            self.complete(issue_id)

    def complete(self, issue_id: int) -> None:
        self.world.seed.execute("SELECT delivery.close_fan_out(%s)", (issue_id,))
        self.growing.discard(issue_id)

    @precondition(lambda self: self.comings_and_goings < COMINGS_AND_GOINGS_MAX)
    @rule(person=st.integers(0, READERS + MAIL_MAX - 1))
    def leave_or_sign_up(self, person: int) -> None:
        self.comings_and_goings += 1
        if person < READERS:
            self.world.seed.leave(self.readers[person])
            self.left.add(f"reader-{person + 1}@example.com")
        elif (address := f"new-{person}@example.com") not in self.mails:
            self.mails.append(address)
            self.world.seed.single_mail(address, dedupe_key=address, expires_in="1 year")

    # Workers --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < WORKERS_MAX)
    @rule(lane=LANES, stop_at=st.sampled_from(["claimed", "started", "answered", "ended"]), fault=ANY_FAULT)
    def work(self, lane: Lane, stop_at: Seam, fault: str) -> None:
        """A worker claims, goes to a seam, and stands there until the model lets it go on; or does all of it."""
        worker = next(filter(None, map(self.claim, (lane, *ALL_LANES))), None)
        if worker is None:
            # Nothing moves: somebody sees to it, or most of an example would pass in a pause.
            self.resume_all()
        while worker is not None and worker.seam not in {stop_at, "ended"}:
            self.one_seam(worker, fault)
        if worker is not None and worker.seam != "ended":
            self.workers.append(worker)

    @precondition(lambda self: self.workers)
    @rule(pick=st.integers(0, WORKERS_MAX - 1), fault=ANY_FAULT)
    def go_on(self, pick: int, fault: str) -> None:
        """To its next seam: the commit that begins its call, its call, or its record."""
        self.one_seam(self.workers[pick % len(self.workers)], fault)

    def claim(self, lane: Lane) -> Worker | None:
        """Waits are courtesy to the provider: nothing may rest on them, so the model ignores them."""
        self.world.skip_waits()
        return self.world.claim(lane)

    @precondition(lambda self: self.workers)
    @rule(pick=st.integers(0, WORKERS_MAX))
    def die(self, pick: int) -> None:
        """At whichever seam it stands: claimed only, begun without a call, or called and not written down."""
        worker = self.workers.pop(pick % len(self.workers))
        self.world.kill(worker)
        self.loose_ends = True

    @precondition(lambda self: self.workers)
    @rule(
        pick=st.integers(0, WORKERS_MAX - 1),
        other_gets_to=st.sampled_from(["nowhere", "claimed", "started", "answered", "ended"]),
    )
    def oversleep(self, pick: int, other_gets_to: str) -> None:
        """A worker wakes behind its lease: nobody has noticed yet, or another one has the work and is that far."""
        late = self.workers[pick % len(self.workers)]
        # What was begun is only free again once it is shown not to have gone out.
        self.world.let_pass(LEASE_S + 1 if late.seam == "claimed" else FLOOR_S + 1)
        self.loose_ends = True
        if other_gets_to != "nowhere":
            self.world.rescue()
            self.reconcile(2, search_is_down=False)
            other = self.claim(late.lane)
            while other is not None and other.seam not in {other_gets_to, "ended"}:
                self.one_seam(other, "none")
            if other is not None and other.seam != "ended":
                self.workers.append(other)
        self.one_seam(late, "none")

    def one_seam(self, worker: Worker, fault: str) -> None:
        world, before = self.world, worker.seam
        if before == "claimed":
            may_start = not self.held_up(worker) and world.now_s - worker.claimed_at_s < LEASE_S
            worker.gone_before_start = frozenset(self.left)
            worker.started_at_s = world.now_s
            sent = world.go_on(worker)
            assert not sent, "a mail went out before the commit that announces the call"
            assert worker.seam != "started" or may_start, "a call was begun without a lease, or in spite of a pause"
        elif before == "started":
            stalled = world.now_s - worker.started_at_s >= STALL_MAX_S
            sent = world.go_on(worker, *FAULTS[fault], straggling=fault == STRAGGLES)
            assert not (stalled and sent), "a worker that stood still for too long made its call"
            gone = [one.to for one in sent if one.delivery and one.to in worker.gone_before_start]
            assert not gone, "somebody was sent to who had left before the call was begun"
        else:
            sent = world.go_on(worker)
            assert not sent
        self.loose_ends |= fault != "none"
        if worker.seam == "ended" and worker in self.workers:
            self.workers.remove(worker)

    def held_up(self, worker: Worker) -> bool:
        [(paused,)] = self.world.seed.execute("SELECT paused_at IS NOT NULL FROM delivery.sending_state")
        if paused or worker.issue_id is None:
            return bool(paused)
        return self.world.seed.progress(worker.issue_id).state != "open"

    # Time, and who looks after the rest -----------------------------------------------------------------------

    @precondition(lambda self: self.workers)
    @rule(seconds=st.sampled_from([STALL_MAX_S + 0.5, LEASE_S + 1, FLOOR_S + 1]), rescued=st.booleans())
    def time_passes(self, seconds: float, *, rescued: bool) -> None:
        self.world.let_pass(seconds)
        if rescued:
            self.world.rescue()
            self.world.finish()

    @precondition(lambda self: self.loose_ends)
    @rule(search_is_down=st.sampled_from([False, False, False, True]), rounds=st.integers(1, 2))
    def reconcile(self, rounds: int, *, search_is_down: bool) -> None:
        """A second round can see the canary that the first one sent."""
        for _ in range(rounds):
            self.world.skip_waits()
            self.world.reconcile(*([{"kind": "search_down"}] if search_is_down else []))

    @precondition(lambda self: self.loose_ends)
    @rule(seconds=st.sampled_from([LEASE_S + 1, FLOOR_S + 1]))
    def settle_what_the_dead_held(self, seconds: float) -> None:
        """The usual way of a crash, so that examples get to its end: time, rescue, the search."""
        self.world.let_pass(seconds)
        self.world.rescue()
        self.reconcile(2, search_is_down=False)
        [(loose_ends,)] = self.world.seed.execute(
            "SELECT EXISTS (SELECT FROM delivery.delivery_chunk WHERE status IN ('leased', 'attempting', 'uncertain')) "
            "OR EXISTS (SELECT FROM delivery.single_mail WHERE status IN ('leased', 'attempting', 'uncertain'))"
        )
        self.loose_ends = bool(loose_ends)

    # The operator and the provider -----------------------------------------------------------------------------

    @rule(pick=st.integers(0, ISSUES_MAX - 1), step=st.sampled_from(STEPS))
    def operate(self, pick: int, step: str) -> None:
        """The author completes an audience; the operator pauses and resumes; the provider's search stops and heals."""
        world, issue_id = self.world, list(self.audience)[pick % len(self.audience)]
        match step:
            case "complete":
                self.complete(issue_id)
            case "pause the issue":
                world.change(pause_issue, issue_id=issue_id, reason="By hand.")
            case "resume the issue":
                world.change(resume_issue, issue_id=issue_id)
            case "pause everything":
                world.change(pause_sending, reason="By hand.")
            case "resume everything":
                world.change(resume_sending)
            case "search stands still":
                world.search_stands_still = True
            case _:
                world.search_recovers()

    # What always holds ----------------------------------------------------------------------------------------

    @invariant()
    def the_counts_add_up(self) -> None:
        for issue_id, audience in self.audience.items():
            progress = self.world.seed.progress(issue_id)
            assert progress.audience == audience
            assert progress.adds_up, progress
            if progress.state == "finished":
                assert progress.pending + progress.in_flight + progress.uncertain == 0

    @invariant()
    def nobody_is_sent_an_issue_twice(self) -> None:
        twice = [delivery for delivery, count in self.accepted_by_delivery().items() if count > 1]
        assert not twice, f"accepted twice: {twice}"

    @invariant()
    def no_outcome_ever_changes(self) -> None:
        rows = self.world.seed.execute("SELECT issue_id, seq, outcome, message_id::text FROM delivery.delivery_outcome")
        now: dict[tuple[int, int], tuple[str, str | None]] = {}
        for issue_id, seq, outcome, message_id in rows:
            now[int(str(issue_id)), int(str(seq))] = (str(outcome), None if message_id is None else str(message_id))
        for key, word in self.outcomes.items():
            assert now.get(key) == word, f"{key} was {word} and is {now.get(key)}"
        self.outcomes = now

    @invariant()
    def what_counts_as_accepted_was_accepted(self) -> None:
        known = {one.message_id: one.delivery for one in self.world.sent}
        for (issue_id, seq), (outcome, message_id) in self.outcomes.items():
            if outcome == "accepted":
                assert known.get(str(message_id)) == f"{issue_id}-{seq}"

    def accepted_by_delivery(self) -> Counter[str]:
        return Counter(one.delivery for one in self.world.sent if one.delivery)

    # The end --------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everything heals, and the queue comes to rest by itself. After a failure there is nothing to ask for."""
        for worker in self.workers:
            self.world.kill(worker)
        self.workers.clear()
        if sys.exc_info()[0] is None:
            self.heal()
            self.come_to_rest()
            self.everything_is_settled_once()

    def heal(self) -> None:
        self.world.search_recovers()
        self.resume_all()
        for issue_id in list(self.growing):
            self.complete(issue_id)

    def resume_all(self) -> None:
        self.world.change(resume_sending)
        for issue_id in self.audience:
            self.world.change(resume_issue, issue_id=issue_id)

    def always(self) -> None:
        """The invariants, for a history that is played by hand."""
        self.the_counts_add_up()
        self.nobody_is_sent_an_issue_twice()
        self.no_outcome_ever_changes()
        self.what_counts_as_accepted_was_accepted()

    def come_to_rest(self) -> None:
        for _ in range(SETTLING_ROUNDS_MAX):
            if self.at_rest():
                return
            # A minute is how long a canary is waited for before another one is sent.
            self.world.let_pass(max(60.0, FLOOR_S) + 1)
            self.world.rescue()
            self.world.skip_waits()
            self.world.reconcile()
            self.send_all()
            self.world.finish()
        raise AssertionError(f"not at rest after {SETTLING_ROUNDS_MAX} rounds")

    def send_all(self) -> None:
        for lane in ALL_LANES:
            while (worker := self.world.claim(lane)) is not None:
                while worker.seam != "ended":
                    self.one_seam(worker, "none")

    def at_rest(self) -> bool:
        [(waiting,)] = self.world.seed.execute("SELECT count(*) FROM delivery.single_mail WHERE settled_at IS NULL")
        states = {self.world.seed.progress(issue_id).state for issue_id in self.audience}
        return waiting == 0 and states <= {"finished"}

    def everything_is_settled_once(self) -> None:
        self.no_outcome_ever_changes()
        self.what_counts_as_accepted_was_accepted()
        self.nobody_is_sent_an_issue_twice()
        words = Counter((issue_id, outcome) for (issue_id, _), (outcome, _) in self.outcomes.items())
        mails = Counter(int(one.delivery.partition("-")[0]) for one in self.world.sent if one.delivery)
        for issue_id, audience in self.audience.items():
            progress = self.world.seed.progress(issue_id)
            settled = {outcome: count for (issue, outcome), count in words.items() if issue == issue_id}
            assert sum(settled.values()) == audience == progress.audience
            assert progress.counts == settled, "the counts are those of the outcomes"
            assert progress.accepted == mails[issue_id], "and those of the sandbox's log"
        self.confirmations_arrived()

    def confirmations_arrived(self) -> None:
        """A confirmation may go again when the search did not show the first: better two than none."""
        rows = self.world.seed.execute("SELECT to_email, status FROM delivery.single_mail WHERE kind = 'confirmation'")
        status: dict[str, str] = {str(to): str(word) for to, word in rows}
        assert sorted(status) == sorted(self.mails)
        sends: Counter[str] = Counter(one.to for one in self.world.sent if not one.delivery)
        for address in self.mails:
            if status[address] == "accepted":
                assert sends[address] >= 1
            if sends[address] > 1:
                assert address in self.world.ever_hidden


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[QueueWorld]:
    with cluster.database() as database, running_sandbox_sync() as sandbox:
        yield from queue_world(database, sandbox)


def test_whatever_happens_every_delivery_is_settled_once(world: QueueWorld) -> None:
    examples = os.environ.get("QUEUE_MODEL_EXAMPLES")
    profile: dict[str, Any] = {
        "max_examples": int(examples or 30),
        "stateful_step_count": int(os.environ.get("QUEUE_MODEL_STEPS", "40")),
        "derandomize": examples is None,
        "database": None,
        "deadline": None,
        "suppress_health_check": list(HealthCheck),
    }

    class Model(QueueModel):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(Model, settings=settings(**profile))


# What befalls a call matters only to a worker that made it.
_FAULTS_BY_SEAM: Final[dict[Seam, list[str]]] = {
    "claimed": ["none"],
    "started": ["none", "search stands still"],
    "answered": ["none", "search stands still", STRAGGLES],
}


@pytest.mark.parametrize(
    ("stop_at", "fault"), [(seam, fault) for seam in _FAULTS_BY_SEAM for fault in _FAULTS_BY_SEAM[seam]]
)
@pytest.mark.parametrize("other_gets_to", ["in time", "nowhere", "claimed", "started", "answered", "ended"])
@pytest.mark.parametrize("lane", ALL_LANES)
def test_each_short_history_of_a_worker_that_is_held_up(
    world: QueueWorld, lane: Lane, stop_at: Seam, other_gets_to: str, fault: str
) -> None:
    """What a search through examples may take long to find is played through: a worker stops at each seam and somebody
    leaves; it goes on in time, or wakes behind its lease when another one is that far; what is of unknown fate is asked
    about below and above the floor.
    """
    model = QueueModel(world)
    model.begin(0)
    model.leave_or_sign_up(READERS)
    if lane == "newsletter":
        model.work("chunk", "ended", "one delayed")
    if fault == "search stands still":
        model.operate(0, fault)
        fault = "accepted, answer lost"
    model.work(lane, stop_at, fault)
    model.leave_or_sign_up(0)
    model.always()
    if other_gets_to == "in time":
        while model.workers:
            model.go_on(0, "none")
    else:
        model.oversleep(0, other_gets_to)
    model.always()
    for seconds in (LEASE_S + 1, FLOOR_S + 1):
        model.settle_what_the_dead_held(seconds)
        model.always()
        model.work(lane, "ended", "none")
        for worker in list(model.workers):
            model.one_seam(worker, "none")
        model.always()
    model.teardown()
