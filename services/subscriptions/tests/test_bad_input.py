"""Requests that are wrong: each a problem at the right status, nothing stored, never a 500."""

import json

import pytest

from broadsheet_common.contracts.identity import IDENTITY_HEADER

from .conftest import Subscriptions

GOOD = {"email": "ada@example.com", "name": "Ada"}


@pytest.fixture(scope="module")
def subscriptions(shared_subscriptions: Subscriptions) -> Subscriptions:
    return shared_subscriptions


FORMS = ["/public/subscriptions", "/api/v1/subscribers"]


async def send(subscriptions: Subscriptions, path: str, body: bytes, content_type: str) -> tuple[int, str]:
    response = await subscriptions.client.post(
        path, content=body, headers=subscriptions.identity("public", "write") | {"Content-Type": content_type}
    )
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["type"].removeprefix("urn:broadsheet:problem:")


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"email": ""}, ["/email"]),
        ({"email": "ada"}, ["/email"]),
        ({"email": "@example.com"}, ["/email"]),
        ({"email": "ada@"}, ["/email"]),
        ({"email": "a..b@example.com"}, ["/email"]),
        ({"email": "ädä@example.com"}, ["/email"]),
        ({"email": "ada@example.com\r\nBcc: eve@example.com"}, ["/email"]),
        ({"email": "ada\0@example.com"}, ["/email"]),
        ({"email": "ada@example.com,eve@example.com"}, ["/email"]),
        ({"email": "Ada <ada@example.com>"}, ["/email"]),
        ({"email": "a" * 65 + "@example.com"}, ["/email"]),
        ({"name": ""}, ["/name"]),
        ({"name": "  "}, ["/name"]),
        ({"name": "Ada\r\nBcc: eve@example.com"}, ["/name"]),
        ({"name": "Ada\0"}, ["/name"]),
        ({"name": "{{ subscriber.email }}"}, ["/name"]),
        ({"name": "a" * 257}, ["/name"]),
        ({"email": "ada", "name": ""}, ["/email", "/name"]),
        ({"newsletter_id": 77}, ["/newsletter_id"]),
    ],
)
async def test_invalid_fields_are_named_together_and_nothing_is_stored(
    subscriptions: Subscriptions, path: str, fields: dict[str, object], pointers: list[str]
) -> None:
    response = await subscriptions.client.post(
        path, json=GOOD | fields, headers=subscriptions.identity("public", "write")
    )
    assert (response.status_code, response.json()["type"]) == (422, "urn:broadsheet:problem:invalid-input")
    assert [problem["pointer"] for problem in response.json()["errors"]] == pointers
    assert all(problem["detail"].endswith((".", "{", "}", ">")) for problem in response.json()["errors"])
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]
    assert subscriptions.mails() == []


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'"text"',
        b'{"email": "ada@example.com"}',
        b'{"email": 1, "name": "Ada"}',
        b'{"email": null, "name": "Ada"}',
        b'{"email": "ada@example.com", "name": ["Ada"]}',
        b'{"email": "ada@example.com", "name": "Ada", "newsletter_id": "one"}',
        b'{"email": "ada@example.com", "name": "Ada", "newsletter_id": 0}',
        b'{"email": "ada@example.com", "name": "Ada", "newsletter_id": 9223372036854775808}',
        b'{"email": "ada@example.com", "name": "Ada", "state": "confirmed"}',
        b'{"email": "ada@example.com", "name": "\\ud800"}',
        json.dumps(GOOD | {"name": "a" * 20_001}).encode(),
        b"[" * 60_000,
        b'{"email":' * 10_000,
    ],
)
async def test_malformed_bodies_are_refused(subscriptions: Subscriptions, path: str, body: bytes) -> None:
    assert await send(subscriptions, path, body, "application/json") == (400, "malformed-request")
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]


