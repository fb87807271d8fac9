"""Decisions and retries that are sent again with their `Idempotency-Key`."""

import asyncio
from typing import Any

import httpx
import pytest

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_delivery.erasure.finish_erasures import finish_erasures
from broadsheet_delivery.settling import chunk_rounds_store, decide_uncertain, retry_failed
from harness.delivering import Delivering
from harness.keys import ERASURE_KEYS
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed

from .test_parking import park


async def post(operator: httpx.AsyncClient, path: str, body: object = None, *, key: str = "a") -> httpx.Response:
    content: dict[str, Any] = {} if body is None else {"json": body}
    return await operator.post(f"/api/v1/{path}", headers={"Idempotency-Key": key}, **content)


async def decisions(operator: httpx.AsyncClient, issue_id: int) -> int:
    return len((await operator.get(f"/api/v1/issues/{issue_id}/decisions")).json()["items"])


def reused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")


async def test_a_delivery_is_decided_once(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    path = f"deliveries/{issue_id}-1/decide"
    first = await post(operator, path, {"choice": "send_again"})
    assert first.status_code == 200
    await delivery.send_all_due()
    again = await post(operator, path, {"choice": "send_again"})
    assert (again.status_code, again.content) == (200, first.content)
    assert reused(await post(operator, path, {"choice": "give_up"}))
    assert reused(await post(operator, f"deliveries/{issue_id}-2/decide", {"choice": "send_again"}))
    assert await decisions(operator, issue_id) == 1
    assert oracle.sends() == {"reader-1@example.com": 1}


async def test_an_issue_is_decided_once(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    path = f"issues/{issue_id}/decide-uncertain"
    for _ in range(2):
        answer = await post(operator, path, {"choice": "mark_sent"})
        assert (answer.status_code, answer.json()) == (200, {"decided": 5})
    assert reused(await post(operator, path, {"choice": "give_up"}))
    assert (await post(operator, path, {"choice": "mark_sent"}, key="b")).status_code == 409
    assert await decisions(operator, issue_id) == 1


async def test_a_refused_decision_does_not_use_its_key_up(
    seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await park(seed, delivery, oracle)
    path = "issues/999/decide-uncertain"
    assert (await post(operator, path, {"choice": "mark_sent"})).status_code == 404
    answer = await post(operator, f"issues/{issue_id}/decide-uncertain", {"choice": "mark_sent"})
    assert answer.status_code == 200


async def test_a_decision_that_dies_between_its_rounds_goes_on_with_the_same_key(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(1_000))
    oracle.fault({"kind": "drop_before", "count": 2}, {"kind": "search_down"})
    await delivery.send_all_due()
    age_attempts(seed)
    make_due(seed)
    await delivery.reconcile()
    oracle.heal()
    monkeypatch.setattr(chunk_rounds_store, "CHUNKS_A_ROUND_MAX", 1)
    path, body = f"issues/{issue_id}/decide-uncertain", {"choice": "mark_sent"}
    with monkeypatch.context() as dying:
        dying.setattr(decide_uncertain, "ROUNDS_MAX", 1)
        assert (await post(operator, path, body)).json() == {"decided": 500}
    assert seed.progress(issue_id).counts == {"accepted": 500, "uncertain": 500}
    for _ in range(2):
        assert (await post(operator, path, body)).json() == {"decided": 1_000}
    assert seed.progress(issue_id).counts == {"accepted": 1_000}


async def _failed(seed: Seed, delivery: Delivering, oracle: Oracle) -> int:
    """An issue of three chunks; in each a hundred deliveries failed."""
    issue_id = seed.published_issue(seed.subscribers(1_500))
    oracle.fault({"kind": "item_errors", "error_code": 411, "pattern": "[05]@example.com$"})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1_200, "failed": 300}
    return issue_id


async def test_a_retry_that_dies_between_its_rounds_goes_on_with_the_same_key(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await _failed(seed, delivery, oracle)
    monkeypatch.setattr(chunk_rounds_store, "CHUNKS_A_ROUND_MAX", 1)
    path = f"issues/{issue_id}/retry-failed"
    with monkeypatch.context() as dying:
        dying.setattr(retry_failed, "ROUNDS_MAX", 1)
        assert (await post(operator, path)).json() == {"retried": 100}
    # They fail again. The same request goes on behind them, and does not retry them a second time.
    await delivery.send_all_due()
    assert (await post(operator, path)).json() == {"retried": 300}
    await delivery.send_all_due()
    assert (await post(operator, path)).json() == {"retried": 300}
    assert seed.progress(issue_id).counts == {"accepted": 1_200, "failed": 300}
    oracle.heal()
    assert (await post(operator, path, key="b")).json() == {"retried": 300}


async def test_the_same_retry_at_once_retries_once_and_is_answered_alike(
    monkeypatch: pytest.MonkeyPatch, seed: Seed, delivery: Delivering, oracle: Oracle, operator: httpx.AsyncClient
) -> None:
    issue_id = await _failed(seed, delivery, oracle)
    oracle.heal()
    monkeypatch.setattr(chunk_rounds_store, "CHUNKS_A_ROUND_MAX", 1)
    answers = await asyncio.gather(*(post(operator, f"issues/{issue_id}/retry-failed") for _ in range(4)))
    assert [answer.json() for answer in answers] == [{"retried": 300}] * 4
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1_500}


async def test_an_erased_persons_address_is_in_no_kept_answer(
    seed: Seed, delivery: Delivering, operator: httpx.AsyncClient
) -> None:
    for name in ("reader-1", "other"):
        body = {"email": f"{name}@example.com", "stream": None, "note": f"Asked by {name}"}
        answer = await post(operator, "suppressions", body, key=name)
        assert answer.status_code == 201, answer.text
    [subscriber_id] = seed.subscribers(1)
    hasher = AddressHasher.parse(ERASURE_KEYS.reveal())
    key_id, address_hash = hasher.current("reader-1@example.com")
    seed.execute(
        "SELECT delivery.enqueue_erasure(%s, 'reader-1@example.com', %s, %s)", (subscriber_id, address_hash, key_id)
    )
    assert await finish_erasures(delivery.context) == 1
    assert seed.execute("SELECT key FROM delivery.idempotency_key WHERE body IS NOT NULL") == [("other",)]
    body = {"email": "reader-1@example.com", "stream": None, "note": "Asked by reader-1"}
    again = await post(operator, "suppressions", body, key="reader-1")
    assert (again.status_code, again.json()["type"]) == (409, "urn:broadsheet:problem:idempotency-answer-erased")
