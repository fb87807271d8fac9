"""Who bounces softly too often is suppressed: whatever the order and number of copies in which it is told."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.suppressions.soft_bounce_rule import SoftBounceRule, broken_at
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Captured, Oracle
from harness.postmark.events import event, tell
from harness.seeding import Seed

from .test_suppressions import at_postmark

DAY_MINUTES = 24 * 60
THREE = {"delivery_soft_bounces": 3, "delivery_soft_bounce_days": 10}
START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = SoftBounceRule(3, timedelta(days=10))

Suppressed = list[tuple[object, ...]]


def soft(message: Captured | None, *, day: float, **changes: Any) -> dict[str, Any]:
    given = {"Type": "SoftBounce", "TypeCode": 4096, "Inactive": False, **changes}
    return event("Bounce", message, minutes=day * DAY_MINUTES, **given)


def arrived(message: Captured, *, day: float) -> dict[str, Any]:
    return event("Delivery", message, minutes=day * DAY_MINUTES)


def in_force(seed: Seed) -> Suppressed:
    return seed.execute(
        "SELECT email_key, kind, origin FROM delivery.suppression WHERE active ORDER BY message_stream, email_key"
    )


@pytest.fixture
async def strict(database: Database, sandbox: RunningSandbox) -> Any:
    async with delivering(database, sandbox.base_url, sandbox.token, **THREE) as driven:
        yield driven


async def four_issues(seed: Seed, delivery: Delivering, oracle: Oracle) -> list[Captured]:
    """To one reader, each accepted by Postmark."""
    readers = seed.subscribers(1)
    for number in range(4):
        seed.published_issue(readers, title=f"Issue {number}")
    await delivery.send_all_due()
    messages = sorted(oracle.messages(), key=lambda message: message.subject)
    assert len(messages) == 4
    return messages


async def test_three_soft_bounces_within_the_window_suppress_and_postmark_is_told(
    seed: Seed, strict: Delivering, oracle: Oracle, sandbox: RunningSandbox
) -> None:
    first, second, third, _ = await four_issues(seed, strict, oracle)
    tell(seed, soft(first, day=0), soft(second, day=3))
    await strict.apply_events()
    assert in_force(seed) == []
    tell(seed, soft(third, day=9))
    await strict.apply_events()
    assert in_force(seed) == [(first.to, "soft_bounces", "rule")]
    assert await strict.tell_postmark() == 1
    assert at_postmark(sandbox) == {first.to: "ManualSuppression"}
    [(reader,)] = seed.execute("SELECT id FROM subscriptions.subscriber")
    next_issue = seed.published_issue([int(str(reader))])
    await strict.send_all_due()
    assert seed.progress(next_issue).counts == {"suppressed": 1}
    assert seed.count("subscriptions.provider_change") == 0


async def test_postmarks_echo_of_the_rules_word_changes_nothing(seed: Seed, strict: Delivering, oracle: Oracle) -> None:
    messages = await four_issues(seed, strict, oracle)
    tell(seed, *(soft(message, day=day) for day, message in enumerate(messages[:3])))
    await strict.apply_events()
    tell(seed, event("SubscriptionChange", messages[0], minutes=9000, SuppressSending=True, Origin="Customer"))
    await strict.apply_events()
    assert in_force(seed) == [(messages[0].to, "soft_bounces", "rule")]


@pytest.mark.parametrize("days", [(0, 3, 10.1), (0, 11, 22)])
async def test_bounces_too_far_apart_do_not(
    seed: Seed, strict: Delivering, oracle: Oracle, days: tuple[float, ...]
) -> None:
    messages = await four_issues(seed, strict, oracle)
    tell(seed, *(soft(message, day=day) for message, day in zip(messages, days, strict=False)))
    await strict.apply_events()
    assert in_force(seed) == []


async def test_a_mail_that_arrives_between_them_starts_the_count_anew_in_any_order_and_with_copies(
    seed: Seed, strict: Delivering, oracle: Oracle
) -> None:
    first, second, third, fourth = await four_issues(seed, strict, oracle)
    events = [soft(first, day=0), soft(second, day=1), arrived(third, day=2), soft(fourth, day=3)]
    for order in itertools.permutations(events):
        seed.execute("TRUNCATE delivery.provider_event, delivery.suppression")
        for one in order:
            tell(seed, one, one)
            await strict.apply_events()
        assert in_force(seed) == [], [one["RecordType"] for one in order]


async def test_three_after_a_mail_that_arrived_do_in_any_order_and_with_copies(
    seed: Seed, strict: Delivering, oracle: Oracle
) -> None:
    first, second, third, fourth = await four_issues(seed, strict, oracle)
    events = [arrived(first, day=0), soft(second, day=1), soft(third, day=2), soft(fourth, day=3)]
    for order in itertools.permutations(events):
        seed.execute("TRUNCATE delivery.provider_event, delivery.suppression")
        for one in order:
            tell(seed, one, one)
            await strict.apply_events()
        assert in_force(seed) == [(first.to, "soft_bounces", "rule")], [one["RecordType"] for one in order]


async def test_what_an_operator_lifts_is_forgiven_and_bounces_from_before_do_not_count_again(
    seed: Seed, strict: Delivering, oracle: Oracle
) -> None:
    messages = await four_issues(seed, strict, oracle)
    tell(seed, *(soft(message, day=day) for day, message in enumerate(messages[:3])))
    await strict.apply_events()
    seed.execute("UPDATE delivery.suppression SET active = false, changed_at = %s", ("2026-01-05 12:00+00",))
    tell(seed, soft(messages[3], day=5))
    await strict.apply_events()
    assert in_force(seed) == []
    # An old one that comes late does not bring it back either.
    tell(seed, soft(messages[2], day=2.5))
    await strict.apply_events()
    assert in_force(seed) == []


async def test_soft_bounces_count_on_their_own_stream_alone(seed: Seed, strict: Delivering, oracle: Oracle) -> None:
    messages = await four_issues(seed, strict, oracle)
    tell(
        seed,
        soft(messages[0], day=0),
        soft(messages[1], day=1),
        soft(messages[2], day=2, MessageStream="outbound"),
    )
    await strict.apply_events()
    assert in_force(seed) == []


async def test_a_transient_delay_a_block_and_a_challenge_are_no_soft_bounces(
    seed: Seed, strict: Delivering, oracle: Oracle
) -> None:
    messages = await four_issues(seed, strict, oracle)
    for number, kind in enumerate(["Transient", "Blocked", "ChallengeVerification", "SpamNotification"]):
        tell(seed, soft(messages[number], day=number, Type=kind, TypeCode=0))
    await strict.apply_events()
    assert in_force(seed) == []


async def test_a_hard_bounce_or_a_complaint_keeps_its_kind(seed: Seed, strict: Delivering, oracle: Oracle) -> None:
    messages = await four_issues(seed, strict, oracle)
    tell(
        seed,
        event("SpamComplaint", messages[0], minutes=0),
        *(soft(message, day=day) for day, message in enumerate(messages[1:], start=1)),
    )
    await strict.apply_events()
    assert in_force(seed) == [(messages[0].to, "complaint", "recipient")]


async def test_with_the_rule_switched_off_nothing_counts(
    database: Database, seed: Seed, oracle: Oracle, sandbox: RunningSandbox
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_soft_bounces=0) as off:
        messages = await four_issues(seed, off, oracle)
        tell(seed, *(soft(message, day=day) for day, message in enumerate(messages)))
        await off.apply_events()
    assert in_force(seed) == []


_moments = st.lists(st.integers(0, 40).map(lambda hours: START + timedelta(hours=12 * hours)), max_size=8)


@given(_moments, _moments)
def test_the_rule_is_what_it_says(bounces: list[datetime], arrivals: list[datetime]) -> None:
    """Against the sentence itself, tried on every three bounces."""
    ordered = sorted(bounces)
    moments = [
        run[-1]
        for run in zip(ordered, ordered[1:], ordered[2:], strict=False)
        if run[-1] - run[0] <= RULE.window and not any(run[0] < moment <= run[-1] for moment in arrivals)
    ]
    assert broken_at(RULE, bounces, arrivals) == (max(moments) if moments else None)


def create_stream(sandbox: RunningSandbox, stream: str) -> None:
    handling = {"UnsubscribeHandlingType": "Custom"}
    body = {"ID": stream, "Name": stream, "MessageStreamType": "Broadcasts",
            "SubscriptionManagementConfiguration": handling}  # fmt: skip
    answer = httpx.post(f"{sandbox.base_url}/message-streams", json=body, headers=sandbox.headers)
    assert answer.is_success, answer.text


async def test_a_manual_suppression_of_every_stream_holds_on_one_that_comes_into_use_later(
    seed: Seed, delivery: Delivering, sandbox: RunningSandbox, delivery_api: httpx.AsyncClient
) -> None:
    [reader] = seed.subscribers(1)
    made = await delivery_api.post(
        "/api/v1/suppressions", json={"email": "reader-1@example.com", "stream": None, "note": "By phone"}
    )
    assert (made.status_code, made.json()["stream"]) == (201, None)
    shown = (await delivery_api.get("/api/v1/suppressions", params={"email": "reader-1@example.com"})).json()["items"]
    assert [one["stream"] for one in shown] == [None, "outbound", "broadcast"]
    assert {(one["kind"], one["origin"], one["active"]) for one in shown} == {("manual", "operator", True)}
    assert await delivery.tell_postmark() == 2
    assert at_postmark(sandbox) == at_postmark(sandbox, "outbound") == {"reader-1@example.com": "ManualSuppression"}

    create_stream(sandbox, "later")
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'later'")
    issue_id = seed.published_issue([reader])
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"suppressed": 1}
    assert await delivery.tell_postmark() == 1
    assert at_postmark(sandbox, "later") == {"reader-1@example.com": "ManualSuppression"}


async def test_lifting_one_of_every_stream_lifts_what_was_made_of_it_and_no_bounce(
    seed: Seed, delivery: Delivering, delivery_api: httpx.AsyncClient
) -> None:
    tell(seed, event("Bounce", Type="HardBounce", Inactive=True, Email="reader-1@example.com"))
    await delivery.apply_events()
    made = (
        await delivery_api.post("/api/v1/suppressions", json={"email": "reader-1@example.com", "stream": None})
    ).json()
    assert (await delivery_api.delete(f"/api/v1/suppressions/{made['id']}")).status_code == 204
    assert in_force(seed) == [("reader-1@example.com", "hard_bounce", "postmark")]
