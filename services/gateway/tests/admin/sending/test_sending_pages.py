"""The page on sending: the senders, what limits and holds sending up, and the forms of an operator."""

from typing import Any

import httpx
import pytest

from broadsheet_gateway.admin.sending.limits_form import read_limits

from ...conftest import Gateway, csrf_token_of
from ..issue_answers import issue, post, signed_in_as

SENDING = {
    "state": "backing_off", "reason": "Postmark answered 503", "back_off_until": "2026-01-02T03:05:00Z",
    "messages_per_s_max": 250.0, "concurrent_calls_max": None, "concurrency": 4, "breaker": "half_open",
    "calls_under_way": 1,
}  # fmt: skip
REPLICA = {
    "id": "0199a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b", "host": "sender-1", "pid": 7, "version": "1.4.0",
    "started_at": "2026-01-01T03:04:05Z", "seen_at": "2026-01-02T03:04:05Z", "draining": True,
}  # fmt: skip


def senders(**changes: Any) -> dict[str, Any]:
    waiting = [{"issue_id": 7, "reason": "Postmark does not answer"}]
    return {"sending": SENDING | changes, "replicas": [REPLICA], "waiting_for_preflight": waiting}


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.delivery.answer("GET", "/api/v1/senders", body=senders())
    gateway.publishing.answer("GET", "/api/v1/issues", body={"items": [issue()], "next_cursor": None})
    return client


