"""The preview: what is asked of publishing, and that a mail in its frame can do nothing."""

from typing import Any

import httpx
import pytest

from broadsheet_gateway.admin.editor.preview_pages import with_scheme

from ...conftest import Gateway
from .drafts import API, NUMBER, answer_draft

PREVIEW = f"/admin/issues/{NUMBER}/preview"


def mail(**changes: Any) -> dict[str, Any]:
    return {
        "from": "Weekly <weekly@example.com>",
        "reply_to": None,
        "to": "Ada <ada@example.com>",
        "subject": "Winter, Ada",
        "preheader": "Snow",
        "html": "<html><body><h1>Winter</h1><script>alert(1)</script></body></html>",
        "text": "Winter\n\n<b>as typed</b>",
        "headers": [],
        "html_bytes": 120_000,
        "text_bytes": 20,
        **changes,
    }


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    answer_draft(gateway)
    gateway.publishing.answer("POST", f"{API}/preview", body=mail())
    return client


async def test_the_page_shows_the_mail_as_the_reader_that_is_asked_for(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    page = await author.get(PREVIEW, params={"reader": "12", "variant": "2", "scheme": "dark"})
    assert gateway.publishing.last.json == {"variant": 2, "subscriber_id": 12}
    for shown in ("Winter, Ada", "Ada &lt;ada@example.com&gt;", "120,000 bytes: Gmail cuts mails"):
        assert shown in page.text
    assert "reader=12&amp;scheme=dark&amp;variant=2&amp;part=html" in page.text
    text = await author.get(PREVIEW, params={"part": "text"})
    assert "&lt;b&gt;as typed&lt;/b&gt;" in text.text
    assert "<iframe" not in text.text


async def test_the_frame_is_a_document_that_runs_nothing_in_an_origin_of_its_own(author: httpx.AsyncClient) -> None:
    frame = await author.get(f"{PREVIEW}/frame")
    policy = frame.headers.get_list("content-security-policy")
    assert len(policy) == 1, "two policies would both hold"
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy[0].split(";")}
    assert not {"allow-scripts", "allow-same-origin", "allow-forms", "allow-top-navigation"} & set(rules["sandbox"])
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == ["'none'"]
    assert "script-src" not in rules
    assert rules["frame-ancestors"] == ["'self'"]
    assert frame.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert frame.headers["cache-control"] == "no-store"
    assert "<h1>Winter</h1>" in frame.text


async def test_beside_the_text_the_frame_has_our_origin_and_neither_scripts_nor_windows(
    author: httpx.AsyncClient,
) -> None:
    frame = await author.get(f"{PREVIEW}/frame", params={"beside": "text"})
    [policy] = frame.headers.get_list("content-security-policy")
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["sandbox"] == ["allow-same-origin"]
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == ["'none'"]
    assert "script-src" not in rules
    assert "<h1>Winter</h1>" in frame.text


async def test_plain_text_in_the_frame_is_text(author: httpx.AsyncClient) -> None:
    frame = await author.get(f"{PREVIEW}/frame", params={"part": "text"})
    assert "&lt;b&gt;as typed&lt;/b&gt;" in frame.text


async def test_what_cannot_be_made_into_a_mail_says_why(gateway: Gateway, author: httpx.AsyncClient) -> None:
    faults = [{"code": "x", "field": "content", "detail": "No such field.", "line": 3, "column": 1}]
    answer_draft(gateway, faults=faults)
    gateway.publishing.refuse("POST", f"{API}/preview", 422, "issue-has-faults", detail="Mend <it> first.")
    page = await author.get(PREVIEW)
    assert page.status_code == 422
    assert "Mend &lt;it&gt; first." in page.text
    assert "Content, line 3: No such field." in page.text
    frame = await author.get(f"{PREVIEW}/frame")
    assert (frame.status_code, "Mend &lt;it&gt; first." in frame.text) == (200, True)


async def test_a_reader_who_is_not_there_is_said(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.refuse("POST", f"{API}/preview", 404, "not-found")
    page = await author.get(PREVIEW, params={"reader": "99"})
    assert page.status_code == 404
    assert "There is no subscriber 99 of this newsletter." in page.text
    frame = await author.get(f"{PREVIEW}/frame", params={"reader": "99"})
    assert frame.headers["x-frame-options"] == "SAMEORIGIN"
    assert "There is no subscriber 99 of this newsletter." in frame.text
    gateway.publishing.fail("POST", f"{API}/preview", httpx.ConnectError("refused"))
    assert (await author.get(f"{PREVIEW}/frame")).headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize("reader", ["ada@example.com", "-1", "1; DROP", "9" * 30])
async def test_what_is_no_number_is_no_reader(gateway: Gateway, author: httpx.AsyncClient, reader: str) -> None:
    assert (await author.get(PREVIEW, params={"reader": reader})).status_code == 200
    assert gateway.publishing.last.json == {"variant": 1}


async def test_a_preview_needs_its_permission(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_role SET role = 'support'")
    for path in (PREVIEW, f"{PREVIEW}/frame"):
        assert (await author.get(path)).status_code == 403


@pytest.mark.parametrize(
    ("css", "dark", "light"),
    [
        (
            "<style>@media (prefers-color-scheme: dark) {}",
            "<style>@media (min-width: 0) {}",
            "<style>@media (max-width: 0) {}",
        ),
        (
            "<STYLE>@media screen and (PREFERS-color-scheme:light){}</style>",
            "<STYLE>@media screen and (max-width: 0){}</style>",
            "<STYLE>@media screen and (min-width: 0){}</style>",
        ),
        (
            '<meta name="color-scheme" content="light dark">',
            '<meta name="color-scheme" content="dark">',
            '<meta name="color-scheme" content="light">',
        ),
        (
            "<source media='(prefers-color-scheme: dark)'>",
            "<source media='(min-width: 0)'>",
            "<source media='(max-width: 0)'>",
        ),
        (
            "<style></style><p>Write (prefers-color-scheme: dark)</p>",
            "<style></style><p>Write (prefers-color-scheme: dark)</p>",
            "<style></style><p>Write (prefers-color-scheme: dark)</p>",
        ),
    ],
)
def test_a_scheme_is_forced_by_the_mails_own_rules(css: str, dark: str, light: str) -> None:
    assert with_scheme(css, "dark") == dark
    assert with_scheme(css, "light") == light
