"""Limits that all replicas obey at once: calls under way, messages a second; and that a change takes hold at once."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import sqlalchemy as sa

from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails
from broadsheet_delivery.throttle.state_store import (
    SendingLimits,
    pause_issue,
    pause_sending,
    resume_issue,
    resume_sending,
    set_limits,
)
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering, running_worker
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.waiting import eventually


@pytest.fixture
async def other(database: Database, sandbox: RunningSandbox) -> AsyncIterator[Delivering]:
    """A second replica."""
    async with delivering(database, sandbox.base_url, sandbox.token) as driven:
        yield driven


async def limit(delivery: Delivering, **limits: float | None) -> None:
    async with delivery.context.engine.begin() as connection:
        await set_limits(connection, SendingLimits(**limits))  # type: ignore[arg-type]


def let_rate_pass(seed: Seed) -> None:
    seed.execute("UPDATE delivery.sending_state SET next_send_at = '-infinity'")


async def test_at_most_so_many_calls_are_under_way_over_all_replicas(
    seed: Seed, delivery: Delivering, other: Delivering
) -> None:
    seed.published_issue(seed.subscribers(3000))
    await limit(delivery, concurrent_calls_max=2)
    claims = await asyncio.gather(delivery.claim(), other.claim(), delivery.claim(), other.claim())
    held = [claim for claim in claims if claim is not None]
    assert len(held) == 2
    await send_chunk(other.context, held[0])
    assert await delivery.claim() is not None
    assert await other.claim() is None
    await limit(other, concurrent_calls_max=3)
    assert await delivery.claim() is not None
    assert await other.claim() is None
    await limit(other, concurrent_calls_max=None)
    assert await delivery.claim() is not None


async def test_newsletter_mails_that_go_alone_take_a_place_too(
    seed: Seed, delivery: Delivering, other: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(600))
    seed.execute(
        "INSERT INTO delivery.single_mail (kind, dedupe_key, issue_id, seq, traceparent) "
        "VALUES ('newsletter', 'newsletter:1:1', %s, 1, 'trace')",
        (issue_id,),
    )
    await delivery.preflight()
    await limit(delivery, concurrent_calls_max=1)
    assert isinstance(await claim_single_mails(other.context, "newsletter"), ClaimedMails)
    assert await delivery.claim() is None


async def test_a_dead_replicas_places_come_back_with_its_leases(
    seed: Seed, delivery: Delivering, other: Delivering
) -> None:
    seed.published_issue(seed.subscribers(1000))
    await limit(delivery, concurrent_calls_max=1)
    assert await other.claim() is not None
    assert await delivery.claim() is None
    seed.execute("UPDATE delivery.delivery_chunk SET lease_until = now() - interval '1 s' WHERE status = 'leased'")
    assert await delivery.claim() is not None


async def test_a_call_carries_what_the_rate_allows_in_a_second_and_the_next_waits(
    seed: Seed, delivery: Delivering, other: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(250))
    await limit(delivery, messages_per_s_max=100)
    claims = await asyncio.gather(delivery.claim(), other.claim(), delivery.claim(), other.claim())
    [held] = [claim for claim in claims if claim is not None]
    assert len(held.recipients) == 100
    [(ahead,)] = seed.execute("SELECT next_send_at > now() FROM delivery.sending_state")
    assert ahead
    await send_chunk(delivery.context, held)
    for left in (50, 0):
        let_rate_pass(seed)
        claim = await other.claim()
        assert claim is not None
        await send_chunk(other.context, claim)
        assert seed.progress(issue_id).counts.get("pending", 0) == left
    assert set(oracle.sends().values()) == {1}
    assert len(oracle.sends()) == 250


async def test_the_rates_clock_moves_by_the_messages_over_the_rate(seed: Seed, delivery: Delivering) -> None:
    seed.published_issue(seed.subscribers(40))
    await limit(delivery, messages_per_s_max=80)
    before = seed.execute("SELECT clock_timestamp()")[0][0]
    assert await delivery.claim() is not None
    [(early, late)] = seed.execute(
        "SELECT next_send_at >= %s + interval '0.5 s', next_send_at > clock_timestamp() + interval '0.5 s' "
        "FROM delivery.sending_state",
        (before,),
    )
    assert (early, late) == (True, False)


async def test_below_one_a_second_mails_go_one_by_one(seed: Seed, delivery: Delivering) -> None:
    seed.published_issue(seed.subscribers(3))
    await limit(delivery, messages_per_s_max=0.1)
    claim = await delivery.claim()
    assert claim is not None
    assert len(claim.recipients) == 1
    assert await delivery.claim() is None


async def test_transactional_mail_is_held_by_no_limit_and_counts_against_the_rate(
    seed: Seed, delivery: Delivering, other: Delivering, oracle: Oracle
) -> None:
    seed.published_issue(seed.subscribers(1000))
    await limit(delivery, messages_per_s_max=10, concurrent_calls_max=1)
    assert await delivery.claim() is not None
    for n in range(30):
        seed.single_mail(f"new-{n}@example.com", dedupe_key=str(n))
    assert await other.send_one_single_batch()
    assert len(oracle.sends()) == 30
    [(seconds,)] = seed.execute("SELECT extract(epoch FROM next_send_at - now()) FROM delivery.sending_state")
    assert float(str(seconds)) > 2.5


async def test_with_no_limit_in_force_sending_writes_nothing_about_it_and_takes_no_lock_for_it(
    seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1500))
    ran: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        ran.append(statement)

    version = "SELECT xmin::text, ctid::text FROM delivery.sending_state"
    before = seed.execute(version)
    sa.event.listen(delivery.context.engine.sync_engine, "before_cursor_execute", note)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1500}
    assert seed.execute(version) == before
    assert ran
    assert not [statement for statement in ran if "pg_advisory_xact_lock" in statement]


async def test_a_pause_holds_on_every_replica_from_its_commit_on(
    seed: Seed, delivery: Delivering, other: Delivering
) -> None:
    first = seed.published_issue(seed.subscribers(1000))
    assert await delivery.claim() is not None
    async with other.context.engine.begin() as connection:
        assert await pause_issue(connection, issue_id=first, reason="by hand")
    assert await delivery.claim() is None
    async with other.context.engine.begin() as connection:
        assert await resume_issue(connection, issue_id=first)
        await pause_sending(connection, reason="by hand")
    assert await delivery.claim() is None
    assert await other.claim() is None
    async with other.context.engine.begin() as connection:
        await resume_sending(connection)
    assert await delivery.claim() is not None


@pytest.mark.parametrize("held_by", ["pause", "limit"])
async def test_idle_replicas_notice_at_once_that_they_may_go_on(
    database: Database, seed: Seed, sandbox: RunningSandbox, delivery: Delivering, held_by: str
) -> None:
    """They would look by themselves after a minute: the notice of the change wakes them."""
    issue_id = seed.published_issue(seed.subscribers(20))
    async with delivery.context.engine.begin() as connection:
        if held_by == "pause":
            await pause_sending(connection, reason="by hand")
        else:
            await set_limits(connection, SendingLimits(messages_per_s_max=0.01))
            await connection.execute(sa.text("UPDATE delivery.sending_state SET next_send_at = now() + interval '1 h'"))
    patient = {"delivery_poll_s": 120.0, "delivery_single_poll_s": 120.0}
    async with (
        running_worker(database, sandbox.base_url, sandbox.token, **patient),
        running_worker(database, sandbox.base_url, sandbox.token, **patient),
    ):
        await eventually(lambda: _listening(seed) == 2, what="both listen")
        assert seed.progress(issue_id).counts == {"pending": 20}
        async with delivery.context.engine.begin() as connection:
            if held_by == "pause":
                await resume_sending(connection)
            else:
                await set_limits(connection, SendingLimits(messages_per_s_max=None))
        await eventually(lambda: seed.progress(issue_id).state == "finished", within_s=30, what="they went on")


def _listening(seed: Seed) -> int:
    [(count,)] = seed.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "
        "AND application_name = 'broadsheet-delivery-listen' AND query LIKE '%%LISTEN%%'"
    )
    return int(str(count))


ANY_VERSION = {"If-Match": "*"}


async def test_who_sets_limits_over_those_they_have_not_seen_is_refused(delivery_api: httpx.AsyncClient) -> None:
    seen = (await delivery_api.get("/api/v1/senders")).headers["etag"]
    first = await delivery_api.patch("/api/v1/senders", json={"concurrent_calls_max": 3}, headers={"If-Match": seen})
    assert first.status_code == 200, first.text
    late = await delivery_api.patch("/api/v1/senders", json={"concurrent_calls_max": 5}, headers={"If-Match": seen})
    assert (late.status_code, late.json()["type"]) == (412, "urn:broadsheet:problem:precondition-failed")
    again = {"If-Match": late.headers["etag"]}
    assert (await delivery_api.patch("/api/v1/senders", json={"concurrent_calls_max": 5}, headers=again)).is_success
    unsaid = await delivery_api.patch("/api/v1/senders", json={"concurrent_calls_max": 7})
    assert (unsaid.status_code, unsaid.json()["type"]) == (428, "urn:broadsheet:problem:precondition-required")
    assert (await delivery_api.get("/api/v1/senders")).json()["sending"]["concurrent_calls_max"] == 5


async def test_what_sending_does_meanwhile_prevents_no_change_of_limits_but_is_another_answer(
    delivery_api: httpx.AsyncClient,
) -> None:
    seen = (await delivery_api.get("/api/v1/senders")).headers["etag"]
    assert (await delivery_api.post("/api/v1/senders/pause", json={"reason": "Look"})).is_success
    answer = await delivery_api.get("/api/v1/senders", headers={"If-None-Match": seen})
    assert (answer.status_code, answer.json()["sending"]["state"]) == (200, "paused")
    changed = await delivery_api.patch("/api/v1/senders", json={"concurrent_calls_max": 3}, headers={"If-Match": seen})
    assert changed.status_code == 200, changed.text


async def test_limits_are_set_and_shown_through_the_api(delivery_api: httpx.AsyncClient) -> None:
    limits = {"messages_per_s_max": 12.5, "concurrent_calls_max": 3}
    changed = await delivery_api.patch("/api/v1/senders", json=limits, headers=ANY_VERSION)
    assert changed.status_code == 200, changed.text
    kept = await delivery_api.patch("/api/v1/senders", json={"messages_per_s_max": None}, headers=ANY_VERSION)
    assert (kept.json()["messages_per_s_max"], kept.json()["concurrent_calls_max"]) == (None, 3)
    shown = (await delivery_api.get("/api/v1/senders")).json()["sending"]
    assert shown["concurrent_calls_max"] == 3
    assert (shown["breaker"], shown["concurrency"], shown["state"]) == ("closed", None, "running")


@pytest.mark.parametrize(
    "body",
    [{"messages_per_s_max": 0}, {"concurrent_calls_max": 0}, {"concurrent_calls_max": 1.5}, {"calls": 1}, []],
)
async def test_a_limit_that_makes_no_sense_is_refused(delivery_api: httpx.AsyncClient, body: object) -> None:
    response = await delivery_api.patch("/api/v1/senders", json=body)
    assert 400 <= response.status_code < 500
    assert response.headers["content-type"].startswith("application/problem+json")


async def test_only_an_admin_changes_limits(delivery_api: httpx.AsyncClient, as_writer: dict[str, str]) -> None:
    response = await delivery_api.patch("/api/v1/senders", json={"concurrent_calls_max": 3}, headers=as_writer)
    assert response.status_code == 403
