"""`/admin/webhooks`: endpoints and their log, without JavaScript."""

import re
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from broadsheet_gateway.access.roles import Role

from ...conftest import Gateway, csrf_token_of

WEBHOOKS = "/admin/webhooks"
API = "/api/v1/webhook-endpoints"
LOG = f"{API}/4/deliveries"
DELIVERY = "/api/v1/webhook-deliveries/71"
SECRET = "whsec_a-secret-of-this-test"
FORM = {
    "url": "https://example.com/hook", "description": "Customer records", "event_confirmed": "yes",
    "event_unsubscribed": "yes", "idempotency_key": "k" * 20,
}  # fmt: skip


def endpoint(**changes: Any) -> dict[str, Any]:
    return {
        "id": 4, "url": "https://example.com/hook", "description": "Customer records",
        "events": ["subscriber.confirmed"], "newsletter_ids": None, "enabled": True, "disabled_reason": None,
        "disabled_at": None, "failing_since": None, "created_at": "2026-03-02T08:00:00Z", **changes,
    }  # fmt: skip


def delivery(**changes: Any) -> dict[str, Any]:
    attempts = [
        {"at": "2026-03-12T09:05:00Z", "duration_ms": 1_204, "http_status": 500, "error": None, "answer": "<oops>"},
        {"at": "2026-03-12T09:00:00Z", "duration_ms": 15_000, "http_status": None, "error": "No answer in time",
         "answer": None},
    ]  # fmt: skip
    return {
        "id": 71, "endpoint_id": 4, "message_id": "msg_71", "type": "subscriber.confirmed", "subscriber_id": 204,
        "newsletter_id": 3, "occurred_at": "2026-03-12T09:00:00Z", "status": "failed", "next_attempt_at": None,
        "settled_at": "2026-03-12T09:05:00Z", "attempts": attempts, **changes,
    }  # fmt: skip


def page_of(*items: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": cursor}


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    newsletters = [{"id": number, "name": name, "archived_at": None} for number, name in ((1, "One"), (3, "Weekly"))]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body=page_of(*newsletters))
    gateway.subscriptions.answer("GET", API, body=page_of())
    gateway.subscriptions.answer("GET", f"{API}/4", body=endpoint())
    gateway.subscriptions.answer("GET", LOG, body=page_of(delivery()))
    gateway.subscriptions.answer("GET", DELIVERY, body=delivery())
    client = await gateway.signed_in()
    gateway.subscriptions.received.clear()
    return client


async def send(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **form})


def changes(gateway: Gateway) -> list[tuple[str, str]]:
    return [(one.method, one.path) for one in gateway.subscriptions.received if one.method != "GET"]


async def test_the_list_shows_each_with_its_state(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    assert "Nobody is told of changes yet" in (await owner.get(WEBHOOKS)).text
    gateway.subscriptions.answer("GET", API, body=page_of(
        endpoint(newsletter_ids=[3, 9]),
        endpoint(id=3, description="", url="https://b.example/hook", failing_since="2026-03-11T04:00:00Z"),
        endpoint(id=2, enabled=False),
        cursor="more",
    ))  # fmt: skip
    page = (await owner.get(WEBHOOKS)).text.replace("<wbr>", "")
    for text in ("Customer records", "Weekly, Newsletter 9", "https://b.example/hook", "Failing", "Disabled", "Enabled",
                 f"{WEBHOOKS}?cursor=more"):  # fmt: skip
        assert text in page
    gateway.subscriptions.fail("GET", API, httpx.ConnectError("away"))
    degraded = await owner.get(WEBHOOKS)
    assert (degraded.status_code, "does not answer" in degraded.text) == (200, True)


async def test_a_webhook_is_added_and_its_secret_shown_once(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", API, status=201, body=endpoint(secret=SECRET))
    assert "A subscription was confirmed" in (await owner.get(f"{WEBHOOKS}/new")).text
    shown = await send(owner, f"{WEBHOOKS}/new", **FORM, newsletter_3="yes", newsletter_x="yes")
    assert shown.status_code == 200
    assert shown.text.count(SECRET) == 1
    assert "not shown again" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    request = gateway.subscriptions.last
    assert request.json == {
        "url": "https://example.com/hook", "description": "Customer records",
        "events": ["subscriber.confirmed", "subscriber.unsubscribed"], "newsletter_ids": [3],
    }  # fmt: skip
    assert request.headers["idempotency-key"] == "k" * 20
    assert SECRET not in (await owner.get(f"{WEBHOOKS}/4")).text


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({"url": ""}, "url", "Enter the address"),
        ({"url": "https://" + "x" * 2_000}, "url", "At most 2,000"),
        ({"description": "x" * 501}, "description", "At most 500"),
        ({"event_confirmed": "", "event_unsubscribed": ""}, "events", "at least one event"),
        ({f"newsletter_{number}": "yes" for number in range(1, 102)}, "newsletter_ids", "At most 100"),
    ],
)
async def test_a_fault_is_said_at_its_field_and_what_was_chosen_stays(
    gateway: Gateway, owner: httpx.AsyncClient, typed: dict[str, str], field: str, why: str
) -> None:
    refused = await send(owner, f"{WEBHOOKS}/new", **(FORM | typed))
    assert refused.status_code == 422
    assert why in refused.text
    assert f'href="#{field}"' in refused.text
    if field != "events":
        assert re.search(r'name="event_confirmed"[^>]* checked', refused.text)
        assert not re.search(r'name="event_bounced"[^>]* checked', refused.text)
    assert changes(gateway) == []


