"""Events that show that Postmark accepted what is still uncertain."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from broadsheet_delivery.events.provider_event import parse_event
from broadsheet_delivery.events.settle_by_event import settle_by_events
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.postmark.events import event
from harness.seeding import Seed


async def settle(delivery: Delivering, *told: dict[str, Any]) -> int:
    now = datetime.now(UTC)
    return await settle_by_events(
        delivery.context.engine, [parse_event(msgspec.json.encode(one).decode(), now) for one in told]
    )


async def test_it_says_how_many_had_no_outcome_before(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    seed.single_mail("ada@example.com", dedupe_key="one")
    oracle.fault({"kind": "drop_after", "count": 2})
    await delivery.send_all_due()
    told = [event("Delivery", message) for message in oracle.messages()]
    assert len(told) == 4
    assert await settle(delivery) == 0
    assert await settle(delivery, *told) == 4
    assert await settle(delivery, *told) == 0
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert seed.execute("SELECT status FROM delivery.single_mail") == [("accepted",)]


async def test_without_the_id_of_a_message_or_of_an_attempt_it_settles_nothing(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1))
    seed.single_mail("ada@example.com", dedupe_key="one")
    oracle.fault({"kind": "drop_after", "count": 2})
    await delivery.send_all_due()
    for message in oracle.messages():
        without_attempt = {name: value for name, value in message.metadata.items() if name != "bs_attempt"}
        assert await settle(delivery, event("Delivery", message, Metadata=without_attempt)) == 0
        assert await settle(delivery, event("Delivery", message, MessageID=...)) == 0
        assert await settle(delivery, event("Delivery", message, Metadata={})) == 0
    assert seed.progress(issue_id).counts == {"uncertain": 1}
    assert seed.execute("SELECT status FROM delivery.single_mail") == [("uncertain",)]


async def test_the_rest_of_each_chunk_is_asked_about_at_once(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(600))
    oracle.fault({"kind": "drop_after", "count": 2})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 600}
    seed.execute("UPDATE delivery.delivery_chunk SET run_at = now() + interval '1 hour'")
    by_seq = {int(message.metadata["bs_delivery"].rpartition("-")[2]): message for message in oracle.messages()}
    assert await settle(delivery, event("Delivery", by_seq[1]), event("Delivery", by_seq[600])) == 2
    assert seed.progress(issue_id).counts == {"accepted": 2, "uncertain": 598}
    waiting = seed.execute("SELECT 1 FROM delivery.delivery_chunk WHERE status = 'uncertain' AND run_at > now()")
    assert waiting == []


async def test_the_outcome_names_the_message_and_its_attempt(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    """Also of a delivery that waits alone, whose call was another one than its chunk's."""
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "item_errors", "error_code": 101, "recipients": ["reader-2@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "uncertain": 1}
    [(attempt_id,)] = seed.execute("SELECT attempt_id FROM delivery.single_mail")
    metadata = {"bs_delivery": f"{issue_id}-2", "bs_attempt": str(attempt_id)}
    like = oracle.messages()[0]
    assert await settle(delivery, event("Delivery", like, Metadata=metadata)) == 1
    rows = seed.execute("SELECT message_id, attempt_id FROM delivery.delivery_outcome WHERE seq = 2")
    assert rows == [(like.message_id, attempt_id)]
