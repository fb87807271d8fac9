"""What is found out for the streams, and at which cost, on a real database."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Next
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_delivery.watching.dashboard_view import DashboardView
from broadsheet_delivery.watching.event_data import DashboardEvent, IssueEvent
from broadsheet_delivery.watching.read_watched import IDLE_S, INTERVAL_S, WatchRounds
from broadsheet_delivery.watching.watchers import State, Topic, Watchers
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.seeding import Seed

DASHBOARD = DashboardView(issues=None, deliveries=None, imports=None, webhooks=True, senders=True)
OF_AN_ISSUE = msgspec.json.Decoder(IssueEvent)
OF_THE_DASHBOARD = msgspec.json.Decoder(DashboardEvent)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """With the service's own rights."""
    made = create_engine(
        PostgresUrl.parse(database.url_for("delivery")), application_name="test", pool_size=2, timeout_s=10.0
    )
    yield made
    await made.dispose()


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[list[str]]:
    """Statements that are sent meanwhile."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield statements
    sa.event.remove(engine.sync_engine, "before_cursor_execute", note)


class Rounds:
    """Rounds whose clock the test sets."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.now_s = 0.0
        self.watchers = Watchers(watchers_max=1000, per_caller_max=1000)
        self.rounds = WatchRounds(engine, self.watchers, monotonic_s=lambda: self.now_s)

    async def run(self) -> Next:
        return await self.rounds.run()

    async def state_of(self, topic: Topic) -> State | None:
        """As a stream that begins now finds it."""
        self.now_s += INTERVAL_S
        with self.watchers.watch(topic, "key:1") as watcher:
            await self.run()
            return await watcher.first(1.0)

    async def issue(self, issue_id: int) -> IssueEvent:
        return OF_AN_ISSUE.decode(data_of(await self.state_of(issue_id)))

    async def dashboard(self, view: DashboardView = DASHBOARD) -> DashboardEvent:
        return OF_THE_DASHBOARD.decode(data_of(await self.state_of(view)))


@pytest.fixture
def rounds(engine: AsyncEngine) -> Rounds:
    return Rounds(engine)


def data_of(state: State | None) -> bytes:
    assert state is not None
    fields = dict(line.split(b": ", 1) for line in state.message.splitlines() if line)
    assert fields[b"id"].decode() == state.id
    return fields[b"data"]


async def test_one_statement_a_second_serves_every_stream_and_none_is_sent_while_nobody_watches(
    rounds: Rounds, engine: AsyncEngine, seed: Seed
) -> None:
    issues = [seed.published_issue(seed.subscribers(1, prefix=f"of-{n}")) for n in range(3)]
    with counted(engine) as statements, ExitStack() as stack:
        assert await rounds.run() == Next(IDLE_S)
        assert statements == []
        topics: tuple[Topic, ...] = (*issues, DASHBOARD, msgspec.structs.replace(DASHBOARD, webhooks=False))
        watchers = [
            stack.enter_context(rounds.watchers.watch(topic, f"key:{n}")) for n in range(40) for topic in topics
        ]
        assert await rounds.run() == Next(INTERVAL_S)
        assert len(statements) == 1
        assert {type(await watcher.first(0.1)) for watcher in watchers} == {State}
        rounds.now_s += 0.4
        assert (await rounds.run()).in_s == pytest.approx(INTERVAL_S - 0.4)
        assert len(statements) == 1
        rounds.now_s += 0.7
        await rounds.run()
        assert len(statements) == 2


async def test_an_issue_is_told_from_its_start_to_its_end(rounds: Rounds, seed: Seed, delivery: Delivering) -> None:
    issue_id = seed.published_issue(seed.subscribers(600), title="The first")
    before = await rounds.issue(issue_id)
    assert (before.title, before.status, before.newsletter_id) == ("The first", "sending", 1)
    assert (before.counts.audience, before.counts.pending, before.is_final) == (600, 600, False)
    assert (before.settled_per_s, before.seconds_left) == (None, None)
    await delivery.send_one_chunk()
    assert (await rounds.issue(issue_id)).counts.accepted == 500
    await delivery.send_all_due()
    after = await rounds.issue(issue_id)
    assert (after.status, after.counts.accepted, after.seconds_left) == ("sent", 600, None)
    assert after.is_final
    assert after.finished_at is not None
    state = await rounds.state_of(issue_id)
    assert state is not None
    assert state.is_final


async def test_rate_and_time_left_come_from_counts_while_somebody_watches(
    rounds: Rounds, seed: Seed, engine: AsyncEngine, delivery: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1500))
    clock_s = [1_800_000_000.0]
    monkeypatch.setattr("broadsheet_delivery.watching.read_watched.read_snapshot", at_times(clock_s))
    with rounds.watchers.watch(issue_id, "key:1") as watcher:
        events = []
        for _ in range(2):
            rounds.now_s += INTERVAL_S
            await rounds.run()
            events.append(OF_AN_ISSUE.decode(data_of(await watcher.first(1.0))))
            await delivery.send_one_chunk()
            clock_s[0] += 10.0
    assert (events[0].settled_per_s, events[1].settled_per_s) == (None, 50.0)
    assert (events[1].counts.pending, events[1].seconds_left) == (1000, 20)