async def test_what_the_service_refuses_is_said_where_it_belongs(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/url", "detail": "It leads into a private network."}]
    gateway.subscriptions.refuse("POST", API, 422, "invalid-input", errors=errors)
    refused = await send(owner, f"{WEBHOOKS}/new", **FORM)
    assert (refused.status_code, "It leads into a private network." in refused.text) == (422, True)
    detail = "There may be at most 50."
    gateway.subscriptions.refuse("POST", API, 409, "too-many-webhook-endpoints", detail=detail)
    refused = await send(owner, f"{WEBHOOKS}/new", **FORM)
    assert (refused.status_code, detail in refused.text) == (409, True)
    gateway.subscriptions.fail("POST", API, httpx.ConnectError("away"))
    refused = await send(owner, f"{WEBHOOKS}/new", **FORM)
    assert (refused.status_code, 'value="https://example.com/hook"' in refused.text) == (503, True)
    assert "k" * 20 in refused.text


async def test_one_shows_its_log_which_can_be_narrowed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", LOG, body=page_of(delivery(), cursor="x&y"))
    page = (await owner.get(f"{WEBHOOKS}/4?status=failed&cursor=abc")).text
    assert parse_qs(gateway.subscriptions.last.query) == {"limit": ["20"], "status": ["failed"], "cursor": ["abc"]}
    assert "Status 500, 2 attempts" in page
    assert f'href="{WEBHOOKS}/deliveries/71"' in page
    assert f"{WEBHOOKS}/4?status=failed&amp;cursor=x%26y" in page
    await owner.get(f"{WEBHOOKS}/4?status=strange")
    assert parse_qs(gateway.subscriptions.last.query) == {"limit": ["20"]}
    gateway.subscriptions.fail("GET", LOG, httpx.ConnectError("away"))
    degraded = await owner.get(f"{WEBHOOKS}/4")
    assert (degraded.status_code, "The log could not be read" in degraded.text) == (200, True)
    assert f'action="{WEBHOOKS}/4"' in degraded.text


async def test_why_one_is_disabled_or_failing_is_said(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    disabled = endpoint(enabled=False, disabled_reason="Nothing for five days.", disabled_at="2026-03-12T04:00:00Z")
    gateway.subscriptions.answer("GET", f"{API}/4", body=disabled)
    page = (await owner.get(f"{WEBHOOKS}/4")).text
    assert "Nothing for five days." in page
    assert f'action="{WEBHOOKS}/4/enable"' in page
    assert f'action="{WEBHOOKS}/4/disable"' not in page
    gateway.subscriptions.answer("GET", f"{API}/4", body=endpoint(failing_since="2026-03-11T04:00:00Z"))
    page = (await owner.get(f"{WEBHOOKS}/4")).text
    assert re.search("No call has succeeded since <time[^>]*>11 March 2026, 04:00 UTC</time>", page)


async def test_it_is_changed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("PATCH", f"{API}/4", body=endpoint())
    done = await send(owner, f"{WEBHOOKS}/4", **FORM)
    assert (done.status_code, done.headers["location"]) == (303, f"{WEBHOOKS}/4")
    assert gateway.subscriptions.last.json == {
        "url": "https://example.com/hook", "description": "Customer records",
        "events": ["subscriber.confirmed", "subscriber.unsubscribed"], "newsletter_ids": None,
    }  # fmt: skip
    assert "The webhook is saved." in (await owner.get(f"{WEBHOOKS}/4")).text
    errors = [{"pointer": "/newsletter_ids/0", "detail": "There is no such newsletter."}]
    gateway.subscriptions.refuse("PATCH", f"{API}/4", 422, "invalid-input", errors=errors)
    refused = await send(owner, f"{WEBHOOKS}/4", **(FORM | {"url": "https://other.example"}), newsletter_9="yes")
    assert (refused.status_code, "There is no such newsletter." in refused.text) == (422, True)
    assert 'value="https://other.example"' in refused.text
    assert re.search(r'name="newsletter_9"[^>]* checked', refused.text)
    gateway.subscriptions.fail("PATCH", f"{API}/4", httpx.ConnectError("away"))
    refused = await send(owner, f"{WEBHOOKS}/4", **(FORM | {"url": "https://other.example"}))
    assert (refused.status_code, 'value="https://other.example"' in refused.text) == (503, True)


async def test_who_saves_after_somebody_else_sees_both_and_can_save_theirs(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.subscriptions.refuse("PATCH", f"{API}/4", 412, "precondition-failed")
    theirs = endpoint(description="Ada's", events=["subscriber.bounced"], newsletter_ids=[3])
    gateway.subscriptions.answer("GET", f"{API}/4", body=theirs, etag='"theirs.now"')
    late = await send(owner, f"{WEBHOOKS}/4", **FORM, version='"seen.then"')
    [sent] = [request for request in gateway.subscriptions.received if request.method == "PATCH"]
    assert sent.headers["if-match"] == '"seen.then"'
    assert late.status_code == 412
    for told in (
        "Somebody else has changed this webhook meanwhile", "Ada&#39;s", "Confirmed, Left", "Bounced", "Weekly",
        "Every newsletter",
    ):  # fmt: skip
        assert told in late.text, told
    assert 'value="Customer records"' in late.text
    assert 'name="version" value="&#34;theirs.now&#34;"' in late.text


@pytest.mark.parametrize(("step", "enabled"), [("enable", True), ("disable", False)])
async def test_it_is_enabled_and_disabled(gateway: Gateway, owner: httpx.AsyncClient, step: str, enabled: bool) -> None:
    gateway.subscriptions.answer("PATCH", f"{API}/4", body=endpoint(enabled=enabled))
    done = await send(owner, f"{WEBHOOKS}/4/{step}")
    assert (done.status_code, done.headers["location"]) == (303, f"{WEBHOOKS}/4")
    assert gateway.subscriptions.last.json == {"enabled": enabled}
    assert f"The webhook is {step}d." in (await owner.get(f"{WEBHOOKS}/4")).text


@pytest.mark.parametrize(
    ("overlap", "seconds", "says"),
    [("3600", 3600, "another 1 hour"), ("0", 0, "signs nothing any more"), ("-5", 86_400, "another 24 hours")],
)
async def test_the_secret_is_changed_and_shown_once(
    gateway: Gateway, owner: httpx.AsyncClient, overlap: str, seconds: int, says: str
) -> None:
    gateway.subscriptions.answer("POST", f"{API}/4/rotate-secret", body={"secret": SECRET})
    shown = await send(owner, f"{WEBHOOKS}/4/rotate-secret", overlap=overlap, idempotency_key="k" * 20)
    assert (shown.status_code, shown.text.count(SECRET)) == (200, 1)
    assert says in shown.text
    assert gateway.subscriptions.last.json == {"overlap_s": seconds}
    assert gateway.subscriptions.last.headers["idempotency-key"] == "k" * 20


async def test_a_test_leads_to_its_result(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    queued = delivery(id=73, type="webhook.test", status="waiting", attempts=[], subscriber_id=None, newsletter_id=None)
    gateway.subscriptions.answer("POST", f"{API}/4/test", status=202, body=queued)
    gateway.subscriptions.answer("GET", "/api/v1/webhook-deliveries/73", body=queued)
    done = await send(owner, f"{WEBHOOKS}/4/test")
    assert (done.status_code, done.headers["location"]) == (303, f"{WEBHOOKS}/deliveries/73")
    page = (await owner.get(f"{WEBHOOKS}/deliveries/73")).text
    assert "Test message" in page
    assert "/static/refresh." in page, "its result comes by itself"


async def test_it_is_deleted_only_with_the_box(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("DELETE", f"{API}/4", status=204, body=b"")
    refused = await send(owner, f"{WEBHOOKS}/4/delete")
    assert (refused.status_code, 'id="sure-error"' in refused.text) == (422, True)
    assert changes(gateway) == []
    done = await send(owner, f"{WEBHOOKS}/4/delete", sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, WEBHOOKS)
    assert changes(gateway) == [("DELETE", f"{API}/4")]


async def test_a_delivery_shows_every_attempt_and_is_sent_again(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("POST", f"{DELIVERY}/retry", status=202, body=delivery(status="waiting"))
    page = (await owner.get(f"{WEBHOOKS}/deliveries/71")).text
    for text in ("Status 500", "&lt;oops&gt;", "No answer in time", "15,000", "msg_71", "Weekly", "Customer records"):
        assert text in page
    assert "/static/refresh." not in page
    done = await send(owner, f"{WEBHOOKS}/deliveries/71/retry", idempotency_key="k" * 20)
    assert (done.status_code, done.headers["location"]) == (303, f"{WEBHOOKS}/deliveries/71")
    assert gateway.subscriptions.last.headers["idempotency-key"] == "k" * 20


async def test_what_was_cancelled_is_not_sent_again(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", DELIVERY, body=delivery(status="cancelled", attempts=[]))
    assert "/retry" not in (await owner.get(f"{WEBHOOKS}/deliveries/71")).text
    gateway.subscriptions.refuse("POST", f"{DELIVERY}/retry", 409, "webhook-cancelled", detail="It was cancelled.")
    refused = await send(owner, f"{WEBHOOKS}/deliveries/71/retry")
    assert (refused.status_code, "It was cancelled." in refused.text) == (409, True)


async def test_whom_a_delivery_is_about_is_named(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", "/api/v1/webhook-deliveries/71", body=delivery())
    person = {"id": 204, "email": "ada@example.com", "name": "Ada"}
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body={"items": [person], "next_cursor": None})
    page = (await owner.get("/admin/webhooks/deliveries/71")).text
    assert 'about <a href="/admin/subscribers/204">ada@example.com</a> (subscriber 204)' in page
    gateway.subscriptions.fail("GET", "/api/v1/subscribers", httpx.ConnectError("refused"))
    assert "about subscriber 204" in (await owner.get("/admin/webhooks/deliveries/71")).text


async def test_a_delivery_is_shown_without_its_endpoint(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.subscriptions.refuse("GET", f"{API}/4", 404, "not-found")
    page = await owner.get(f"{WEBHOOKS}/deliveries/71")
    assert (page.status_code, "Webhook 4" in page.text) == (200, True)


@pytest.mark.parametrize("role", ["editor", "publisher", "analyst", "support"])
async def test_only_owners_see_webhooks(gateway: Gateway, owner: httpx.AsyncClient, role: Role) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s", role)
    steps = ("", "/enable", "/disable", "/rotate-secret", "/test", "/delete")
    paths = [("GET", WEBHOOKS), ("GET", f"{WEBHOOKS}/new"), ("POST", f"{WEBHOOKS}/new"), ("GET", f"{WEBHOOKS}/4"),
             ("GET", f"{WEBHOOKS}/deliveries/71"), ("POST", f"{WEBHOOKS}/deliveries/71/retry"),
             *(("POST", f"{WEBHOOKS}/4{step}") for step in steps)]  # fmt: skip
    for method, path in paths:
        assert (await owner.request(method, path)).status_code == 403, (method, path)
    assert gateway.subscriptions.received == []
    assert WEBHOOKS not in (await owner.get("/admin/dashboard")).text
