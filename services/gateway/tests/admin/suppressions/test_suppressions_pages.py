"""`/admin/suppressions`: found, added and lifted without JavaScript."""

from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from broadsheet_gateway.access.roles import Role

from ...conftest import Gateway, csrf_token_of

SUPPRESSIONS = "/admin/suppressions"
API = "/api/v1/suppressions"


def suppression(**changes: Any) -> dict[str, Any]:
    return {
        "id": 9, "email": "reader@example.com", "stream": "broadcast", "kind": "hard_bounce", "reason": "It bounced.",
        "origin": "postmark", "note": None, "active": True, "created_at": "2026-03-01T09:00:00Z",
        "changed_at": "2026-03-12T09:00:00Z", "postmark_told": True, "postmark_refusal": None, **changes,
    }  # fmt: skip


def page_of(*items: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": cursor}


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    newsletters = [{"id": 3, "name": "The Weekly", "message_stream": "broadcast", "archived_at": None}]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body=page_of(*newsletters))
    gateway.delivery.answer("GET", API, body=page_of())
    client = await gateway.signed_in()
    gateway.delivery.received.clear()
    return client


async def send(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **form})


async def test_each_is_shown_with_why_by_whom_and_what_postmark_knows(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.delivery.answer("GET", API, body=page_of(
        suppression(),
        suppression(id=8, email="angry@example.com", kind="complaint", origin="recipient"),
        suppression(id=7, email="by-hand@example.com", stream=None, kind="manual", origin="operator",
                    note="Asked by <telephone>.", postmark_told=False),
        suppression(id=6, email="back@example.com", active=False, postmark_told=False, postmark_refusal="No way."),
    ))  # fmt: skip
    page = (await owner.get(SUPPRESSIONS)).text
    for text in ("reader@example.com", "Stream broadcast", "Every stream", "Spam complaint", "decided by the recipient",
                 "Asked by &lt;telephone&gt;.", "Postmark is being told", "No way.", "12 March 2026"):  # fmt: skip
        assert text in page
    offered = {number for number in (9, 8, 7, 6) if f'action="{SUPPRESSIONS}/{number}/lift"' in page}
    assert offered == {9, 7}, "neither a complaint nor what is lifted already"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {"limit": ["50"], "active": ["true"]}),
        ("?active=no", {"limit": ["50"], "active": ["false"]}),
        ("?active=all&stream=broadcast", {"limit": ["50"], "stream": ["broadcast"]}),
        (
            "?email=+a%2Bb%40example.com+&active=strange&cursor=abc",
            {"limit": ["50"], "active": ["true"], "email": ["a+b@example.com"], "cursor": ["abc"]},
        ),
    ],
)
async def test_the_search_is_passed_on(
    gateway: Gateway, owner: httpx.AsyncClient, query: str, asked: dict[str, list[str]]
) -> None:
    await owner.get(SUPPRESSIONS + query)
    assert parse_qs(gateway.delivery.last.query) == asked


async def test_the_next_page_keeps_the_search(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.answer("GET", API, body=page_of(suppression(), cursor="x&y"))
    page = (await owner.get(f"{SUPPRESSIONS}?email=a%2Bb%40example.com&active=all")).text
    assert f"{SUPPRESSIONS}?email=a%2Bb%40example.com&amp;active=all&amp;cursor=x%26y" in page
    assert 'value="a+b@example.com"' in page


async def test_nothing_found_nothing_there_and_no_answer_are_three_things(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    assert "No address is suppressed" in (await owner.get(SUPPRESSIONS)).text
    assert "Nothing fits" in (await owner.get(f"{SUPPRESSIONS}?email=x")).text
    gateway.delivery.fail("GET", API, httpx.ConnectError("away"))
    degraded = await owner.get(SUPPRESSIONS)
    assert (degraded.status_code, "does not answer" in degraded.text) == (200, True)
    gateway.delivery.refuse("GET", API, 400, "malformed-request", detail="The cursor is not one of ours.")
    refused = await owner.get(f"{SUPPRESSIONS}?cursor=mine")
    assert (refused.status_code, "The cursor is not one of ours." in refused.text) == (422, True)


@pytest.mark.parametrize(("stream", "sent"), [("", None), ("broadcast", "broadcast")])
async def test_an_address_is_suppressed_on_one_stream_or_all(
    gateway: Gateway, owner: httpx.AsyncClient, stream: str, sent: str | None
) -> None:
    gateway.delivery.answer("POST", API, status=201, body=suppression())
    assert "Your newsletters use broadcast." in (await owner.get(f"{SUPPRESSIONS}/new")).text
    form = {"email": " ada@example.com ", "stream": stream, "note": "By telephone.", "idempotency_key": "k" * 20}
    done = await send(owner, f"{SUPPRESSIONS}/new", **form)
    assert (done.status_code, done.headers["location"]) == (303, SUPPRESSIONS)
    request = gateway.delivery.last
    assert request.json == {"email": "ada@example.com", "stream": sent, "note": "By telephone."}
    assert request.headers["idempotency-key"] == "k" * 20
    assert "Nothing more is sent to that address." in (await owner.get(SUPPRESSIONS)).text


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"email": ""}, "email"),
        ({"email": "x" * 250 + "@example.com"}, "email"),
        ({"stream": "Not A Stream"}, "stream"),
        ({"note": "x" * 501}, "note"),
    ],
)
async def test_a_fault_is_said_at_its_field_and_the_rest_stays(
    gateway: Gateway, owner: httpx.AsyncClient, form: dict[str, str], field: str
) -> None:
    typed = {"email": "ada@example.com", "stream": "broadcast", "note": "By telephone."} | form
    refused = await send(owner, f"{SUPPRESSIONS}/new", **typed)
    assert (refused.status_code, f'id="{field}-error"' in refused.text) == (422, True)
    kept = {"email": 'value="ada@example.com"', "stream": 'value="broadcast"', "note": "By telephone."}
    assert all(text in refused.text for name, text in kept.items() if name != field)
    assert not [one for one in gateway.delivery.received if one.method == "POST"]


