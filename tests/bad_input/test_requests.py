"""Requests that cannot be read: a clear problem at the right status, and nothing half-done."""

from collections.abc import AsyncIterator

import httpx
import pytest

from harness.system import System

JSON_POSTS = [
    "/api/v1/subscribers",
    "/api/v1/subscribers/search",
    "/api/v1/subscribers/1/unsubscribe",
    "/api/v1/imports/1/start",
    "/api/v1/attributes",
    "/api/v1/segments",
    "/api/v1/segments/count",
    "/api/v1/issues",
    "/api/v1/issues/1/pause",
    "/api/v1/senders/pause",
    "/api/v1/webhook-endpoints",
    "/api/v1/webhook-endpoints/1/rotate-secret",
]
FORM_POSTS = ["/subscriptions", "/newsletters/newsletter", "/login", "/admin/password", "/admin/newsletters"]
FORM_TYPE = "application/x-www-form-urlencoded"
TABLES = [
    "subscriptions.subscriber",
    "subscriptions.subscription",
    "subscriptions.import_job",
    "subscriptions.attribute",
    "subscriptions.segment",
    "publishing.issue",
    "publishing.fan_out",
    "delivery.issue_run",
    "delivery.single_mail",
    "publishing.idempotency_key",
    "subscriptions.idempotency_key",
    "subscriptions.webhook_endpoint",
]


def assert_problem(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"].startswith("urn:broadsheet:problem:")
    assert problem["title"]


def assert_unchanged(system: System) -> None:
    assert {table: system.seed.count(table) for table in TABLES} == dict.fromkeys(TABLES, 0)


@pytest.mark.parametrize("path", JSON_POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"nul",
        b'{"email": }',
        b"\xff\xfe",
        b'{"title": "\xff"}',
        b"{}" * 2,
        b'{"unknown_member": 1}',
        b'{"title": 1, "content": [], "email": {}, "reason": 5, "newsletter_id": "x"}',
        b'{"reason": "\\ud800", "title": "\\ud800", "email": "\\ud800", "name": "\\ud800"}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_malformed_json_is_400_or_422(system: System, path: str, body: bytes) -> None:
    answer = await system.api.post(path, content=body, headers={"content-type": "application/json"})
    assert_problem(answer, 400, 422)
    assert_unchanged(system)


@pytest.mark.parametrize("path", JSON_POSTS)
@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}], ids=["no type", "as JSON"])
async def test_no_body_is_the_same_as_an_empty_object(system: System, path: str, headers: dict[str, str]) -> None:
    if path == "/api/v1/issues":
        drafts = [await system.api.post(path, json={}), await system.api.post(path, headers=headers)]
        assert [draft.status_code for draft in drafts] == [201, 201], "a draft may be empty"
        return
    empty = await system.api.post(path, json={})
    none = await system.api.post(path, headers=headers)
    assert (none.status_code, none.json()) == (empty.status_code, empty.json())
    assert none.status_code != 415
    assert (await system.api.post("/api/v1/senders/resume")).status_code == 200
    assert_unchanged(system)


@pytest.mark.parametrize("path", JSON_POSTS)
@pytest.mark.parametrize(
    "media_type", ["text/plain", FORM_TYPE, "multipart/form-data; boundary=x", "application/xml", ""]
)
async def test_a_body_that_is_not_json_is_415(system: System, path: str, media_type: str) -> None:
    answer = await system.api.post(path, content=b'{"email": "a@example.com"}', headers={"content-type": media_type})
    assert_problem(answer, 415)
    assert_unchanged(system)


@pytest.mark.parametrize("path", FORM_POSTS)
@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "multipart/form-data; boundary=x", ""])
async def test_a_form_of_another_content_type_is_415(system: System, path: str, media_type: str) -> None:
    await system.log_in()
    answer = await system.visitor.post(path, content=b"name=a", headers={"content-type": media_type})
    assert_problem(answer, 415)
    assert_unchanged(system)


