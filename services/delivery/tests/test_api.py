"""The delivery service's routes, asked with the gateway's signed identity."""

import httpx
import pytest

from broadsheet_common.contracts.identity import IDENTITY_HEADER
from harness.delivering import Delivering
from harness.http.openapi import assert_documented, read_operations
from harness.oracle import Oracle
from harness.seeding import Seed


async def test_only_the_gateways_identity_is_answered(delivery_api: httpx.AsyncClient) -> None:
    del delivery_api.headers[IDENTITY_HEADER]
    assert (await delivery_api.get("/api/v1/senders")).status_code == 401
    assert (await delivery_api.get("/api/v1/senders", headers={IDENTITY_HEADER: "forged"})).status_code == 401
    assert (await delivery_api.get("/health/live")).status_code == 200


async def test_a_scope_that_is_missing_is_named(delivery_api: httpx.AsyncClient, as_writer: dict[str, str]) -> None:
    response = await delivery_api.post("/api/v1/senders/resume", headers=as_writer)
    assert response.status_code == 403
    assert "senders:write" in response.json()["detail"]


async def test_deliveries_come_in_pages_that_cover_all(
    delivery_api: httpx.AsyncClient, seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(25))
    await delivery.send_all_due()
    found: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        parameters = {"limit": "10", **({"cursor": cursor} if cursor else {})}
        page = (await delivery_api.get(f"/api/v1/issues/{issue_id}/deliveries", params=parameters)).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert found == [f"{issue_id}-{seq}" for seq in range(1, 26)]


async def test_deliveries_to_chosen_people_are_listed_alone(delivery_api: httpx.AsyncClient, seed: Seed) -> None:
    readers = seed.subscribers(5)
    issue_id = seed.published_issue(readers[:4])
    other = seed.published_issue(readers)
    path = f"/api/v1/issues/{issue_id}/deliveries"

    async def people(**more: str | int) -> list[int]:
        wanted = [readers[3], readers[1], readers[3], readers[4], 999_999]
        page = await delivery_api.get(path, params={"subscriber_id": wanted, **more})
        assert page.status_code == 200
        assert {item["issue_id"] for item in page.json()["items"]} <= {issue_id}
        return [item["subscriber_id"] for item in page.json()["items"]]

    assert other != issue_id
    assert await people() == [readers[1], readers[3]]
    assert await people(status="pending") == [readers[1], readers[3]]
    assert await people(status="failed") == []
    assert await people(limit=1) == [readers[1]]
    for wrong in ([0], ["x"], list(range(1, 102))):
        assert (await delivery_api.get(path, params={"subscriber_id": wrong})).status_code == 400


async def test_a_delivery_says_where_it_stands_and_why(
    delivery_api: httpx.AsyncClient, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(4)
    issue_id = seed.published_issue(readers)
    path = f"/api/v1/issues/{issue_id}/deliveries"
    before = (await delivery_api.get(path)).json()["items"]
    assert {item["status"] for item in before} == {"pending"}
    claimed = await delivery.claim()
    assert claimed is not None
    assert {item["status"] for item in (await delivery_api.get(path)).json()["items"]} == {"in_flight"}
    seed.execute("UPDATE delivery.delivery_chunk SET status = 'pending', lease_token = NULL, lease_until = NULL")
    seed.leave(readers[0])
    oracle.fault({"kind": "item_errors", "error_code": 406, "recipients": ["reader-2@example.com"]})
    await delivery.send_all_due()
    excluded, suppressed, *accepted = (await delivery_api.get(path)).json()["items"]
    assert (excluded["status"], excluded["reason"]) == ("excluded", "The subscription is unsubscribed.")
    assert (suppressed["status"], suppressed["error_code"]) == ("suppressed", 406)
    by_address = {message.to: message for message in oracle.messages()}
    assert accepted[0]["message_id"] == str(by_address["reader-3@example.com"].message_id)
    assert accepted[0]["attempt_id"] == by_address["reader-3@example.com"].metadata["bs_attempt"]
    only = (await delivery_api.get(path, params={"status": "suppressed"})).json()["items"]
    assert [item["id"] for item in only] == [suppressed["id"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/issues/99/deliveries", 404),
        ("/api/v1/issues/1/deliveries?limit=0", 400),
        ("/api/v1/issues/1/deliveries?limit=201", 400),
        ("/api/v1/issues/1/deliveries?cursor=made-up", 400),
        ("/api/v1/issues/1/deliveries?status=lost", 400),
        ("/api/v1/issues/x/deliveries", 404),
        ("/api/v1/issues/99999999999999999999/deliveries", 400),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    delivery_api: httpx.AsyncClient, seed: Seed, path: str, status: int
) -> None:
    seed.published_issue(seed.subscribers(1))
    response = await delivery_api.get(path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/problem+json")


async def test_an_issue_is_paused_and_resumed(
    delivery_api: httpx.AsyncClient, seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    paused = await delivery_api.post(f"/api/v1/issues/{issue_id}/pause", json={"reason": "A mistake in it."})
    assert paused.json() == {"issue_id": issue_id, "state": "paused"}
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"pending": 3}
    again = await delivery_api.post(f"/api/v1/issues/{issue_id}/pause", json={})
    assert again.status_code == 200
    assert seed.progress(issue_id).pause_reason == "A mistake in it."
    assert (await delivery_api.post(f"/api/v1/issues/{issue_id}/resume")).json()["state"] == "open"
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
    assert (await delivery_api.post(f"/api/v1/issues/{issue_id}/pause", json={})).status_code == 409
    assert (await delivery_api.post(f"/api/v1/issues/{issue_id}/resume")).status_code == 409
    assert (await delivery_api.post("/api/v1/issues/99/pause", json={})).status_code == 404
    assert (await delivery_api.post("/api/v1/issues/99/resume")).status_code == 404


async def test_all_sending_is_paused_and_resumed(
    delivery_api: httpx.AsyncClient, seed: Seed, delivery: Delivering
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    paused = await delivery_api.post("/api/v1/senders/pause", json={"reason": "Out of credits."})
    shown = paused.json()
    assert (shown["state"], shown["reason"], shown["back_off_until"]) == ("paused", "Out of credits.", None)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"pending": 3}
    assert (await delivery_api.post("/api/v1/senders/resume")).json()["state"] == "running"
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}


async def test_the_senders_are_the_replicas_that_were_seen_lately(delivery_api: httpx.AsyncClient, seed: Seed) -> None:
    seed.execute(
        "INSERT INTO delivery.replica (id, host, pid, version, seen_at, stopped_at) VALUES "
        "('00000000-0000-0000-0000-000000000001', 'here', 1, '1', now(), NULL),"
        "('00000000-0000-0000-0000-000000000002', 'lost', 2, '1', now() - interval '1 minute', NULL),"
        "('00000000-0000-0000-0000-000000000003', 'left', 3, '1', now(), now())"
    )
    senders = (await delivery_api.get("/api/v1/senders")).json()
    assert [replica["host"] for replica in senders["replicas"]] == ["here"]
    assert senders["sending"]["state"] == "running"


async def test_the_document_lists_every_route_with_its_problems(delivery_api: httpx.AsyncClient) -> None:
    operations = await read_operations(delivery_api, title="Broadsheet delivery")
    bodiless = frozenset(
        {
            "POST /api/v1/issues/{issue_id}/resume",
            "POST /api/v1/issues/{issue_id}/retry-failed",
            "POST /api/v1/senders/resume",
        }
    )
    assert bodiless < set(operations)
    assert_documented(operations, without_body=bodiless)
