"""A small issue has its turn beside a huge one, and a confirmation waits for no newsletter."""

from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.throttle.state_store import SendingLimits, set_limits
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering, running_worker
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.waiting import eventually


async def test_each_of_two_replicas_gives_a_small_issue_its_turn_next(
    database: Database, seed: Seed, sandbox: RunningSandbox, delivery: Delivering
) -> None:
    readers = seed.subscribers(6000)
    large = seed.published_issue(readers)
    async with delivering(database, sandbox.base_url, sandbox.token) as other:
        for replica in (delivery, other, delivery, other):
            assert await replica.send_one_chunk()
        small = seed.published_issue(readers[:700])
        for replica in (delivery, other):
            claimed = await replica.claim()
            assert claimed is not None
            assert claimed.chunk.issue_id == small
            await send_chunk(replica.context, claimed)
    assert seed.progress(small).counts == {"accepted": 700}
    assert seed.progress(large).counts == {"accepted": 2000, "pending": 4000}


async def test_under_a_limit_of_one_call_the_small_issue_is_done_long_before_the_huge_one(
    database: Database, seed: Seed, sandbox: RunningSandbox, delivery: Delivering
) -> None:
    readers = seed.subscribers(6000)
    large = seed.published_issue(readers)
    small = seed.published_issue(readers[:10])
    async with delivery.context.engine.begin() as connection:
        await set_limits(connection, SendingLimits(concurrent_calls_max=1))
    async with (
        running_worker(database, sandbox.base_url, sandbox.token),
        running_worker(database, sandbox.base_url, sandbox.token),
    ):
        await eventually(lambda: seed.progress(small).accepted == 10, what="the small issue is out")
        assert seed.progress(large).accepted < 6000


async def test_a_confirmation_is_sent_while_all_newsletter_places_hang(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2000))
    oracle.fault({"kind": "hang", "seconds": 60, "match": {"stream": "broadcast"}})
    async with running_worker(
        database, sandbox.base_url, sandbox.token, delivery_concurrent_calls=2, drain_s=0.1
    ) as worker:
        await eventually(lambda: seed.progress(issue_id).in_flight == 1000, what="both places are taken")
        seed.single_mail("new@example.com", dedupe_key="a")
        await eventually(lambda: oracle.sends() == {"new@example.com": 1}, what="the confirmation is out")
        assert seed.progress(issue_id).in_flight == 1000
        await worker.drain(0.1)


async def test_a_confirmation_is_claimed_while_the_limit_leaves_newsletters_no_place(
    database: Database, seed: Seed, sandbox: RunningSandbox, delivery: Delivering, oracle: Oracle
) -> None:
    seed.published_issue(seed.subscribers(2000))
    async with delivery.context.engine.begin() as connection:
        await set_limits(connection, SendingLimits(concurrent_calls_max=1, messages_per_s_max=1))
    async with delivering(database, sandbox.base_url, sandbox.token) as other:
        assert await delivery.claim() is not None
        assert await delivery.claim() is None
        assert await other.claim() is None
        seed.single_mail("new@example.com", dedupe_key="a")
        assert await other.send_one_single_batch()
    assert oracle.sends() == {"new@example.com": 1}
