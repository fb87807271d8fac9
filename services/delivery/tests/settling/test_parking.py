"""What stays uncertain is parked, and a person's decision settles it: audited, and never against what is settled."""

import asyncio
import uuid

import httpx
import psycopg
import pytest

from broadsheet_delivery.queue.chunk_store import ChunkRange, Settled, insert_outcomes, settle_uncertain
from broadsheet_delivery.queue.outcome import Accepted
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.owner import AUDIT_LOG
from harness.postmark.events import event, hard_bounce, tell
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed


async def park(seed: Seed, delivery: Delivering, oracle: Oracle, *, readers: int = 5, sent: bool = False) -> int:
    """An issue whose only call was lost, and the search never shows what became of it."""
    issue_id = seed.published_issue(seed.subscribers(readers))
    oracle.fault({"kind": "drop_after" if sent else "drop_before", "count": 1}, {"kind": "search_down"})
    await delivery.send_all_due()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    oracle.heal()
    return issue_id


def parked(seed: Seed, issue_id: int) -> int:
    [(count,)] = seed.execute("SELECT parked FROM delivery.published_issue_progress WHERE issue_id = %s", (issue_id,))
    return int(str(count))


async def test_before_the_deadline_nothing_is_parked(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    async with delivering(database, sandbox.base_url, sandbox.token, delivery_reconcile_deadline_s=7200.0) as patient:
        issue_id = await park(seed, patient, oracle)
    assert parked(seed, issue_id) == 0
    assert seed.progress(issue_id).counts == {"uncertain": 5}


async def test_after_the_deadline_it_is_parked_still_uncertain_and_asked_about_slowly(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    assert parked(seed, issue_id) == 5
    assert seed.progress(issue_id).counts == {"uncertain": 5}
    assert await delivery.reconcile() == 0
    [(wait_s,)] = seed.execute("SELECT extract(epoch FROM run_at - now())::float8 FROM delivery.delivery_chunk")
    assert float(str(wait_s)) > 200
    items = (await operator.get(f"/api/v1/issues/{issue_id}/deliveries")).json()["items"]
    assert {(item["status"], item["parked"]) for item in items} == {("uncertain", True)}


async def test_what_is_found_after_all_is_not_parked_any_more(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = await park(seed, delivery, oracle, sent=True)
    assert parked(seed, issue_id) == 5
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert parked(seed, issue_id) == 0
    assert seed.progress(issue_id).counts == {"accepted": 5}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}


@pytest.mark.parametrize(("choice", "count"), [("mark_sent", "accepted"), ("give_up", "failed")])
async def test_an_issue_is_settled_by_a_persons_word(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient, choice: str, count: str
) -> None:
    issue_id = await park(seed, delivery, oracle, readers=700)
    before = seed.progress(issue_id).counts
    assert before == {"uncertain": 500, "accepted": 200}
    answer = await operator.post(
        f"/api/v1/issues/{issue_id}/decide-uncertain", json={"choice": choice, "note": "Seen in the activity view."}
    )
    assert answer.json() == {"decided": 500}
    audited = seed.execute(
        f"SELECT actor, after FROM {AUDIT_LOG} WHERE action = 'issue.uncertain_decided' AND target_id = %s",
        (str(issue_id),),
    )
    assert audited == [("key:7", {"choice": choice, "deliveries": 500})]
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert progress.state == "finished"
    assert progress.counts == ({"accepted": 700} if count == "accepted" else {"accepted": 200, "failed": 500})
    assert len(oracle.messages()) == 200
    [decision] = (await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"]
    assert (decision["action"], decision["decided_by"]) == (choice, "key:7")
    assert (decision["ranges"], decision["note"]) == ([[1, 500]], "Seen in the activity view.")
    shown = (await operator.get(f"/api/v1/deliveries/{issue_id}-1")).json()
    assert shown["status"] == count
    assert "by key:7." in shown["reason"]
    assert shown["message_id"] is None
    assert [one["id"] for one in shown["decisions"]] == [decision["id"]]


async def test_an_issue_is_sent_again_on_a_persons_word(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    answer = await operator.post(f"/api/v1/issues/{issue_id}/decide-uncertain", json={"choice": "send_again"})
    assert answer.json() == {"decided": 5}
    assert seed.progress(issue_id).counts == {"pending": 5}
    assert parked(seed, issue_id) == 0
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 5}
    assert set(oracle.sends().values()) == {1}


async def test_single_deliveries_of_a_chunk_are_decided_one_by_one(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    for seq, choice in ((1, "mark_sent"), (2, "give_up"), (3, "send_again")):
        answer = await operator.post(f"/api/v1/deliveries/{issue_id}-{seq}/decide", json={"choice": choice})
        assert answer.status_code == 200, answer.text
        assert [one["action"] for one in answer.json()["decisions"]] == [choice]
    assert seed.progress(issue_id).counts == {"accepted": 1, "failed": 1, "pending": 1, "uncertain": 2}
    assert parked(seed, issue_id) == 2
    audited = seed.execute(
        f"SELECT target_id, newsletter_id, after ->> 'choice' FROM {AUDIT_LOG} "
        "WHERE action = 'delivery.decided' AND target_id LIKE %s ORDER BY at",
        (f"{issue_id}-%",),
    )
    choices = enumerate(("mark_sent", "give_up", "send_again"), start=1)
    assert audited == [(f"{issue_id}-{seq}", 1, choice) for seq, choice in choices]
    await delivery.send_all_due()
    assert oracle.sends() == {"reader-3@example.com": 1}
    assert seed.progress(issue_id).counts == {"accepted": 2, "failed": 1, "uncertain": 2}
    answer = await operator.post(f"/api/v1/issues/{issue_id}/decide-uncertain", json={"choice": "give_up"})
    assert answer.json() == {"decided": 2}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "failed": 3}
    assert seed.progress(issue_id).state == "finished"


async def test_a_delivery_that_is_alone_is_decided_too(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "item_errors", "error_code": 101, "recipients": ["reader-2@example.com"], "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"accepted": 2, "uncertain": 1}, 1)
    path = f"/api/v1/deliveries/{issue_id}-2/decide"
    assert (await operator.post(path, json={"choice": "send_again"})).json()["status"] == "pending"
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert oracle.sends()["reader-2@example.com"] == 1
    assert (await operator.post(path, json={"choice": "send_again"})).status_code == 409


async def test_one_sent_again_that_the_search_then_shows_is_not_sent_twice(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle, sent=True)
    await operator.post(f"/api/v1/deliveries/{issue_id}-3/decide", json={"choice": "send_again"})
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 5}
    assert set(oracle.sends().values()) == {1}


async def test_a_choice_that_comes_after_something_else_settled_it_is_refused(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle, sent=True)
    make_due(seed)
    await delivery.reconcile()
    for path in (f"deliveries/{issue_id}-1/decide", f"issues/{issue_id}/decide-uncertain"):
        answer = await operator.post(f"/api/v1/{path}", json={"choice": "send_again"})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:broadsheet:problem:not-parked")
    assert (await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"] == []
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 5}


async def test_of_many_choices_at_once_one_holds(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    answers = await asyncio.gather(
        *(
            operator.post(f"/api/v1/deliveries/{issue_id}-1/decide", json={"choice": choice})
            for choice in ["mark_sent", "give_up", "send_again"] * 4
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11
    assert len((await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"]) == 1
    assert sum(seed.progress(issue_id).counts.values()) == 5


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("deliveries/1-1/decide", {"choice": "mark_sent"}, 404),
        ("deliveries/made-up/decide", {"choice": "mark_sent"}, 404),
        ("issues/999/decide-uncertain", {"choice": "mark_sent"}, 404),
        ("issues/999/decide-uncertain", {"choice": "forget"}, 400),
        ("issues/999/decide-uncertain", {"choice": "give_up", "why": "no"}, 400),
        ("issues/999/decide-uncertain", {"choice": "give_up", "note": "x" * 1001}, 400),
    ],
)
async def test_what_cannot_be_decided_is_a_problem(
    operator: httpx.AsyncClient, path: str, body: dict[str, str], status: int
) -> None:
    answer = await operator.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    "statement", ["UPDATE delivery.operator_action SET note = 'x'", "DELETE FROM delivery.operator_action"]
)
async def test_a_decision_cannot_be_changed_or_deleted(
    database: Database,
    seed: Seed,
    delivery: Delivering,
    oracle: Oracle,
    operator: httpx.AsyncClient,
    statement: str,
) -> None:
    issue_id = await park(seed, delivery, oracle)
    await operator.post(f"/api/v1/issues/{issue_id}/decide-uncertain", json={"choice": "give_up"})
    with (
        psycopg.connect(database.url_for("delivery")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())
    assert len((await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"]) == 1


async def test_a_late_answer_to_a_parked_call_is_kept(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    """As a webhook or a slow worker brings it, by the same functions."""
    issue_id = await park(seed, delivery, oracle, readers=2)
    [(chunk_id, attempt_id)] = seed.execute("SELECT id, attempt_id FROM delivery.delivery_chunk")
    assert isinstance(attempt_id, uuid.UUID)
    async with delivery.context.engine.begin() as connection:
        settled = [Settled(1, Accepted(uuid.uuid4()))]
        await insert_outcomes(connection, issue_id=issue_id, attempt_id=attempt_id, settled=settled)
        chunk = ChunkRange(int(str(chunk_id)), issue_id, 1, 2)
        assert await settle_uncertain(connection, chunk, attempt_id=attempt_id, still_uncertain=True, wait_s=0)
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"accepted": 1, "uncertain": 1}, 1)


async def test_a_webhook_settles_what_is_parked_and_the_timeline_shows_it(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle, readers=3, sent=True)
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"uncertain": 3}, 3)
    first, second, third = sorted(oracle.messages(), key=lambda message: message.to)
    tell(seed, event("Delivery", first), event("Open", first, minutes=2), hard_bounce(second))
    await delivery.apply_events()
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"accepted": 2, "uncertain": 1}, 1)
    for seq, message, types in ((1, first, ["Delivery", "Open"]), (2, second, ["Bounce"]), (3, third, [])):
        shown = (await operator.get(f"/api/v1/deliveries/{issue_id}-{seq}")).json()
        assert [one["record_type"] for one in shown["events"]] == types
        assert shown["attempt_id"] == message.metadata["bs_attempt"]
        if types:
            assert (shown["status"], shown["parked"], shown["message_id"]) == (
                "accepted",
                False,
                str(message.message_id),
            )
        else:
            assert (shown["status"], shown["parked"]) == ("uncertain", True)
    # What an event settled is nobody's to decide any more; the rest still is.
    answer = await operator.post(f"/api/v1/deliveries/{issue_id}-1/decide", json={"choice": "send_again"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:broadsheet:problem:not-parked")
    tell(seed, event("Open", third))
    await delivery.apply_events()
    await delivery.send_all_due()
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"accepted": 3}, 0)
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}


async def test_a_webhook_settles_one_that_is_parked_alone(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "item_errors", "error_code": 101, "recipients": ["reader-2@example.com"], "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"accepted": 2, "uncertain": 1}, 1)
    [(attempt_id,)] = seed.execute("SELECT attempt_id FROM delivery.single_mail")
    metadata = {"bs_delivery": f"{issue_id}-2", "bs_attempt": str(attempt_id)}
    message_id = str(uuid.uuid4())
    tell(seed, event("Delivery", Metadata=metadata, MessageID=message_id, Recipient="reader-2@example.com"))
    await delivery.apply_events()
    await delivery.send_all_due()
    shown = (await operator.get(f"/api/v1/deliveries/{issue_id}-2")).json()
    assert (shown["status"], shown["parked"], shown["message_id"]) == ("accepted", False, message_id)
    assert [one["record_type"] for one in shown["events"]] == ["Delivery"]
    assert (seed.progress(issue_id).counts, parked(seed, issue_id)) == ({"accepted": 3}, 0)
    assert seed.progress(issue_id).state == "finished"
