"""What Postmark's webhooks do: each event once, in any order, and never to the outcome of a delivery."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.events.provider_event import parse_event
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Captured, Oracle
from harness.postmark.events import DAY, came_back, event, hard_bounce, left, tell
from harness.queue.queue_time import make_due
from harness.seeding import Seed


async def one_sent(seed: Seed, delivery: Delivering, oracle: Oracle) -> Captured:
    seed.published_issue(seed.subscribers(1))
    await delivery.send_all_due()
    [message] = oracle.messages()
    return message


def suppressions(seed: Seed) -> list[tuple[object, ...]]:
    return seed.execute("SELECT email_key, kind, active FROM delivery.suppression ORDER BY email_key")


def changes(seed: Seed) -> list[tuple[object, ...]]:
    return seed.execute("SELECT kind, email_key, newsletter_ids FROM subscriptions.provider_change ORDER BY id")


async def test_an_event_is_recorded_with_the_delivery_it_is_about_and_no_address(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    message = await one_sent(seed, delivery, oracle)
    told = event("Delivery", message, Details=f"250 2.0.0 OK for {message.to}")
    tell(
        seed,
        told,
        event("Open", message, FirstOpen=True),
        event("Click", message, OriginalLink="https://a.example/x?t=1"),
    )
    assert await delivery.apply_events() == 3
    rows = seed.execute(
        "SELECT record_type, issue_id || '-' || seq, message_id, email_key, detail::text FROM delivery.provider_event "
        "ORDER BY id"
    )
    assert {row[0] for row in rows} == {"Delivery", "Open", "Click"}
    assert {row[1:4] for row in rows} == {(message.metadata["bs_delivery"], message.message_id, None)}
    assert not any("@" in str(row[4]) or "t=1" in str(row[4]) for row in rows)
    assert seed.count("delivery.provider_event_inbox") == 0


async def test_an_event_that_comes_46_times_at_once_has_one_effect(
    database: Database, seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    message = await one_sent(seed, delivery, oracle)
    for _ in range(46):
        tell(seed, left(message), event("Delivery", message))
    async with (
        delivering(database, sandbox.base_url, sandbox.token) as second,
        delivering(database, sandbox.base_url, sandbox.token) as third,
    ):
        await asyncio.gather(*(one.apply_events() for one in (delivery, second, third)))
    assert seed.execute("SELECT record_type, count(*) FROM delivery.provider_event GROUP BY 1 ORDER BY 1") == [
        ("Delivery", 1),
        ("SubscriptionChange", 1),
    ]
    assert changes(seed) == [("unsubscribe", message.to, [1])]
    assert seed.count("delivery.provider_event_inbox") == 0


async def in_every_order(seed: Seed, delivery: Delivering, *events: dict[str, Any]) -> set[tuple[object, ...]]:
    """Tell the same events in every order, each order about an address of its own, and apply after each; answers the
    suppressions (kind, active) that came out of it.
    """
    orders = list(enumerate(itertools.permutations(events)))
    for step in range(len(events)):
        for number, order in orders:
            address_field = "Email" if order[step]["RecordType"] in {"Bounce", "SpamComplaint"} else "Recipient"
            tell(seed, {**order[step], address_field: f"reader-{number}@example.com"})
        await delivery.apply_events()
    found = seed.execute("SELECT kind, active FROM delivery.suppression")
    assert len(found) == len(orders)
    return set(found)


async def test_suppressions_do_not_hang_on_the_order_of_arrival(seed: Seed, delivery: Delivering) -> None:
    """Bounced, lifted, left, delivered: suppressed in the end, whichever comes first."""
    assert await in_every_order(
        seed,
        delivery,
        event("Bounce", Type="HardBounce", Inactive=True, minutes=0),
        event("SubscriptionChange", SuppressSending=False, Origin="Admin", minutes=1),
        event("SubscriptionChange", SuppressSending=True, Origin="Recipient", minutes=2),
        event("Delivery", minutes=3),
    ) == {("unsubscribe", True)}


async def test_a_lift_counts_over_what_was_before_it(seed: Seed, delivery: Delivering) -> None:
    found = await in_every_order(
        seed,
        delivery,
        event("SubscriptionChange", SuppressSending=True, Origin="Recipient", minutes=0),
        event("SubscriptionChange", SuppressSending=True, Origin="Recipient", minutes=1),
        event("SubscriptionChange", SuppressSending=False, Origin="Recipient", minutes=2),
    )
    assert {active for _, active in found} == {False}


async def test_a_complaint_is_never_lifted(seed: Seed, delivery: Delivering) -> None:
    assert await in_every_order(
        seed,
        delivery,
        event("SpamComplaint", Type="SpamComplaint", minutes=0),
        event("SubscriptionChange", SuppressSending=False, minutes=1),
        event("SubscriptionChange", SuppressSending=True, SuppressionReason="HardBounce", minutes=2),
    ) == {("complaint", True)}


async def test_a_delivery_after_a_bounce_changes_nothing_and_the_outcome_stays_accepted(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    message = await one_sent(seed, delivery, oracle)
    tell(seed, hard_bounce(message), event("Delivery", message, minutes=5))
    await delivery.apply_events()
    assert suppressions(seed) == [(message.to, "hard_bounce", True)]
    assert seed.execute("SELECT outcome FROM delivery.delivery_outcome") == [("accepted",)]


async def test_who_is_suppressed_gets_no_further_issue_and_who_is_lifted_does(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(2)
    seed.published_issue(readers)
    await delivery.send_all_due()
    first, second = oracle.messages()
    tell(seed, hard_bounce(first), hard_bounce(second))
    tell(seed, came_back(second, minutes=1))
    await delivery.apply_events()
    issue_id = seed.published_issue(readers, title="Next")
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1, "suppressed": 1}
    assert [m.to for m in oracle.messages() if m.subject == "Next"] == [second.to]


BOUNCES: list[tuple[dict[str, Any], str | None]] = [
    ({"Type": "SoftBounce", "TypeCode": 4096, "Inactive": False}, None),
    ({"Type": "Transient", "TypeCode": 2, "Inactive": False}, None),
    ({"Type": "HardBounce", "TypeCode": 1, "Inactive": True}, "hard_bounce"),
    ({"Type": "HardBounce", "TypeCode": 1}, "hard_bounce"),
    ({"TypeCode": 1}, "hard_bounce"),
    ({"Type": "BadEmailAddress", "Inactive": True}, "hard_bounce"),
    ({"Type": "Blocked", "Inactive": False}, None),
    ({"Type": "SpamComplaint", "TypeCode": 100001}, "complaint"),
    ({"Type": "Unsubscribe", "TypeCode": 16}, "unsubscribe"),
    ({"Type": "NobodyKnowsThis", "TypeCode": 77}, None),
]


async def test_what_a_bounce_means_hangs_on_its_type(seed: Seed, delivery: Delivering) -> None:
    for number, (bounce, _) in enumerate(BOUNCES):
        tell(seed, event("Bounce", **bounce, Email=f"reader-{number}@example.com"))
    await delivery.apply_events()
    found = {row[0]: row[1] for row in suppressions(seed)}
    assert found == {f"reader-{number}@example.com": kind for number, (_, kind) in enumerate(BOUNCES) if kind}
    assert seed.count("delivery.provider_event") == len(BOUNCES)


async def test_a_bounce_of_type_unsubscribe_without_an_address_is_an_unsubscribe(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    message = await one_sent(seed, delivery, oracle)
    tell(seed, event("Bounce", message, Type="Unsubscribe", TypeCode=16, Email=...))
    await delivery.apply_events()
    assert suppressions(seed) == [(message.to, "unsubscribe", True)]
    assert changes(seed) == [("unsubscribe", message.to, [1])]


async def test_without_metadata_too_it_is_found_by_the_message_that_an_earlier_event_named(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    message = await one_sent(seed, delivery, oracle)
    tell(seed, event("Delivery", message))
    await delivery.apply_events()
    tell(seed, event("Bounce", message, Type="Unsubscribe", TypeCode=16, Email=..., Metadata={}))
    await delivery.apply_events()
    assert suppressions(seed) == [(message.to, "unsubscribe", True)]


UNKNOWN_BODIES: list[Any] = [
    {"RecordType": "NobodyKnowsThis", "A": 1},
    {},
    [],
    5,
    None,
    "x",
    {"RecordType": None},
    {"RecordType": "Bounce"},
    {"RecordType": "Delivery", "MessageID": "no uuid", "DeliveredAt": "no time", "Metadata": "none"},
    {"RecordType": "SubscriptionChange", "SuppressSending": "yes", "ChangedAt": "0001-01-01T00:00:00+14:00"},
    {"RecordType": "a\x00b", "MessageStream": "\x00", "Metadata": {"bs_delivery": "9" * 40 + "-1"}},
]


async def test_what_nobody_knows_is_recorded_and_has_no_effect(seed: Seed, delivery: Delivering) -> None:
    tell(seed, *UNKNOWN_BODIES)
    await delivery.apply_events()
    assert seed.count("delivery.provider_event") == len(UNKNOWN_BODIES)
    assert seed.count("delivery.provider_event_inbox") == 0
    assert suppressions(seed) == []


_SCALAR = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20)
_JSON = _SCALAR | st.lists(_SCALAR, max_size=2) | st.dictionaries(st.text(max_size=5), _SCALAR, max_size=2)
_FIELDS = ("RecordType", "MessageID", "Metadata", "Email", "Recipient", "BouncedAt", "Type", "TypeCode", "Inactive")


@given(
    st.sampled_from(["Bounce", "Delivery", "Click", "SubscriptionChange"]),
    st.dictionaries(st.sampled_from(_FIELDS), _JSON),
)
def test_no_body_breaks_the_reading(record_type: str, fields: dict[str, Any]) -> None:
    body = msgspec.json.encode({"RecordType": record_type, **fields}).decode()
    parsed = parse_event(body, DAY)
    assert parsed.dedupe_key == parse_event(body, DAY + timedelta(hours=1)).dedupe_key
    assert parsed.occurred_at <= DAY
    assert b"\\u0000" not in msgspec.json.encode(parsed.detail)


async def test_an_event_settles_a_call_whose_answer_was_lost(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(30))
    oracle.fault({"kind": "drop_after", "count": 1}, {"kind": "search_down"})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 30}
    messages = oracle.messages()
    tell(seed, *(event("Delivery", message) for message in messages[:10]))
    await delivery.apply_events()
    assert seed.progress(issue_id).counts == {"accepted": 10, "uncertain": 20}
    tell(seed, *(event("Open", message) for message in messages[10:]))
    await delivery.apply_events()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 30}
    assert seed.progress(issue_id).state == "finished"
    rows = seed.execute("SELECT message_id FROM delivery.delivery_outcome")
    assert {row[0] for row in rows} == {message.message_id for message in messages}
    assert set(oracle.sends().values()) == {1}


async def test_a_bounce_settles_it_as_accepted_too(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(1))
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    tell(seed, hard_bounce(oracle.messages()[0]))
    await delivery.apply_events()
    assert seed.progress(issue_id).counts == {"accepted": 1}


async def test_a_delivery_that_waits_alone_is_settled_in_its_lane(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(5))
    oracle.fault({"kind": "item_errors", "error_code": 101, "recipients": ["reader-4@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 4, "uncertain": 1}
    [(attempt_id,)] = seed.execute("SELECT attempt_id FROM delivery.single_mail")
    like = oracle.messages()[0]
    metadata = {"bs_delivery": f"{issue_id}-4", "bs_attempt": str(attempt_id)}
    tell(seed, event("Delivery", like, Metadata=metadata, Recipient="reader-4@example.com"))
    await delivery.apply_events()
    assert seed.progress(issue_id).counts == {"accepted": 5}
    assert seed.execute("SELECT status FROM delivery.single_mail") == [("accepted",)]


async def test_a_confirmation_whose_answer_was_lost_is_settled_and_not_sent_again(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.single_mail("ada@example.com", dedupe_key="one")
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    [message] = oracle.messages()
    tell(seed, event("Delivery", message))
    await delivery.apply_events()
    assert seed.execute("SELECT status, message_id FROM delivery.single_mail") == [("accepted", message.message_id)]
    make_due(seed)
    await delivery.send_all_due()
    assert len(oracle.messages()) == 1


async def test_an_event_of_another_installation_on_the_same_server_settles_nothing(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    """Its deliveries are numbered like ours; its attempts are not."""
    issue_id = seed.published_issue(seed.subscribers(1))
    oracle.fault({"kind": "drop_before", "count": 1})
    await delivery.send_all_due()
    metadata = {"bs_delivery": f"{issue_id}-1", "bs_attempt": "11111111-1111-1111-1111-111111111111"}
    message_id = "22222222-2222-2222-2222-222222222222"
    tell(seed, event("Delivery", Recipient="x@example.com", MessageID=message_id, Metadata=metadata))
    await delivery.apply_events()
    assert seed.progress(issue_id).counts == {"uncertain": 1}
    assert seed.execute("SELECT issue_id, seq FROM delivery.provider_event") == [(None, None)]


async def test_one_event_that_cannot_be_applied_holds_no_other_up(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    message = await one_sent(seed, delivery, oracle)
    seed.execute("ALTER TABLE delivery.suppression ADD CONSTRAINT fault CHECK (email_key <> 'poison@example.com')")
    tell(seed, hard_bounce(message, Email="poison@example.com"), hard_bounce(message))
    await delivery.apply_events()
    assert suppressions(seed) == [(message.to, "hard_bounce", True)]
    assert seed.execute("SELECT failure_count, run_at > now() FROM delivery.provider_event_inbox") == [(1, True)]
    seed.execute("ALTER TABLE delivery.suppression DROP CONSTRAINT fault")
    seed.execute("UPDATE delivery.provider_event_inbox SET run_at = now()")
    await delivery.apply_events()
    assert len(suppressions(seed)) == 2