async def test_what_delivery_refuses_is_said_where_it_belongs(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/email", "detail": "There is no @ in it."}]
    gateway.delivery.refuse("POST", API, 422, "invalid-input", errors=errors)
    refused = await send(owner, f"{SUPPRESSIONS}/new", email="ada", idempotency_key="k" * 20)
    assert (refused.status_code, "There is no @ in it." in refused.text) == (422, True)
    assert "k" * 20 not in refused.text, "another content needs another key"
    gateway.delivery.fail("POST", API, httpx.ConnectError("away"))
    refused = await send(owner, f"{SUPPRESSIONS}/new", email="ada@example.com", idempotency_key="k" * 20)
    assert (refused.status_code, 'value="ada@example.com"' in refused.text) == (503, True)
    assert "k" * 20 in refused.text, "the same again is safe"


async def test_a_suppression_is_lifted_but_no_complaint(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    gateway.delivery.answer("DELETE", f"{API}/9", status=204, body=b"")
    done = await send(owner, f"{SUPPRESSIONS}/9/lift")
    assert (done.status_code, done.headers["location"]) == (303, SUPPRESSIONS)
    assert "is lifted" in (await owner.get(SUPPRESSIONS)).text
    gateway.delivery.refuse("DELETE", f"{API}/8", 409, "complaint-stays")
    stays = await send(owner, f"{SUPPRESSIONS}/8/lift")
    assert (stays.status_code, stays.headers["location"]) == (303, SUPPRESSIONS)
    assert "Postmark never lifts one" in (await owner.get(SUPPRESSIONS)).text
    gateway.delivery.refuse("DELETE", f"{API}/7", 404, "not-found")
    assert (await send(owner, f"{SUPPRESSIONS}/7/lift")).status_code == 404
    gateway.delivery.fail("DELETE", f"{API}/6", httpx.ConnectError("away"))
    assert (await send(owner, f"{SUPPRESSIONS}/6/lift")).status_code == 503


async def test_another_site_lifts_nothing(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-origin"}):
        assert (await owner.post(f"{SUPPRESSIONS}/9/lift", headers=headers, data={"x": "y"})).status_code == 403
    assert not [one for one in gateway.delivery.received if one.method == "DELETE"]


@pytest.mark.parametrize(
    ("role", "may"), [("support", True), ("editor", False), ("publisher", False), ("analyst", False)]
)
async def test_owners_and_support_alone_look_after_suppressions(
    gateway: Gateway, owner: httpx.AsyncClient, role: Role, may: bool
) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = %s", role)
    for path in (SUPPRESSIONS, f"{SUPPRESSIONS}/new"):
        assert ((await owner.get(path)).status_code == 200) is may
    refused = (await owner.post(f"{SUPPRESSIONS}/9/lift", data={"csrf_token": "x"})).status_code == 403
    assert refused is not may
    assert (SUPPRESSIONS in (await owner.get("/admin/dashboard")).text) is may


async def test_support_for_one_newsletter_does_not_see_addresses_of_all(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'support', newsletter_id = 3")
    assert (await owner.get(SUPPRESSIONS)).status_code == 403
    assert gateway.delivery.received == []
