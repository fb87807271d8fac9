"""Revisions, the way back, and the checks."""

import httpx
import pytest

from ...conftest import Gateway, csrf_token_of
from .drafts import API, NUMBER, TAG, answer_draft, draft

BASE = f"/admin/issues/{NUMBER}"
ROW = {
    "version": 2, "title": "Winter", "format": "markdown", "size_bytes": 1234, "saved_at": "2026-01-02T03:04:05Z",
    "saved_by": "user:1", "restored_from": None,
}  # fmt: skip


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    answer_draft(gateway)
    gateway.publishing.answer("GET", f"{API}/revisions", body={"items": [ROW], "next_cursor": "older"})
    gateway.publishing.answer("GET", f"{API}/revisions/2", body=ROW)
    changes = {
        "before": 2,
        "after": 3,
        "changes": [
            {"field": "title", "before": "Winter", "after": "Spring", "blocks": []},
            {
                "field": "content",
                "before": None,
                "after": None,
                "blocks": [
                    {
                        "before_line": 1,
                        "after_line": 1,
                        "lines": [{"kind": "removed", "text": "<b>old</b>"}, {"kind": "added", "text": "new"}],
                    }
                ],
            },
        ],
    }
    gateway.publishing.answer("GET", f"{API}/revisions/2/changes", body=changes)
    return client


async def test_saves_are_listed_by_name_and_lead_to_what_they_changed(author: httpx.AsyncClient) -> None:
    page = (await author.get(f"{BASE}/revisions")).text
    assert "by author" in page
    assert f'href="{BASE}/revisions/2"' in page
    assert f"{BASE}/revisions?cursor=older" in page


async def test_a_revision_is_compared_with_the_issue_as_it_is_or_with_another(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    page = (await author.get(f"{BASE}/revisions/2")).text
    asked = [one for one in gateway.publishing.received if one.path.endswith("/changes")]
    assert [one.query for one in asked] == ["with=3"]
    assert "&lt;b&gt;old&lt;/b&gt;" in page
    assert "Bring this version back" in page
    await author.get(f"{BASE}/revisions/2", params={"with": "1"})
    assert [one.query for one in gateway.publishing.received if one.path.endswith("/changes")] == ["with=3", "with=1"]


async def test_bringing_one_back_is_a_save_with_the_tag(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("POST", f"{API}/revisions/2/restore", body=draft(version=4))
    token = await csrf_token_of(author)
    response = await author.post(f"{BASE}/revisions/2/restore", data={"csrf_token": token, "etag": TAG})
    assert (response.status_code, response.headers["location"]) == (303, f"{BASE}/edit")
    assert gateway.publishing.last.headers["if-match"] == TAG


async def test_a_draft_that_was_saved_meanwhile_is_not_brought_back(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.publishing.refuse("POST", f"{API}/revisions/2/restore", 412, "precondition-failed")
    token = await csrf_token_of(author)
    page = await author.post(f"{BASE}/revisions/2/restore", data={"csrf_token": token, "etag": '"old"'})
    assert page.status_code == 412
    assert "saved meanwhile, so nothing was changed" in page.text


async def test_a_sent_issue_is_not_brought_back(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway, status="sent")
    assert "Bring this version back" not in (await author.get(f"{BASE}/revisions/2")).text


async def test_checks_lead_to_the_place_at_fault(gateway: Gateway, author: httpx.AsyncClient) -> None:
    findings = [
        {
            "code": "link-relative", "severity": "blocks", "detail": "It leads nowhere.", "advice": "Write it whole.",
            "field": "content", "line": 11, "column": 2,
        },
        {"code": "css", "severity": "notes", "detail": "Dropped.", "advice": "See https://example.com/css/ <b>"},
        {"code": "reading-time", "severity": "notes", "detail": "2 minutes.", "advice": ""},
    ]  # fmt: skip
    gateway.publishing.answer("POST", f"{API}/checks", body={"is_blocked": True, "findings": findings})
    page = (await author.get(f"{BASE}/checks")).text
    assert gateway.publishing.last.json == {"links": False}
    assert f'href="{BASE}/edit?jump=content&amp;line=11&amp;column=2#content"' in page
    assert "cannot be sent" in page
    link = '<a href="https://example.com/css/" rel="external noopener noreferrer">https://example.com/css/</a>'
    assert f"See {link} &lt;b&gt;" in page
    assert f'href="{BASE}/send">Review and send</a>' in page, "what follows the checks is one click away"
    await author.get(f"{BASE}/checks", params={"links": "yes"})
    assert gateway.publishing.last.json == {"links": True}


async def test_a_finding_of_the_layout_leads_to_the_layout(gateway: Gateway, author: httpx.AsyncClient) -> None:
    finding = {
        "code": "client-support", "severity": "notes", "detail": "It comes from the layout.",
        "advice": "In the layout.", "field": "layout",
        "data": {"layout_id": 7, "feature": "css-position", "dropped_by": ["gmail.ios"]},
    }  # fmt: skip
    gateway.publishing.answer("POST", f"{API}/checks", body={"is_blocked": False, "findings": [finding]})
    page = (await author.get(f"{BASE}/checks")).text
    assert '<a href="/admin/settings/layouts/7">Layout</a>: It comes from the layout.' in page
