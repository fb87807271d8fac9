"""The preview: what is asked of publishing, and that a mail in its frame can do nothing."""

from typing import Any

import httpx
import pytest

from broadsheet_gateway.admin.editor.preview_pages import with_scheme

from ...conftest import Gateway
from ..issue_answers import signed_in_as
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
    assert "Content, line 3: No such field." in frame.text
    assert "monospace" not in frame.text


async def test_a_draft_without_a_word_is_no_error_in_the_frame(gateway: Gateway, author: httpx.AsyncClient) -> None:
    answer_draft(gateway, content=" \n", faults=[{"code": "x", "field": "title", "detail": "There is no title."}])
    gateway.publishing.refuse("POST", f"{API}/preview", 422, "issue-has-faults", detail="No mail can be made.")
    frame = await author.get(f"{PREVIEW}/frame")
    assert frame.status_code == 200
    assert "The mail is shown here once it has a title and words" in frame.text
    assert "No mail can be made." not in frame.text


PEOPLE = "/api/v1/subscribers"


def page_of(*people: tuple[int, str, str]) -> dict[str, Any]:
    return {"items": [{"id": id_, "email": email, "name": name} for id_, email, name in people], "next_cursor": None}


def searches(gateway: Gateway) -> list[str]:
    """The query of each search for people; not those for the samples that are offered."""
    return [one.query for one in gateway.subscriptions.received if "state=confirmed" not in one.query]


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("ADA@example.com", ["email_prefix=ADA%40example.com&newsletter_id=1&limit=11"]),
        ("Ada Lo", ["email_prefix=Ada+Lo&newsletter_id=1&limit=11", "name_prefix=Ada+Lo&newsletter_id=1&limit=11"]),
    ],
)
async def test_a_reader_is_found_by_address_or_name(
    gateway: Gateway, author: httpx.AsyncClient, typed: str, asked: list[str]
) -> None:
    gateway.subscriptions.answer("GET", PEOPLE, body=page_of((12, "ada@example.com", "Ada Lovelace")))
    page = await author.get(PREVIEW, params={"reader": typed})
    assert page.status_code == 200
    assert sorted(searches(gateway)) == asked
    assert gateway.publishing.last.json == {"variant": 1, "subscriber_id": 12}
    assert f'value="{typed}"' in page.text
    assert "/preview/frame?reader=12&amp;" in page.text
    frame = await author.get(f"{PREVIEW}/frame", params={"reader": typed})
    assert gateway.publishing.last.json == {"variant": 1, "subscriber_id": 12}
    assert "<h1>Winter</h1>" in frame.text


async def test_a_whole_address_means_one_person_although_others_begin_so(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    people = page_of((12, "ada@example.com", "Ada"), (13, "ada@example.com.au", "Ada"))
    gateway.subscriptions.answer("GET", PEOPLE, body=people)
    assert (await author.get(PREVIEW, params={"reader": "Ada@Example.com"})).status_code == 200
    assert gateway.publishing.last.json == {"variant": 1, "subscriber_id": 12}


async def test_several_who_fit_are_offered(gateway: Gateway, author: httpx.AsyncClient) -> None:
    people = page_of((12, "ada@example.com", "Ada <L>"), (13, "adam@example.com", ""))
    gateway.subscriptions.answer("GET", PEOPLE, body=people)
    page = await author.get(PREVIEW, params={"reader": "ada", "scheme": "dark"})
    assert page.status_code == 422
    assert "2 people fit. Choose one, or type more." in page.text
    assert 'id="reader-error"' in page.text
    assert "reader=13&amp;part=html&amp;scheme=dark" in page.text
    assert "Ada &lt;L&gt;" in page.text
    assert all(one.method == "GET" for one in gateway.publishing.received)
    frame = await author.get(f"{PREVIEW}/frame", params={"reader": "ada"})
    assert "adam@example.com" in frame.text


async def test_a_reader_who_is_not_there_is_said_at_the_field(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", PEOPLE, body=page_of())
    errors = [{"pointer": "/subscriber_id", "detail": "The newsletter has no such subscriber."}]
    gateway.publishing.refuse("POST", f"{API}/preview", 422, "invalid-input", errors=errors)
    for typed in ("nobody@example.com", "99", "0"):
        page = await author.get(PREVIEW, params={"reader": typed})
        assert page.status_code == 422
        assert "Nobody on this newsletter has this address, name or number." in page.text
        assert 'id="reader-error"' in page.text
        assert f'value="{typed}"' in page.text
        frame = await author.get(f"{PREVIEW}/frame", params={"reader": typed})
        assert frame.headers["x-frame-options"] == "SAMEORIGIN"
        assert "Nobody on this newsletter" in frame.text


async def test_while_people_cannot_be_looked_for_a_number_still_works(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.subscriptions.fail("GET", PEOPLE, httpx.ConnectError("refused"))
    page = await author.get(PREVIEW, params={"reader": "ada"})
    assert page.status_code == 422
    assert "Addresses cannot be read now. Type a number, or leave it empty." in page.text
    assert (await author.get(PREVIEW, params={"reader": "12"})).status_code == 200
    assert (await author.get(PREVIEW)).status_code == 200


async def test_a_frame_stands_while_publishing_does_not_answer(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.fail("POST", f"{API}/preview", httpx.ConnectError("refused"))
    assert (await author.get(f"{PREVIEW}/frame")).headers["x-frame-options"] == "SAMEORIGIN"


async def test_the_newest_who_confirmed_are_offered(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", PEOPLE, body=page_of((12, "ada@example.com", "Ada")))
    for path in (PREVIEW, f"/admin/issues/{NUMBER}/edit"):
        gateway.subscriptions.received.clear()
        page = await author.get(path)
        assert '<option value="ada@example.com">Ada</option>' in page.text
        offered = [one.query for one in gateway.subscriptions.received if one.path == PEOPLE]
        assert offered == ["newsletter_id=1&state=confirmed&limit=5"]


async def test_who_may_not_read_subscribers_sees_it_as_somebody_made_up(gateway: Gateway) -> None:
    editor = await signed_in_as(gateway, "editor")
    answer_draft(gateway)
    gateway.publishing.answer("POST", f"{API}/preview", body=mail())
    for path in (PREVIEW, f"{PREVIEW}/frame"):
        for typed in ("12", "ada@example.com"):
            page = await editor.get(path, params={"reader": typed})
            assert page.status_code == 200
            assert gateway.publishing.last.json == {"variant": 1}
            assert 'name="reader"' not in page.text
    assert "sample-readers" not in (await editor.get(f"/admin/issues/{NUMBER}/edit")).text
    assert all(one.path != PEOPLE for one in gateway.subscriptions.received)


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