@pytest.mark.parametrize("path", FORM_POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"name",
        b"name=%ff&email=a%40example.com",
        b"name=\xff&email=a",
        b"name=a%00b&email=a%40example.com&username=a%00&title=a%00&current_password=%00",
        b"name=a&name=b&email=a%40example.com",
        b"&".join(b"field%d=1" % n for n in range(60)),
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_malformed_form_is_400(system: System, path: str, body: bytes) -> None:
    await system.log_in()
    answer = await system.visitor.post(path, content=body, headers={"content-type": FORM_TYPE})
    assert_problem(answer, 400)
    assert_unchanged(system)


@pytest.mark.parametrize("path", ["/subscriptions", "/login", "/subscriptions/confirm", "/admin/password"])
async def test_a_form_over_64_kib_is_413(system: System, path: str) -> None:
    await system.log_in()
    answer = await system.visitor.post(path, data={"name": "x" * 70_000, "email": "a@example.com"})
    assert_problem(answer, 413)
    assert_unchanged(system)


async def test_an_issue_form_may_hold_more_than_the_originals_16_kib_and_not_more_than_12_mib(system: System) -> None:
    system.seed.subscribers(1)
    await system.log_in()
    assert (await system.publish_by_form(html_content="<p>" + "x" * 1_000_000 + "</p>")).status_code == 303
    assert_problem(await system.publish_by_form(html_content="x" * 13_000_000), 413)
    assert system.seed.count("publishing.issue") == 1


async def test_an_unsubscribe_body_over_the_bound_is_413(system: System) -> None:
    assert_problem(await system.visitor.post("/unsubscribe/token", content=b"x" * 70_000), 413)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_json_body_over_10_mib_is_413_announced_or_not(system: System, announced: bool) -> None:
    body = b'{"title": "' + b"x" * (10 * 1024 * 1024) + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    content = body if announced else pieces()
    answer = await system.api.post(
        "/api/v1/issues",
        content=content,
        headers={"content-type": "application/json"},
    )
    assert_problem(answer, 413)
    assert_unchanged(system)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/subscriptions"),
        ("PUT", "/login"),
        ("POST", "/health-check"),
        ("POST", "/docs"),
        ("PATCH", "/subscriptions/confirm"),
        ("DELETE", "/unsubscribe/token"),
        ("DELETE", "/api/v1/issues"),
        ("PUT", "/api/v1/subscribers/1"),
        ("GET", "/api/v1/issues/1/publish"),
        ("DELETE", "/api/v1/newsletters"),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_405_with_those_that_it_has(
    system: System, method: str, path: str
) -> None:
    answer = await system.api.request(method, path)
    assert_problem(answer, 405)
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/subscriptions/nothing", "/static/nothing.css", "/static/..%2f..%2fapp.py"]
)
async def test_a_path_that_is_not_there_is_404(system: System, path: str) -> None:
    assert_problem(await system.visitor.get(path), 404)


async def test_a_browser_gets_errors_as_a_page(system: System) -> None:
    answer = await system.visitor.get("/nothing", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1" in answer.text


@pytest.mark.parametrize("cursor", ["nonsense", "djE6YQ", "x" * 300, "%00", "djE6OTk5OTk5OTk5OTk5OTk5OTk5OTk"])
@pytest.mark.parametrize("path", ["/api/v1/subscribers", "/api/v1/issues", "/api/v1/newsletters", "/api/v1/consents"])
async def test_a_cursor_that_no_page_gave_out_is_400(system: System, path: str, cursor: str) -> None:
    assert_problem(await system.api.get(path, params={"cursor": cursor}), 400)


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_an_idempotency_key_that_is_empty_or_too_long_is_400(system: System, key: str) -> None:
    answer = await system.api.post(
        "/api/v1/issues",
        json={"title": "A", "format": "html", "content": "B", "text_content": "C"},
        headers={"Idempotency-Key": key},
    )
    assert_problem(answer, 400)
    assert_unchanged(system)