async def test_the_page_shows_what_holds_sending_up_and_what_waits(owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/admin/sending")).text
    for shown in (
        "backing off", "Postmark answered 503", "2 January 2026, 03:05 UTC", "Half open", "250 a second",
        "1 of 4 that the answers of the mail provider allow", "sender-1", "Ends, takes nothing new", "1.4.0",
        "Postmark does not answer", "3 mails wait", "Do not wait: try now",
    ):  # fmt: skip
        assert shown in page, shown
    assert '<a href="/admin/issues/7">The first issue</a>' in page
    assert 'value="250"' in page


async def test_all_sending_is_paused_with_a_reason(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.answer("POST", "/api/v1/senders/pause", body=SENDING)
    answer = await post(owner, "/admin/sending/pause", reason="The provider asked us to")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/sending")
    assert gateway.delivery.last.json == {"reason": "The provider asked us to"}
    gateway.delivery.answer("GET", "/api/v1/senders", body=senders(state="paused", reason="The provider asked us to"))
    page = (await owner.get("/admin/sending")).text
    assert "All sending is paused." in page
    assert 'action="/admin/sending/resume"' in page
    assert 'action="/admin/sending/pause"' not in page


async def test_sending_is_resumed(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.answer("POST", "/api/v1/senders/resume", body=SENDING)
    assert (await post(owner, "/admin/sending/resume")).status_code == 303
    assert gateway.delivery.last.path == "/api/v1/senders/resume"
    assert "Sending is resumed." in (await owner.get("/admin/sending")).text


async def test_limits_are_set_and_ended_together(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.answer("PATCH", "/api/v1/senders", body=SENDING)
    answer = await post(owner, "/admin/sending/limits", messages_per_s_max="1,000", concurrent_calls_max="")
    assert answer.status_code == 303
    assert gateway.delivery.last.json == {"messages_per_s_max": 1000.0, "concurrent_calls_max": None}


async def test_who_sets_limits_after_somebody_else_sees_both_and_can_set_theirs(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.delivery.refuse("PATCH", "/api/v1/senders", 412, "precondition-failed")
    gateway.delivery.answer("GET", "/api/v1/senders", body=senders(), etag='"theirs.now"')
    late = await post(
        owner, "/admin/sending/limits", messages_per_s_max="80", concurrent_calls_max="4", version='"seen.then"'
    )
    sent = next(request for request in gateway.delivery.received if request.method == "PATCH")
    assert sent.headers["if-match"] == '"seen.then"'
    assert late.status_code == 412
    for told in ("Somebody else has changed the limits meanwhile", "You typed", "Saved now", ">80<", ">250<"):
        assert told in late.text, told
    assert 'name="messages_per_s_max" type="text" value="80"' in late.text
    assert 'name="version" value="&#34;theirs.now&#34;"' in late.text
    gateway.delivery.answer("PATCH", "/api/v1/senders", body=SENDING)
    again = await post(
        owner, "/admin/sending/limits", messages_per_s_max="80", concurrent_calls_max="4", version='"theirs.now"'
    )
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("rate", "calls", "field"),
    [
        ("many", "", "messages_per_s_max"), ("0", "", "messages_per_s_max"), ("-5", "", "messages_per_s_max"),
        ("1000001", "", "messages_per_s_max"), ("", "0", "concurrent_calls_max"), ("", "2.5", "concurrent_calls_max"),
        ("", "10001", "concurrent_calls_max"), ("1e3", "", "messages_per_s_max"), ("nan", "", "messages_per_s_max"),
        ("1" * 25, "", "messages_per_s_max"), (".", "", "messages_per_s_max"), ("٣", "", "messages_per_s_max"),
    ],
)  # fmt: skip
async def test_a_limit_that_is_none_stands_at_its_field(
    gateway: Gateway, owner: httpx.AsyncClient, rate: str, calls: str, field: str
) -> None:
    answer = await post(owner, "/admin/sending/limits", messages_per_s_max=rate, concurrent_calls_max=calls)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert f'value="{rate or calls}"' in answer.text
    assert {request.method for request in gateway.delivery.received} == {"GET"}


def test_an_empty_field_is_no_limit() -> None:
    limits, errors = read_limits(" ", "")
    assert (limits.messages_per_s_max, limits.concurrent_calls_max, errors) == (None, None, {})
    limits, errors = read_limits("0.5", "8")
    assert (limits.messages_per_s_max, limits.concurrent_calls_max, errors) == (0.5, 8, {})


@pytest.mark.parametrize(
    ("path", "method", "asked", "fields"),
    [
        ("pause", "POST", "/api/v1/senders/pause", {"reason": "Kept as typed"}),
        ("resume", "POST", "/api/v1/senders/resume", {}),
        ("limits", "PATCH", "/api/v1/senders", {"messages_per_s_max": "77"}),
    ],
)
async def test_what_delivery_refuses_is_said_with_everything_typed(
    gateway: Gateway, owner: httpx.AsyncClient, path: str, method: str, asked: str, fields: dict[str, str]
) -> None:
    gateway.delivery.refuse(method, asked, 409, "idempotency-in-flight", detail="It is being done.")
    answer = await post(owner, f"/admin/sending/{path}", **fields)
    assert answer.status_code == 409
    assert "It is being done." in answer.text
    for typed in fields.values():
        assert f'value="{typed}"' in answer.text


async def test_a_long_reason_is_refused_and_kept(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    answer = await post(owner, "/admin/sending/pause", reason="x" * 301)
    assert answer.status_code == 422
    assert 'id="reason-error"' in answer.text
    assert "x" * 301 in answer.text
    assert 'value="250"' in answer.text


async def test_the_page_stands_with_services_away(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.fail("GET", "/api/v1/senders", httpx.ConnectError("refused"))
    gateway.publishing.fail("GET", "/api/v1/issues", httpx.ConnectError("refused"))
    page = await owner.get("/admin/sending")
    assert page.status_code == 200
    assert "The state of sending is not known" in page.text
    assert "so it is not known what waits" in page.text


async def test_the_audit_entries_of_sending_are_shown_by_name(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.sql(
        "INSERT INTO audit.waiting (service, action, actor, person, target_kind, after) "
        "VALUES ('delivery', 'senders.limited', 'user:1', 'user:1', 'senders', %s::jsonb)",
        '{"messages_per_s_max": 250, "concurrent_calls_max": null}',
    )
    gateway.sql("SELECT audit.seal(100)")
    page = (await owner.get("/admin/sending")).text
    assert "Changed the limits" in page
    assert "250 mails a second, no limit of calls" in page
    assert '<td role="cell">author</td>' in page


async def test_a_publisher_reads_and_changes_nothing(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    publisher = await signed_in_as(gateway, "publisher")
    page = (await publisher.get("/admin/sending")).text
    assert "sender-1" in page
    assert "/admin/sending/pause" not in page
    assert "Who changed what" not in page
    assert 'data-shortcut="o"' in page
    for path in ("pause", "resume", "limits"):
        assert (await post(publisher, f"/admin/sending/{path}")).status_code == 403


async def test_sending_is_for_those_who_see_every_newsletter(gateway: Gateway) -> None:
    for role, newsletter_id in (("publisher", 1), ("editor", None), ("support", None)):
        client = await signed_in_as(gateway, role, newsletter_id)
        assert (await client.get("/admin/sending")).status_code == 403
        assert "/admin/sending" not in (await client.get("/admin/password")).text
        assert await csrf_token_of(client)