def at_times(clock_s: list[float]) -> Any:
    """The real question, with its time set."""
    from broadsheet_delivery.watching.store import read_snapshot

    async def read(*arguments: Any, **named: Any) -> Any:
        return msgspec.structs.replace(await read_snapshot(*arguments, **named), at_s=clock_s[0])

    return read


async def test_an_issue_that_was_never_published_is_not_known(rounds: Rounds) -> None:
    assert await rounds.state_of(123_456) is None


async def test_a_state_has_the_same_name_on_every_replica_and_another_when_it_changes(
    rounds: Rounds, engine: AsyncEngine, seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(501))
    here = await rounds.state_of(issue_id)
    there = await Rounds(engine).state_of(issue_id)
    assert here is not None
    assert there is not None
    assert here.id == there.id
    await delivery.send_one_chunk()
    after = await rounds.state_of(issue_id)
    assert after is not None
    assert after.id != here.id


async def test_the_dashboard_shows_what_goes_on_and_why_it_does_not(
    rounds: Rounds, seed: Seed, delivery: Delivering
) -> None:
    done = seed.published_issue(seed.subscribers(1, prefix="done"))
    await delivery.send_all_due()
    going = seed.published_issue(seed.subscribers(2, prefix="going"), title="Going")
    held = seed.published_issue(seed.subscribers(2, prefix="held"), title="Held")
    seed.execute(
        "UPDATE delivery.issue_run SET state = 'paused', pause_reason = 'A wrong link' WHERE issue_id = %s", (held,)
    )
    seed.execute("UPDATE delivery.sending_state SET paused_at = now(), pause_reason = 'Token refused'")
    found = await rounds.dashboard()
    assert [(issue.issue_id, issue.status, issue.status_reason) for issue in found.issues] == [
        (held, "paused", "A wrong link"),
        (going, "sending", None),
    ]
    assert done not in {issue.issue_id for issue in found.issues}
    assert found.issues_in_progress == 2
    assert found.sending is not None
    assert (found.sending.state, found.sending.reason) == ("paused", "Token refused")
    assert (found.uncertain, found.failing_webhooks, found.imports_with_rejects) == ([], [], [])


async def test_the_dashboard_shows_what_waits_for_a_person(
    rounds: Rounds, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_one_chunk()
    unsure = await rounds.dashboard()
    assert [(one.issue_id, one.uncertain, one.parked) for one in unsure.uncertain or []] == [(issue_id, 3, 0)]
    seed.execute("UPDATE delivery.delivery_chunk SET parked_at = now() WHERE issue_id = %s", (issue_id,))
    [[endpoint_id]] = seed.execute(
        "INSERT INTO subscriptions.webhook_endpoint (url, events, failing_since) "
        "VALUES ('https://hooks.example.com/?key=secret', '{subscriber.confirmed}', '2026-01-02T03:04:05Z') "
        "RETURNING id"
    )
    imports = [add_import(seed, status, rejected) for status, rejected in [("done", 4), ("done", 0), ("failed", 0)]]
    state = await rounds.state_of(DASHBOARD)
    found = OF_THE_DASHBOARD.decode(data_of(state))
    assert [(one.issue_id, one.uncertain, one.parked) for one in found.uncertain or []] == [(issue_id, 3, 3)]
    assert [(one.endpoint_id, one.failing_since, one.disabled) for one in found.failing_webhooks or []] == [
        (endpoint_id, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), False)
    ]
    assert [(one.import_id, one.status, one.rejected) for one in found.imports_with_rejects or []] == [
        (imports[2], "failed", 0),
        (imports[0], "done", 4),
    ]
    assert b"secret" not in data_of(state)
    # Only of the newsletters that a caller may see, and only the parts.
    elsewhere = await rounds.dashboard(
        DashboardView(
            issues=frozenset({77}),
            deliveries=frozenset({77}),
            imports=frozenset({77}),
            webhooks=False,
            senders=False,
        )
    )
    assert elsewhere == DashboardEvent(
        sending=None,
        issues_in_progress=0,
        issues=[],
        uncertain=[],
        failing_webhooks=None,
        imports_with_rejects=[],
    )
    without = await rounds.dashboard(msgspec.structs.replace(DASHBOARD, deliveries=frozenset(), imports=frozenset()))
    assert (without.uncertain, without.imports_with_rejects) == (None, None)
    assert len(without.issues) == 1
    assert b"example.com" not in data_of(state)


def add_import(seed: Seed, status: str, rejected: int) -> int:
    [[import_id]] = seed.execute(
        "INSERT INTO subscriptions.import_job (newsletter_id, status, created_by, consent_basis, given_state, "
        "existing, dry_run, finished_at) "
        "VALUES (1, %s, 'key:1', 'They asked', 'confirmed', 'skip', false, now()) RETURNING id",
        (status,),
    )
    seed.execute(
        "INSERT INTO subscriptions.import_lane (import_id, lane, row_count, rejected_count) VALUES (%s, 0, %s, %s)",
        (import_id, rejected, rejected),
    )
    return int(str(import_id))
