"""The way of one delivery, as the API tells it: found after splits, hand-overs, lost answers and retries."""

import uuid
from typing import Any

import httpx
import pytest

from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.postmark.events import event, hard_bounce, tell
from harness.queue.queue_time import make_due
from harness.seeding import Seed


async def timeline(operator: httpx.AsyncClient, issue_id: int, seq: int) -> dict[str, Any]:
    answer = await operator.get(f"/api/v1/deliveries/{issue_id}-{seq}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_a_delivery_shows_when_it_was_queued_sent_and_accepted(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    before = await timeline(operator, issue_id, 2)
    assert (before["status"], before["attempts"], before["queued_at"] is not None) == ("pending", [], True)
    await delivery.send_all_due()
    shown = await timeline(operator, issue_id, 2)
    [attempt] = shown["attempts"]
    message = next(one for one in oracle.messages() if one.to == "reader-2@example.com")
    assert shown["message_id"] == str(message.message_id)
    assert attempt["id"] == shown["attempt_id"] == message.metadata["bs_attempt"]
    assert attempt["replica_id"] == str(delivery.context.replica.id)
    assert (attempt["verdict"], attempt["http_status"], attempt["message_count"]) == ("answered", 200, 3)
    moments = [shown["queued_at"], attempt["started_at"], attempt["ended_at"]]
    assert moments == sorted(moments, key=str)


async def test_a_lost_call_and_the_one_after_it_are_both_shown(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "count": 1})
    await delivery.send_all_due()
    make_due(seed)
    await delivery.send_all_due()
    shown = await timeline(operator, issue_id, 1)
    assert [one["verdict"] for one in shown["attempts"]] == ["not_sent", "answered"]
    assert [one["error_code"] for one in shown["attempts"]] == [100, None]


async def test_a_mail_handed_over_shows_the_batch_and_its_own_call_and_the_others_only_the_batch(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(5))
    oracle.fault(
        {
            "kind": "item_errors",
            "error_code": 429,
            "recipients": ["reader-2@example.com", "reader-4@example.com"],
            "count": 2,
        }
    )
    await delivery.send_all_due()
    make_due(seed)
    await delivery.send_all_due()
    counts = {
        seq: [one["message_count"] for one in (await timeline(operator, issue_id, seq))["attempts"]]
        for seq in range(1, 6)
    }
    assert counts == {1: [5], 2: [5, 2], 3: [5], 4: [5, 2], 5: [5]}


async def test_after_a_split_each_delivery_shows_the_call_that_carried_it(
    database: Database, seed: Seed, sandbox: RunningSandbox, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(10), html="<p>" + "x" * 10_000 + "</p>")
    async with delivering(database, sandbox.base_url, sandbox.token, batch_bytes_max=50_000) as small:
        await small.send_all_due()
    ids = set()
    for seq in range(1, 11):
        shown = await timeline(operator, issue_id, seq)
        [attempt] = shown["attempts"]
        assert attempt["id"] == shown["attempt_id"]
        assert shown["queued_at"] == (await timeline(operator, issue_id, 1))["queued_at"]
        ids.add(attempt["id"])
    assert len(ids) > 1


async def test_who_was_settled_without_a_call_shows_none(
    seed: Seed, delivery: Delivering, operator: httpx.AsyncClient
) -> None:
    readers = seed.subscribers(3)
    issue_id = seed.published_issue(readers)
    seed.leave(readers[1])
    await delivery.send_all_due()
    shown = await timeline(operator, issue_id, 2)
    assert (shown["status"], shown["attempts"]) == ("excluded", [])


async def test_postmarks_events_are_shown_in_the_order_in_which_they_happened(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    """However they came in, and also those that name only the message; each delivery shows its own."""
    issue_id = seed.published_issue(seed.subscribers(2))
    await delivery.send_all_due()
    first, second = sorted(oracle.messages(), key=lambda message: message.to)
    tell(seed, event("Open", first, minutes=3, FirstOpen=True, Metadata={}), hard_bounce(second, minutes=2))
    tell(seed, event("Click", first, minutes=4, OriginalLink="https://a.example/x?token=1", ClickLocation="HTML"))
    tell(seed, event("Delivery", first, minutes=1, Details=f"250 OK for {first.to}"))
    await delivery.apply_events()
    opened = await timeline(operator, issue_id, 1)
    assert [one["record_type"] for one in opened["events"]] == ["Delivery", "Open", "Click"]
    moments = [one["occurred_at"] for one in opened["events"]]
    assert moments == sorted(moments)
    assert opened["events"][1]["detail"] == {"first_open": True}
    assert opened["events"][2]["detail"]["location"] == "HTML"
    assert "token" not in str(opened["events"])
    assert first.to not in str(opened["events"])
    bounced = await timeline(operator, issue_id, 2)
    [bounce] = bounced["events"]
    assert (bounce["record_type"], bounce["detail"]["type"], bounce["detail"]["inactive"]) == (
        "Bounce",
        "HardBounce",
        True,
    )
    assert (opened["status"], bounced["status"]) == ("accepted", "accepted")


async def test_the_deliveries_of_a_subscriber_are_found_in_pages(
    seed: Seed, delivery: Delivering, operator: httpx.AsyncClient
) -> None:
    readers = seed.subscribers(3)
    issues = [seed.published_issue(readers[: 3 - n % 2]) for n in range(5)]
    await delivery.send_all_due()
    found: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"subscriber_id": str(readers[2]), "limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await operator.get("/api/v1/deliveries", params=parameters)).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [f"{issue_id}-3" for issue_id in reversed(issues[::2])]


async def test_a_delivery_is_found_by_postmarks_message_id(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    await delivery.send_all_due()
    message = oracle.messages()[1]
    page = (await operator.get("/api/v1/deliveries", params={"message_id": str(message.message_id)})).json()
    assert [item["id"] for item in page["items"]] == [f"{issue_id}-2"]
    unknown = await operator.get("/api/v1/deliveries", params={"message_id": str(uuid.uuid4())})
    assert (unknown.status_code, unknown.json()["items"]) == (200, [])
    oracle.fault({"kind": "search_down"})
    down = await operator.get("/api/v1/deliveries", params={"message_id": str(message.message_id)})
    assert down.status_code == 503


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("deliveries", 422),
        ("deliveries?subscriber_id=1&message_id=00000000-0000-4000-8000-000000000000", 422),
        ("deliveries?message_id=made-up", 400),
        ("deliveries?subscriber_id=0", 400),
        ("deliveries/1-1", 404),
        ("deliveries/made-up", 404),
        ("deliveries/1-99999999999", 404),
        ("issues/99/decisions", 404),
    ],
)
async def test_what_cannot_be_shown_is_a_problem(operator: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await operator.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
