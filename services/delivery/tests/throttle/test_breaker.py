"""The breaker and the adaptive number of calls: what one replica runs into, all know."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails, send_single_mails
from broadsheet_delivery.throttle.state_store import SendingState, read_sending_state
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering, running_worker
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed
from harness.waiting import eventually

LOST = {"kind": "drop_before"}


@pytest.fixture
async def other(database: Database, sandbox: RunningSandbox) -> AsyncIterator[Delivering]:
    """A second replica."""
    async with delivering(database, sandbox.base_url, sandbox.token) as driven:
        yield driven


async def state_of(delivery: Delivering) -> SendingState:
    async with delivery.context.engine.connect() as connection:
        return await read_sending_state(connection, left_when_slow=timedelta(0))


def openings(seed: Seed) -> int:
    [(count,)] = seed.execute("SELECT back_off_count FROM delivery.sending_state")
    return int(str(count))


def issues(seed: Seed, count: int, *, readers: int = 5) -> None:
    people = seed.subscribers(readers)
    for _ in range(count):
        seed.published_issue(people)


async def test_unknown_outcomes_in_a_row_over_all_replicas_open_it(
    seed: Seed, delivery: Delivering, other: Delivering, oracle: Oracle
) -> None:
    issues(seed, 7)
    oracle.fault(LOST)
    for replica in (delivery, other, delivery, other):
        assert await replica.send_one_chunk()
    assert (await state_of(delivery)).breaker == "closed"
    assert await delivery.send_one_chunk()
    state = await state_of(other)
    assert (state.breaker, state.state) == ("open", "backing_off")
    assert "connection lost" in str(state.reason)
    assert state.back_off_until is not None
    assert not await delivery.send_one_chunk()
    assert not await other.send_one_chunk()


async def test_a_success_between_them_begins_the_count_anew(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issues(seed, 9)
    for rules in ([LOST], [], [LOST]):
        oracle.fault(*rules)
        for _ in range(4 if rules else 1):
            assert await delivery.send_one_chunk()
    assert (await state_of(delivery)).breaker == "closed"


async def test_half_open_one_call_at_a_time_tries_and_its_success_lets_all_go_on(
    seed: Seed, delivery: Delivering, other: Delivering, oracle: Oracle
) -> None:
    issues(seed, 4)
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "count": 1})
    assert await delivery.send_one_chunk()
    assert (await state_of(delivery)).breaker == "open"
    make_due(seed)
    assert (await state_of(delivery)).breaker == "half_open"
    probe = await other.claim()
    assert probe is not None
    assert await delivery.claim() is None
    assert await other.claim() is None
    await send_chunk(other.context, probe)
    assert (await state_of(delivery)).breaker == "closed"
    assert await delivery.claim() is not None
    assert await other.claim() is not None


async def test_a_failed_probe_opens_it_again_for_longer(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issues(seed, 9)
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "count": 1}, LOST)
    for count in range(1, 6):
        assert await delivery.send_one_chunk()
        assert openings(seed) == count, "one unknown outcome of a probe is enough"
        assert not await delivery.send_one_chunk()
        make_due(seed)


async def test_a_dead_prober_is_followed_by_another_and_starts_no_call_itself(
    seed: Seed, delivery: Delivering, other: Delivering, oracle: Oracle
) -> None:
    issues(seed, 3)
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "count": 1})
    assert await delivery.send_one_chunk()
    make_due(seed)
    stopped = await delivery.claim()
    assert stopped is not None
    [(bounded,)] = seed.execute("SELECT probe_until <= now() + interval '20 s' FROM delivery.sending_state")
    assert bounded
    seed.execute("UPDATE delivery.sending_state SET probe_until = now() - interval '1 s'")
    follower = await other.claim()
    assert follower is not None
    await send_chunk(delivery.context, stopped)
    assert oracle.messages() == [], "it is no longer the one that may try"
    assert seed.progress(stopped.chunk.issue_id).counts == {"pending": 5}
    await send_chunk(other.context, follower)
    assert len(oracle.messages()) == 5


async def test_a_probe_that_finds_nobody_to_send_to_leaves_its_turn(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(4)
    seed.published_issue(readers[:2])
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "count": 1})
    assert await delivery.send_one_chunk()
    make_due(seed)
    probe = await delivery.claim()
    assert probe is not None
    seed.leave(readers[0])
    seed.leave(readers[1])
    await send_chunk(delivery.context, probe)
    assert oracle.messages() == []
    seed.published_issue(readers[2:])
    assert await delivery.send_one_chunk()
    assert len(oracle.messages()) == 2


async def test_a_confirmation_may_be_what_tries(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issues(seed, 2)
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "count": 1})
    assert await delivery.send_one_chunk()
    make_due(seed)
    seed.single_mail("new@example.com", dedupe_key="a")
    claimed = await claim_single_mails(delivery.context, "transactional")
    assert isinstance(claimed, ClaimedMails)
    assert await delivery.claim() is None
    await send_single_mails(delivery.context, claimed)
    assert (await state_of(delivery)).breaker == "closed"
    assert await delivery.claim() is not None


async def test_an_older_call_that_fails_does_not_count_against_the_probe(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issues(seed, 1)
    oracle.fault({"kind": "latency", "latency_ms": 500}, LOST)
    older = asyncio.create_task(delivery.send_one_chunk())
    await eventually(lambda: _statuses(seed) == {"attempting": 1}, what="the call is under way")
    seed.execute("UPDATE delivery.sending_state SET back_off_count = 1, probe_token = gen_random_uuid()")
    assert await older
    assert _statuses(seed) == {"uncertain": 1}
    assert seed.execute("SELECT back_off_count, failure_count FROM delivery.sending_state") == [(1, 0)]


def _statuses(seed: Seed) -> dict[str, int]:
    rows = seed.execute("SELECT status, count(*) FROM delivery.delivery_chunk GROUP BY status")
    return {str(status): int(str(count)) for status, count in rows}


async def test_a_lease_that_is_too_short_says_nothing_about_postmark(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issues(seed, 1)
    before = seed.execute("SELECT xmin::text FROM delivery.sending_state")
    hurried = Delivering(msgspec.structs.replace(delivery.context, call_timeout=timedelta(seconds=60)))
    for _ in range(6):
        assert await hurried.send_one_chunk()
    assert seed.execute("SELECT xmin::text FROM delivery.sending_state") == before
    assert oracle.messages() == []
    await delivery.send_all_due()
    assert len(oracle.messages()) == 5


async def test_a_429_halves_the_calls_under_way_once_a_round_and_successes_add_back(
    seed: Seed, delivery: Delivering, other: Delivering, oracle: Oracle
) -> None:
    issues(seed, 20)
    seed.execute(
        "INSERT INTO delivery.replica (id, host, pid, version, concurrent_calls) "
        "SELECT gen_random_uuid(), 'here', n, '1', 4 FROM generate_series(1, 2) AS n"
    )
    held = [claim for replica in (delivery, other) * 4 if (claim := await replica.claim()) is not None]
    assert len(held) == 8
    oracle.fault({"kind": "latency", "latency_ms": 500}, {"kind": "rate_limit"})
    await asyncio.gather(*(send_chunk(delivery.context, claim) for claim in held[:3]))
    refused = seed.execute("SELECT count(*) FROM delivery.send_attempt_end WHERE http_status = 429")
    assert refused == [(3,)]
    assert (await state_of(delivery)).concurrency == 4, "three refusals of one round, halved once"
    oracle.heal()
    seed.execute("UPDATE delivery.sending_state SET back_off_until = '-infinity', back_off_count = 0")
    for claim in held[3:]:
        await send_chunk(other.context, claim)
    assert (await state_of(delivery)).concurrency == 5
    claims = [await replica.claim() for replica in (delivery, other) * 4]
    assert sum(claim is not None for claim in claims) == 5


async def test_above_what_the_replicas_would_use_nothing_restrains_them_any_more(
    seed: Seed, delivery: Delivering
) -> None:
    issues(seed, 30)
    seed.execute(
        "INSERT INTO delivery.replica (id, host, pid, version, concurrent_calls) "
        "SELECT gen_random_uuid(), 'here', n, '1', 2 FROM generate_series(1, 2) AS n"
    )
    seed.execute("UPDATE delivery.sending_state SET concurrency = 1")
    seen: list[int | None] = []
    for _ in range(30):
        assert await delivery.send_one_chunk()
        seen.append((await state_of(delivery)).concurrency)
    assert seen[:2] == [2, 2]
    assert 3 in seen
    assert seen[-1] is None
    assert 4 not in seen


async def test_a_postmark_that_hangs_is_tried_again_before_its_calls_time_out(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    """One place, and the call in it hangs: it is slow, leaves the place, and the rest goes on once Postmark heals."""
    issues(seed, 3)
    oracle.fault({"kind": "hang", "seconds": 600, "count": 1})
    async with running_worker(
        database,
        sandbox.base_url,
        sandbox.token,
        delivery_concurrent_calls=1,
        delivery_slow_call_s=2.0,  # long enough that only the call that hangs is slow, on any machine
        delivery_breaker_failures=1,
        delivery_http_timeout_s=60.0,
        delivery_lease_s=90.0,
    ) as worker:
        await eventually(lambda: len(oracle.messages()) == 10, what="the two others are out")
        await eventually(lambda: _statuses(seed) == {"attempting": 1, "done": 2}, what="they are written down")
        await worker.drain(0.1)
    assert set(oracle.sends().values()) == {2}


async def test_slow_calls_count_as_failures_and_lower_the_calls_at_once(
    seed: Seed, database: Database, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issues(seed, 1)
    oracle.fault({"kind": "latency", "latency_ms": 1500})
    async with delivering(
        database, sandbox.base_url, sandbox.token, delivery_slow_call_s=0.05, delivery_breaker_failures=1
    ) as replica:
        claimed = await replica.claim()
        assert claimed is not None
        seed.execute("UPDATE delivery.sending_state SET concurrency = 6")
        sending = asyncio.create_task(send_chunk(replica.context, claimed))
        await eventually(lambda: openings(seed) == 1, what="it was slow before it ended")
        assert seed.execute("SELECT concurrency FROM delivery.sending_state") == [(3.0,)]
        await sending
    assert len(oracle.messages()) == 5
