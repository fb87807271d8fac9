"""What a chunk's row says at each step: whom it leaves out and why, how often it was searched, what may follow."""

import msgspec
import psycopg
import pytest

from broadsheet_delivery.queue.claim_chunk import IssueRotation, NothingToClaim, claim_chunk
from broadsheet_delivery.sending.send_chunk import send_chunk
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed

LEFT = (
    "UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now() "
    "WHERE subscriber_id = (SELECT id FROM subscriptions.subscriber WHERE email_key = 'reader-2@example.com')"
)
SUPPRESSED = "INSERT INTO delivery.suppression VALUES ('broadcast', 'reader-2@example.com', 'It bounced.', 'test')"


@pytest.mark.parametrize(
    ("statement", "outcome", "reason"),
    [(LEFT, "excluded", "The subscription is unsubscribed."), (SUPPRESSED, "suppressed", "It bounced.")],
)
async def test_who_may_not_be_sent_to_any_more_when_the_call_begins_is_left_out_with_the_reason(
    seed: Seed, delivery: Delivering, oracle: Oracle, statement: str, outcome: str, reason: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    claimed = await delivery.claim()
    assert claimed is not None
    seed.execute(statement)
    await send_chunk(delivery.context, claimed)
    assert seed.progress(issue_id).counts == {"accepted": 2, outcome: 1}
    assert seed.execute("SELECT outcome, reason FROM delivery.delivery_outcome WHERE seq = 2") == [(outcome, reason)]
    assert {message.to for message in oracle.messages()} == {"reader-1@example.com", "reader-3@example.com"}


async def test_an_issue_whose_audience_is_still_being_enqueued_says_so(seed: Seed, delivery: Delivering) -> None:
    issue_id = seed.published_issue(seed.subscribers(1))
    await delivery.send_all_due()
    seed.execute("UPDATE delivery.issue_run SET state = 'open', finished_at = NULL, fan_out_finished_at = NULL")
    waiting = await claim_chunk(delivery.context, IssueRotation())
    assert isinstance(waiting, NothingToClaim)
    assert waiting.growing is True
    seed.execute("UPDATE delivery.issue_run SET fan_out_finished_at = now() WHERE issue_id = %s", (issue_id,))
    done = await claim_chunk(delivery.context, IssueRotation())
    assert isinstance(done, NothingToClaim)
    assert done.growing is False


async def test_each_search_for_a_lost_call_is_counted_once_and_nothing_else_is(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "drop_before", "count": 1})
    await delivery.send_all_due()
    counted = []
    for _ in range(3):
        counted += seed.execute("SELECT reconcile_count FROM delivery.delivery_chunk")
        make_due(seed)
        await delivery.reconcile()
    assert counted == [(0,), (1,), (2,)]


async def test_a_call_that_was_refused_counts_no_search(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "status", "status": 429, "error_code": 429, "count": 1})
    await delivery.send_all_due()
    assert seed.execute("SELECT status, reconcile_count FROM delivery.delivery_chunk") == [("pending", 0)]


async def test_what_is_left_of_a_chunk_keeps_what_was_left(seed: Seed, delivery: Delivering) -> None:
    """A part that is split off begins where the first part ends, and both have all their deliveries."""
    context = delivery.context
    issue_id = seed.published_issue(seed.subscribers(4), html="<p>" + "x" * 3_000 + "</p>")
    small = Delivering(msgspec.structs.replace(context, batch_bytes_max=9_000))
    await small.send_all_due()
    chunks = seed.execute("SELECT first_seq, last_seq FROM delivery.delivery_chunk ORDER BY first_seq")
    assert len(chunks) > 1
    assert [seq for first, last in chunks for seq in range(int(str(first)), int(str(last)) + 1)] == [1, 2, 3, 4]
    assert seed.progress(issue_id).counts == {"accepted": 4}


async def test_a_chunk_that_another_worker_is_claiming_is_passed_over(
    database: Database, seed: Seed, delivery: Delivering
) -> None:
    seed.published_issue(seed.subscribers(1))
    await delivery.preflight()
    with psycopg.connect(database.owner_url) as other:
        other.execute("SELECT id FROM delivery.delivery_chunk FOR UPDATE")
        assert isinstance(await claim_chunk(delivery.context, IssueRotation()), NothingToClaim)
    assert await delivery.claim() is not None
