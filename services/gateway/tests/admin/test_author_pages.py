"""The author's pages: publishing by the form, the dashboard, an issue and its progress."""

import asyncio

import httpx
import pytest

from broadsheet_common.contracts.permissions import GRANTABLE
from broadsheet_gateway.admin.quick_publish.pages import KEY_MAX_BYTES, to_header_value

from ..conftest import Answer, Gateway, csrf_token_of
from .issue_answers import issue

FORM = {
    "title": "The first issue",
    "text_content": "Hello in text",
    "html_content": "<p>Hello in HTML</p>",
    "idempotency_key": "key-1",
}
HTML = {"accept": "text/html"}


@pytest.fixture
async def author(gateway: Gateway) -> httpx.AsyncClient:
    client = await gateway.signed_in()
    gateway.publishing.received.clear()
    return client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin"), ("GET", "/admin/dashboard"), ("GET", "/admin/newsletters"),
        ("POST", "/admin/newsletters"), ("GET", "/admin/issues/7"), ("POST", "/admin/issues/7/pause"),
        ("GET", "/admin/issues/7/cancel"), ("GET", "/admin/issues/7/recipients"), ("GET", "/admin/issues/7/history"),
        ("GET", "/admin/deliveries/7-42"), ("POST", "/admin/deliveries/7-42/decide"), ("GET", "/admin/sending"),
        ("POST", "/admin/sending/limits"),
        ("GET", "/admin/password"), ("POST", "/admin/password"), ("POST", "/admin/logout"), ("GET", "/admin/logout"),
        ("DELETE", "/admin/dashboard"), ("GET", "/admin/nothing"), ("POST", "/admin/nothing/at/all"),
        ("GET", "/admin/issues/not-a-number"), ("GET", "/admin/issues"), ("GET", "/admin/issues/7/other"),
        ("PUT", "/admin/issues/7"), ("GET", "/admin/issues/7/history/more"), ("GET", "/admin/dashboard/more"),
    ],
)  # fmt: skip
async def test_everything_under_admin_leads_to_the_login_without_a_session(
    gateway: Gateway, method: str, path: str
) -> None:
    response = await (await gateway.client()).request(method, path)
    assert (response.status_code, response.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/admin", 303),
        ("GET", "/admin/nothing", 404),
        ("GET", "/admin/issues/7/other", 404),
        ("GET", "/admin/issues/not-a-number", 404),
        ("GET", "/admin/issues/99999999999999999999999", 404),
        ("GET", "/admin/logout", 405),
        ("DELETE", "/admin/dashboard", 405),
    ],
)
async def test_what_is_not_there_is_said_to_whoever_is_signed_in(
    gateway: Gateway, author: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await author.request(method, path, headers=HTML)
    assert response.status_code == status
    if status == 405:
        assert response.headers["allow"]


async def test_the_form_publishes_in_one_call_with_its_key(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("POST", "/api/v1/issues", status=201, body=issue())
    response = await author.post("/admin/newsletters", data=FORM)
    assert (response.status_code, response.headers["location"]) == (303, "/admin/newsletters")
    (request,) = gateway.publishing.received
    assert request.json == {
        "title": FORM["title"],
        "text_content": FORM["text_content"],
        "format": "html",
        "content": FORM["html_content"],
        "publish": True,
    }
    assert request.headers["idempotency-key"] == "key-1"
    identity = gateway.publishing.last_identity()
    assert identity.subject == "user:1"
    assert identity.scopes == GRANTABLE
    page = (await author.get("/admin/newsletters")).text
    assert "The newsletter issue has been accepted, emails will go out shortly." in page
    assert "has been accepted" not in (await author.get("/admin/newsletters")).text


async def test_each_form_comes_with_a_key_of_its_own(author: httpx.AsyncClient) -> None:
    first, second = [(await author.get("/admin/newsletters")).text for _ in range(2)]
    assert (
        first.split('name="idempotency_key" value="')[1][:22] != second.split('name="idempotency_key" value="')[1][:22]
    )


@pytest.mark.parametrize("field", ["title", "text_content", "html_content", "idempotency_key"])
@pytest.mark.parametrize("value", [None, "", " \t\n"], ids=["missing", "empty", "blank"])
async def test_a_missing_or_blank_field_is_a_400_that_keeps_the_rest(
    gateway: Gateway, author: httpx.AsyncClient, field: str, value: str | None
) -> None:
    form = {name: text for name, text in FORM.items() if name != field} | ({} if value is None else {field: value})
    response = await author.post("/admin/newsletters", data=form)
    assert response.status_code == 400
    assert "needed" in response.text or "must not be empty" in response.text
    for name, text in form.items():
        if name not in {field, "idempotency_key"}:
            assert text.replace("<", "&lt;").replace(">", "&gt;") in response.text
    assert gateway.publishing.received == []


@pytest.mark.parametrize(("key", "status"), [("k" * 49, 303), ("k" * 50, 400), ("ü" * 24, 303), ("ü" * 25, 400)])
async def test_a_key_has_fewer_than_50_bytes(
    gateway: Gateway, author: httpx.AsyncClient, key: str, status: int
) -> None:
    gateway.publishing.answer("POST", "/api/v1/issues", status=201, body=issue())
    response = await author.post("/admin/newsletters", data={**FORM, "idempotency_key": key})
    assert response.status_code == status


@pytest.mark.parametrize("key", ["with space", "ümlaut", "line\r\nX-Injected: 1", "a\u2028b", "k" * KEY_MAX_BYTES])
async def test_a_key_cannot_become_another_header(gateway: Gateway, author: httpx.AsyncClient, key: str) -> None:
    gateway.publishing.answer("POST", "/api/v1/issues", status=201, body=issue())
    assert (await author.post("/admin/newsletters", data={**FORM, "idempotency_key": key})).status_code == 303
    sent = gateway.publishing.last.headers
    assert "x-injected" not in sent
    assert sent["idempotency-key"] == to_header_value(key)
    assert sent["idempotency-key"].isascii()
    assert sent["idempotency-key"].isprintable()


def test_different_keys_stay_different_in_the_header() -> None:
    keys = ["a b", "a  b", "ab", "ü", "u", "utf8-YSBi"]
    assert len({to_header_value(key) for key in keys}) == len(keys) - 1  # the last spells out what "a b" becomes
    assert to_header_value("plain-key_1") == "plain-key_1"


@pytest.mark.parametrize(
    ("slug", "refused_with", "status", "text"),
    [
        ("idempotency-key-reused", 422, 422, "sent before with other content"),
        ("idempotency-in-flight", 409, 409, "being processed"),
        ("request-entity-too-large", 413, 413, "Refused"),
    ],
)
async def test_a_refusal_is_explained_on_the_form_with_everything_kept(
    gateway: Gateway, author: httpx.AsyncClient, slug: str, refused_with: int, status: int, text: str
) -> None:
    gateway.publishing.refuse("POST", "/api/v1/issues", refused_with, slug)
    response = await author.post("/admin/newsletters", data=FORM)
    assert response.status_code == status
    assert text in response.text
    assert 'value="The first issue"' in response.text
    assert 'name="idempotency_key" value="key-1"' in response.text


async def test_faults_that_publishing_finds_stand_at_their_fields(gateway: Gateway, author: httpx.AsyncClient) -> None:
    errors = [{"pointer": "/title", "detail": "It holds a line break."}]
    gateway.publishing.refuse("POST", "/api/v1/issues", 422, "invalid-input", errors=errors)
    response = await author.post("/admin/newsletters", data=FORM)
    assert response.status_code == 400
    assert "It holds a line break." in response.text


async def test_publishing_to_nobody_is_explained_and_publishes_nothing(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    gateway.publishing.refuse("POST", "/api/v1/issues", 409, "no-recipients")
    response = await author.post("/admin/newsletters", data=FORM)
    assert (response.status_code, response.headers["location"]) == (303, "/admin/newsletters")
    assert "Nothing was published" in (await author.get("/admin/newsletters")).text


async def test_publishing_that_does_not_answer_loses_nothing_typed(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.fail("POST", "/api/v1/issues", httpx.ReadError("reset"))
    response = await author.post("/admin/newsletters", data=FORM)
    assert response.status_code == 503
    assert "Hello in text" in response.text
    assert 'name="idempotency_key" value="key-1"' in response.text


async def test_a_browser_whose_session_was_renewed_keeps_what_it_typed(
    gateway: Gateway, author: httpx.AsyncClient
) -> None:
    browser = {"sec-fetch-site": "same-origin"}
    response = await author.post("/admin/newsletters", data={**FORM, "csrf_token": "0" * 64}, headers=browser)
    assert response.status_code == 403
    assert "Hello in text" in response.text
    assert gateway.publishing.received == []
    gateway.publishing.answer("POST", "/api/v1/issues", status=201, body=issue())
    token = await csrf_token_of(author)
    response = await author.post("/admin/newsletters", data={**FORM, "csrf_token": token}, headers=browser)
    assert response.status_code == 303


async def test_another_site_cannot_publish(gateway: Gateway, author: httpx.AsyncClient) -> None:
    token = await csrf_token_of(author)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        response = await author.post("/admin/newsletters", data={**FORM, "csrf_token": token}, headers=headers)
        assert response.status_code == 403
    assert gateway.publishing.received == []


async def test_a_large_issue_fits_and_a_too_large_form_does_not(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("POST", "/api/v1/issues", status=201, body=issue())
    html = "<p>x</p>" * 100_000
    response = await author.post("/admin/newsletters", data={**FORM, "html_content": html})
    assert response.status_code == 303
    assert gateway.publishing.last.json["content"] == html
    length = gateway.publishing.last.headers["content-length"]
    assert int(length) == len(gateway.publishing.last.body)
    handled = len(gateway.publishing.received)
    too_large = await author.post("/admin/newsletters", data={**FORM, "html_content": "a" * (11 * 1024 * 1024)})
    assert too_large.status_code == 413
    assert "too large" in too_large.text
    assert "Hello in text" in too_large.text
    response = await author.post("/admin/newsletters", data={**FORM, "html_content": "a" * (12 * 1024 * 1024)})
    assert response.status_code == 413
    assert len(gateway.publishing.received) == handled


async def test_the_dashboard_lists_issues_and_the_state_of_sending(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("GET", "/api/v1/issues", body={"items": [issue()], "next_cursor": None})
    sending = {"state": "paused", "reason": "Postmark refused the token", "back_off_until": None}
    gateway.delivery.answer("GET", "/api/v1/senders", body={"sending": sending, "replicas": []})
    page = await author.get("/admin/dashboard")
    assert page.status_code == 200
    assert "The first issue" in page.text
    assert "Postmark refused the token" in page.text
    [asked] = [request for request in gateway.publishing.received if request.path == "/api/v1/issues"]
    assert asked.query == "limit=20"


async def test_the_dashboard_stands_with_services_away(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.fail("GET", "/api/v1/issues", httpx.ConnectError("refused"))
    gateway.delivery.answer("GET", "/api/v1/senders", body={"unexpected": True})
    page = await author.get("/admin/dashboard")
    assert page.status_code == 200
    assert "Welcome author" in page.text
    assert "could not be loaded" in page.text


async def test_an_issue_shows_its_author_and_whom_it_did_not_reach(gateway: Gateway, author: httpx.AsyncClient) -> None:
    gateway.publishing.answer("GET", "/api/v1/issues/7", body=issue())
    row = {"id": "7-1", "issue_id": 7, "subscriber_id": 42, "status": "failed", "reason": "Inactive recipient"}
    gateway.delivery.answer("GET", "/api/v1/issues/7/deliveries", body={"items": [row], "next_cursor": None})
    page = await author.get("/admin/issues/7")
    assert page.status_code == 200
    assert "Inactive recipient" in page.text
    assert "by author" in page.text
    queries = {r.query for r in gateway.delivery.received if r.path.endswith("/deliveries")}
    assert queries == {"status=failed&limit=20", "status=suppressed&limit=20"}


async def test_an_issue_made_with_a_key_names_the_key(gateway: Gateway, author: httpx.AsyncClient) -> None:
    await gateway.add_api_key(name="importer")
    gateway.publishing.answer("GET", "/api/v1/issues/7", body=issue(created_by="key:1", status="draft"))
    assert "by API key importer" in (await author.get("/admin/issues/7")).text


async def test_two_identical_submissions_at_once_get_equal_answers(gateway: Gateway, author: httpx.AsyncClient) -> None:
    both_there = asyncio.Barrier(2)

    async def wait_for_the_other() -> Answer:
        async with asyncio.timeout(10):
            await both_there.wait()
        return Answer(201, issue())

    gateway.publishing.answers["POST", "/api/v1/issues"] = wait_for_the_other
    first, second = await asyncio.gather(*(author.post("/admin/newsletters", data=FORM) for _ in range(2)))
    assert (first.status_code, first.headers["location"], first.text) == (
        second.status_code,
        second.headers["location"],
        second.text,
    )
    assert {request.headers["idempotency-key"] for request in gateway.publishing.received} == {"key-1"}