@pytest.mark.parametrize("path", [*FORMS, "/public/confirmations", "/public/unsubscribes"])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "x/json"]
)
async def test_anything_but_json_is_an_unsupported_media_type(
    subscriptions: Subscriptions, path: str, content_type: str
) -> None:
    body = json.dumps(GOOD).encode()
    assert await send(subscriptions, path, body, content_type) == (415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_by_any_spelling_is_taken(subscriptions: Subscriptions, content_type: str) -> None:
    response = await subscriptions.client.post(
        "/public/subscriptions",
        content=json.dumps(GOOD),
        headers=subscriptions.identity("public") | {"Content-Type": content_type},
    )
    assert response.status_code == 202
    subscriptions.rows("DELETE FROM subscriptions.subscriber")


@pytest.mark.parametrize(("path", "size"), [("/public/subscriptions", 129 * 1024), ("/api/v1/subscribers", 11 << 20)])
async def test_an_oversized_body_is_refused(subscriptions: Subscriptions, path: str, size: int) -> None:
    body = json.dumps(GOOD | {"name": "x" * size}).encode()
    assert await send(subscriptions, path, body, "application/json") == (413, "request-entity-too-large")


@pytest.mark.parametrize("path", [*FORMS, "/public/confirmations/lookup"])
async def test_nothing_answers_without_an_identity(subscriptions: Subscriptions, path: str) -> None:
    for headers in ({}, {IDENTITY_HEADER: "nonsense"}):
        response = await subscriptions.client.post(path, json=GOOD, headers=headers)
        assert (response.status_code, response.json()["type"]) == (401, "urn:broadsheet:problem:unauthenticated")


async def test_each_route_wants_its_scope(subscriptions: Subscriptions) -> None:
    client = subscriptions.client
    reader, writer, public = (subscriptions.identity(scope) for scope in ("read", "write", "public"))
    assert (await client.get("/api/v1/subscribers", headers=writer)).status_code == 403
    assert (await client.get("/api/v1/subscribers/1", headers=public)).status_code == 403
    assert (await client.post("/api/v1/subscribers", json=GOOD, headers=reader)).status_code == 403
    assert (await client.post("/api/v1/subscribers/1/unsubscribe", json={}, headers=public)).status_code == 403
    assert (await client.post("/public/subscriptions", json=GOOD, headers=writer)).status_code == 403
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(0,)]


async def test_an_identity_for_another_service_opens_nothing(subscriptions: Subscriptions) -> None:
    headers = subscriptions.identity("public", audience="publishing")
    assert (await subscriptions.client.post("/public/subscriptions", json=GOOD, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("DELETE", "/public/subscriptions", 405), ("GET", "/public/subscriptions", 405), ("GET", "/nowhere", 404)],
)
async def test_unknown_routes_and_methods_are_problems_too(
    subscriptions: Subscriptions, method: str, path: str, status: int
) -> None:
    response = await subscriptions.client.request(method, path, headers=subscriptions.identity("public"))
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": 0}, 400),
        ({"limit": 201}, 400),
        ({"limit": "many"}, 400),
        ({"cursor": "x"}, 400),
        ({"cursor": "djE6LTE"}, 400),
        ({"state": "asleep"}, 400),
        ({"newsletter_id": 2**63}, 400),
        ({"newsletter_id": "x"}, 400),
        ({"email": "nobody"}, 422),
        ({"email": "a\0@example.com"}, 400),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    subscriptions: Subscriptions, query: dict[str, object], status: int
) -> None:
    response = await subscriptions.get("", **query)
    assert response.status_code == status
    (problem,) = response.json()["errors"]
    assert problem["pointer"] == f"/{next(iter(query))}"


@pytest.mark.parametrize(("path", "status"), [("/1", 404), ("/0", 400), (f"/{2**63}", 400), ("/x", 404), ("/-1", 400)])
async def test_an_unknown_or_impossible_id(subscriptions: Subscriptions, path: str, status: int) -> None:
    response = await subscriptions.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
