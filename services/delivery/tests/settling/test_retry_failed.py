"""Retry only what failed: nobody who got the mail gets it again, what a person gave up stays given up."""

import asyncio

import httpx
import psycopg
import pytest

from broadsheet_common.contracts.audit import Actor
from broadsheet_delivery.settling import retry_failed as module
from broadsheet_delivery.throttle.state_store import resume_sending
from harness.cluster import Database
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.owner import AUDIT_LOG
from harness.seeding import Seed

LAST_23 = [f"reader-{n}@example.com" for n in range(46, 69)]


def fail(oracle: Oracle, recipients: list[str], *, code: int = 411) -> None:
    oracle.fault({"kind": "item_errors", "error_code": code, "recipients": recipients})


async def test_when_the_quota_ends_the_last_23_of_68_wait_and_go_out_once_there_is_more(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(68))
    fail(oracle, LAST_23, code=405)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 45, "pending": 23}
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert str(reason).startswith("405")
    oracle.heal()
    async with delivery.context.engine.begin() as connection:
        await resume_sending(connection)
    seed.execute("UPDATE delivery.delivery_chunk SET run_at = now()")
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 68}
    assert (len(oracle.sends()), set(oracle.sends().values())) == (68, {1})


async def test_just_the_23_that_failed_go_out_on_a_retry(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(68))
    fail(oracle, LAST_23)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 45, "failed": 23}
    assert seed.progress(issue_id).state == "finished"
    oracle.heal()
    answer = await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")
    assert answer.json() == {"retried": 23}
    assert seed.progress(issue_id).counts == {"accepted": 45, "pending": 23}
    assert seed.progress(issue_id).state == "open"
    again = await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")
    assert again.json() == {"retried": 0}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 68}
    assert seed.progress(issue_id).state == "finished"
    assert (len(oracle.sends()), set(oracle.sends().values())) == (68, {1})
    shown = (await operator.get(f"/api/v1/deliveries/{issue_id}-46")).json()
    assert shown["status"] == "accepted"
    [earlier] = shown["earlier_outcomes"]
    assert (earlier["outcome"], earlier["error_code"]) == ("failed", 411)
    assert [(one["action"], one["ranges"]) for one in shown["decisions"]] == [("retry_failed", [[46, 68]])]
    assert [one["verdict"] for one in shown["attempts"]] == ["answered", "answered"]
    untouched = (await operator.get(f"/api/v1/deliveries/{issue_id}-1")).json()
    assert (untouched["earlier_outcomes"], untouched["decisions"], len(untouched["attempts"])) == ([], [], 1)


async def test_what_fails_again_can_be_retried_again(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    fail(oracle, ["reader-2@example.com"])
    for _ in range(3):
        await delivery.send_all_due()
        assert seed.progress(issue_id).counts == {"accepted": 2, "failed": 1}
        answer = await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")
        assert answer.json() == {"retried": 1}
    oracle.heal()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert set(oracle.sends().values()) == {1}
    shown = (await operator.get(f"/api/v1/deliveries/{issue_id}-2")).json()
    assert len(shown["earlier_outcomes"]) == 3


async def test_a_mail_that_went_alone_is_retried_alone(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    fail(oracle, ["reader-2@example.com"], code=429)
    await delivery.send_one_chunk()
    seed.execute("UPDATE delivery.single_mail SET run_at = now()")
    fail(oracle, ["reader-2@example.com"])
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2, "failed": 1}
    oracle.heal()
    assert (await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")).json() == {"retried": 1}
    assert seed.progress(issue_id).counts == {"accepted": 2, "pending": 1}
    audited = seed.execute(
        f"SELECT actor, newsletter_id, after FROM {AUDIT_LOG} WHERE action = 'issue.failed_retried' AND target_id = %s",
        (str(issue_id),),
    )
    assert audited == [("key:7", 1, {"deliveries": 1})]
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert seed.progress(issue_id).state == "finished"
    assert set(oracle.sends().values()) == {1}


async def test_what_a_person_gave_up_is_not_retried(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(4))
    fail(oracle, ["reader-1@example.com"])
    await delivery.send_all_due()
    seed.execute("UPDATE delivery.delivery_outcome SET decision_id = 1 WHERE seq = 1")
    assert (await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")).json() == {"retried": 0}
    assert seed.progress(issue_id).state == "finished"
    assert (await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"] == []


async def test_a_retry_that_dies_between_its_rounds_is_taken_up_by_the_next(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(12_000))
    oracle.fault({"kind": "item_errors", "error_code": 411, "pattern": "[05]@example.com$"})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 9_600, "failed": 2_400}
    oracle.heal()
    monkeypatch.setattr(module, "ROUNDS_MAX", 1)
    assert await module.retry_failed(delivery.context.engine, issue_id=issue_id, by=Actor("key:7", "user:1")) == 2_000
    assert seed.progress(issue_id).counts == {"accepted": 9_600, "failed": 400, "pending": 2_000}
    monkeypatch.undo()
    assert (await operator.post(f"/api/v1/issues/{issue_id}/retry-failed")).json() == {"retried": 400}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 12_000}
    assert (len(oracle.sends()), set(oracle.sends().values())) == (12_000, {1})


async def test_many_retries_at_once_retry_each_delivery_once(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(68))
    fail(oracle, LAST_23)
    await delivery.send_all_due()
    oracle.heal()
    answers = await asyncio.gather(*(operator.post(f"/api/v1/issues/{issue_id}/retry-failed") for _ in range(8)))
    assert sum(answer.json()["retried"] for answer in answers) == 23
    await delivery.send_all_due()
    assert set(oracle.sends().values()) == {1}
    assert seed.count("delivery.outcome_history") == 23


async def test_an_issue_that_is_not_there_is_a_problem(operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/api/v1/issues/999/retry-failed")).status_code == 404


async def test_the_door_of_the_archive_opens_only_for_a_decision_to_retry(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    fail(oracle, ["reader-2@example.com"])
    await delivery.send_all_due()
    [(cancelling,)] = seed.execute(
        "INSERT INTO delivery.operator_action (issue_id, action, decided_by) VALUES (%s, 'give_up', 'x') RETURNING id",
        (issue_id,),
    )
    with psycopg.connect(database.url_for("delivery"), autocommit=True) as connection:
        for action_id in (cancelling, 999):
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                connection.execute("SELECT delivery.archive_failed_outcomes(%s, '{1,2}', %s)", (issue_id, action_id))
    assert seed.progress(issue_id).counts == {"accepted": 1, "failed": 1}
