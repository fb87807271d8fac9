"""The list of issues, new drafts, and deleting one."""

import httpx
import pytest

from ...conftest import Gateway, csrf_token_of
from ..editor.drafts import API, NUMBER, answer_draft, draft, values_of


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    newsletters = [{"id": 1, "name": "The Weekly", "is_default": True}, {"id": 2, "name": "The Monthly"}]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": newsletters, "next_cursor": None})
    counts = {"audience": 10, "accepted": 10}
    items = [draft(title=""), draft(id=6, newsletter_id=2, title="Sent <one>", status="sent", counts=counts)]
    gateway.publishing.answer("GET", "/api/v1/issues", body={"items": items, "next_cursor": "older"})
    gateway.publishing.received.clear()
    return client


async def test_drafts_lead_to_the_editor_and_others_to_their_page(author: httpx.AsyncClient) -> None:
    page = (await author.get("/admin/issues")).text
    assert f'<a href="/admin/issues/{NUMBER}/edit">Untitled</a>' in page
    assert '<a href="/admin/issues/6">Sent &lt;one&gt;</a>' in page
    assert "The Monthly" in page
    assert "10</span> of <span" in page


async def test_filters_are_sent_and_kept_for_the_next_page(gateway: Gateway, author: httpx.AsyncClient) -> None:
    chosen = {"newsletter_id": "2", "status": "sent", "search": " 100% "}
    page = (await author.get("/admin/issues", params=chosen)).text
    [asked] = [one for one in gateway.publishing.received if one.path == "/api/v1/issues"]
    assert asked.query == "newsletter_id=2&status=sent&search=100%25&limit=30"
    assert 'href="/admin/issues?newsletter_id=2&amp;status=sent&amp;search=100%25&amp;cursor=older"' in page
    assert values_of(page)["search"] == "100%"


@pytest.mark.parametrize("query", [{"status": "lost"}, {"newsletter_id": "x"}, {"search": "  "}])
async def test_what_is_no_filter_is_none(gateway: Gateway, author: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await author.get("/admin/issues", params=query)).status_code == 200
    [asked] = [one for one in gateway.publishing.received if one.path == "/api/v1/issues"]
    assert asked.query == "limit=30"


async def test_a_new_issue_begins_in_the_editor(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("POST", "/api/v1/issues", status=201, body=draft(id=8))
    data = {"csrf_token": await csrf_token_of(author), "newsletter_id": "2", "idempotency_key": "0123456789abcdef"}
    response = await author.post("/admin/issues", data=data)
    assert (response.status_code, response.headers["location"]) == (303, "/admin/issues/8/edit")
    assert gateway.publishing.last.json == {"newsletter_id": 2}
    assert gateway.publishing.last.headers["idempotency-key"] == "0123456789abcdef"


async def test_a_draft_that_is_refused_is_said_on_the_list(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.refuse("POST", "/api/v1/issues", 409, "newsletter-archived", detail="It is archived.")
    response = await author.post("/admin/issues", data={"csrf_token": await csrf_token_of(author)})
    assert (response.status_code, "It is archived." in response.text) == (409, True)


async def test_without_publishing_the_page_says_so(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.fail("GET", "/api/v1/issues", httpx.ConnectError("refused"))
    page = await author.get("/admin/issues")
    assert (page.status_code, "could not be loaded" in page.text) == (503, True)


async def test_a_reader_of_reports_lists_and_writes_nothing(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'analyst'")
    page = (await author.get("/admin/issues")).text
    assert "New issue" not in page
    assert f'<a href="/admin/issues/{NUMBER}">Untitled</a>' in page
    assert (await author.post("/admin/issues", data={"csrf_token": await csrf_token_of(author)})).status_code == 403


async def test_a_draft_is_deleted_after_a_question(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway)
    page = await author.get(f"/admin/issues/{NUMBER}/delete")
    assert "cannot be undone" in page.text
    gateway.publishing.answer("DELETE", API, status=204, body=b"")
    data = {"csrf_token": await csrf_token_of(author)}
    response = await author.post(f"/admin/issues/{NUMBER}/delete", data=data)
    assert (response.status_code, response.headers["location"]) == (303, "/admin/issues")
    gateway.publishing.refuse("DELETE", API, 409, "not-a-draft", detail="It is sent.")
    refused = await author.post(f"/admin/issues/{NUMBER}/delete", data=data)
    assert (refused.status_code, "It is sent." in refused.text) == (409, True)
