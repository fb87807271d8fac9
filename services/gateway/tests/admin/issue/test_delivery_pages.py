"""One recipient's mail: its timeline, and the decision about it."""

from typing import Any

import httpx
import pytest

from ...conftest import Gateway
from ..issue_answers import issue, newsletter, post, signed_in_as

PATH = "/api/v1/deliveries/7-42"


def delivery(**changes: Any) -> dict[str, Any]:
    return {
        "id": "7-42",
        "issue_id": 7,
        "subscriber_id": 42,
        "status": "uncertain",
        "parked": True,
        "message_id": None,
        "attempt_id": None,
        "error_code": None,
        "reason": None,
        "settled_at": None,
        "queued_at": "2026-01-02T03:00:00Z",
        "attempts": [
            {
                "id": "0199a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b", "started_at": "2026-01-02T03:01:00Z",
                "replica_id": "0199a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b", "replica_host": "sender-1",
                "message_count": 500, "verdict": "unknown", "http_status": None, "error_code": None,
                "detail": "ReadTimeout", "ended_at": "2026-01-02T03:02:00Z",
            }
        ],
        "earlier_outcomes": [
            {"outcome": "failed", "attempt_id": None, "error_code": 300, "reason": "Refused",
             "settled_at": "2026-01-01T03:00:00Z", "retried_at": "2026-01-02T02:59:00Z"}
        ],
        "decisions": [
            {"id": 1, "issue_id": 7, "action": "retry_failed", "ranges": [[42, 42]], "decided_by": "user:1",
             "note": "They mended it", "decided_at": "2026-01-02T02:58:00Z"}
        ],
        "events": [
            {"record_type": "Bounce", "occurred_at": "2026-01-02T03:05:00Z", "received_at": "2026-01-02T03:05:01Z",
             "detail": {"type": "SoftBounce", "nested": {"not": "shown"}}}
        ],
        **changes,
    }  # fmt: skip


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.delivery.answer("GET", PATH, body=delivery())
    gateway.publishing.answer("GET", "/api/v1/issues/7", body=issue())
    gateway.publishing.answer("GET", "/api/v1/newsletters/1", body=newsletter())
    person = {"id": 42, "email": "ada@example.com", "name": "Ada"}
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body={"items": [person], "next_cursor": None})
    return client


async def test_the_timeline_is_in_the_order_in_which_things_happened(author: httpx.AsyncClient) -> None:
    page = (await author.get("/admin/deliveries/7-42")).text
    titles = [
        "Failed", "author had what failed sent again", "Set aside, to be sent again", "Queued",
        "A call to the mail provider began", "The call ended", "It bounced",
    ]  # fmt: skip
    places = [page.index(f'timeline-title">{title}<') for title in titles]
    assert places == sorted(places)
    for shown in ("500 mails by sender-1", "Unknown, ReadTimeout", "type: SoftBounce", "They mended it"):
        assert shown in page
    assert "not" not in page.split("type: SoftBounce")[1][:20]
    assert ">2 January 2026, 04:01 Europe/Paris<" in page
    assert 'href="/admin/issues/7/recipients"' in page
    assert 'href="/admin/subscribers/42"' in page


async def test_the_recipient_is_named_by_address(gateway: Gateway, author: httpx.AsyncClient) -> None:
    page = (await author.get("/admin/deliveries/7-42")).text
    assert gateway.subscriptions.last.query == "id=42&limit=100"
    assert "<h1>Delivery to ada@example.com</h1>" in page
    assert '<a href="/admin/subscribers/42">ada@example.com</a> <bdi>Ada</bdi>' in page
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body={"items": [], "next_cursor": None})
    page = (await author.get("/admin/deliveries/7-42")).text
    assert "<h1>Delivery to an erased subscriber</h1>" in page
    gateway.subscriptions.fail("GET", "/api/v1/subscribers", httpx.ConnectError("refused"))
    page = (await author.get("/admin/deliveries/7-42")).text
    assert "<h1>Delivery to subscriber 42</h1>" in page
    assert "Addresses cannot be read now" in page


async def test_the_page_stands_without_its_issue(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.fail("GET", "/api/v1/issues/7", httpx.ConnectError("refused"))
    page = await author.get("/admin/deliveries/7-42")
    assert page.status_code == 200
    assert ">2 January 2026, 03:01 UTC<" in page.text


@pytest.mark.parametrize("choice", ["mark_sent", "send_again", "give_up"])
async def test_a_parked_delivery_is_decided_with_a_note(
    gateway: Gateway, author: httpx.AsyncClient, choice: str
) -> None:
    gateway.delivery.answer("POST", f"{PATH}/decide", body=delivery())
    answer = await post(
        author, "/admin/deliveries/7-42/decide", choice=choice, note="Their log", sure="yes", form_key="k-1"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/deliveries/7-42")
    assert gateway.delivery.last.json == {"choice": choice, "note": "Their log"}
    assert gateway.delivery.last.headers["idempotency-key"] == "k-1"
    assert "Your decision is recorded." in (await author.get("/admin/deliveries/7-42")).text


async def test_a_decision_that_is_refused_says_why_and_keeps_the_note(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.delivery.refuse("POST", f"{PATH}/decide", 409, "not-parked", detail="It was settled meanwhile.")
    answer = await post(author, "/admin/deliveries/7-42/decide", choice="give_up", note="Their log", sure="yes")
    assert answer.status_code == 409
    assert "It was settled meanwhile." in answer.text
    assert "Their log" in answer.text
    assert 'value="give_up" required checked' in answer.text


async def test_nothing_is_decided_without_a_choice_and_the_box(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer = await post(author, "/admin/deliveries/7-42/decide", note="Their log")
    assert answer.status_code == 422
    assert 'id="choice-error"' in answer.text
    assert 'id="sure-error"' in answer.text
    assert {request.method for request in gateway.delivery.received} == {"GET"}


async def test_what_is_settled_has_no_form(gateway: Gateway, author: httpx.AsyncClient) -> None:
    settled = delivery(status="accepted", parked=False, settled_at="2026-01-02T03:02:00Z")
    gateway.delivery.answer("GET", PATH, body=settled)
    page = (await author.get("/admin/deliveries/7-42")).text
    assert "Accepted by the mail provider" in page
    assert "/decide" not in page


async def test_support_reads_and_does_not_decide(gateway: Gateway, author: httpx.AsyncClient) -> None:
    support = await signed_in_as(gateway, "support")
    page = await support.get("/admin/deliveries/7-42")
    assert page.status_code == 200
    assert "/decide" not in page.text
    refused = await post(support, "/admin/deliveries/7-42/decide", choice="give_up", sure="yes")
    assert refused.status_code == 403


@pytest.mark.parametrize("delivery_id", ["7", "7-", "-1", "7-42-1", "a-b", "7-42x", "\u0667-\u0664\u0662"])
async def test_what_is_no_number_of_a_delivery_is_not_asked_for(
    gateway: Gateway, author: httpx.AsyncClient, delivery_id: str
) -> None:
    gateway.delivery.received.clear()
    assert (await author.get(f"/admin/deliveries/{delivery_id}")).status_code == 404
    assert gateway.delivery.received == []
