"""Requests that are wrong: each a problem at the right status, nothing stored, never a 500."""

import json

import pytest

from .conftest import ISSUE, Publishing


@pytest.fixture(scope="module")
def publishing(shared_publishing: Publishing) -> Publishing:
    return shared_publishing


def stored(publishing: Publishing) -> list[tuple[int]]:
    return publishing.rows("SELECT count(*) FROM publishing.issue")


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"title": "Title\r\nBcc: eve@example.com"}, ["/title"]),
        ({"title": "a\0"}, ["/title"]),
        ({"title": "🎉" * 1_001}, ["/title"]),
        ({"text_content": "a\0"}, ["/text_content"]),
        ({"content": "x" * 5_000_001}, ["/content"]),
        ({"title": "a\nb", "slug": "?", "text_content": "{{"}, ["/title", "/slug"]),
        ({"newsletter_id": 77}, ["/newsletter_id"]),
    ],
    ids=lambda value: None if isinstance(value, list) else ",".join(value),
)
@pytest.mark.parametrize("publish", [False, True])
async def test_what_cannot_be_kept_is_named_together_and_nothing_is_stored(
    publishing: Publishing, fields: dict[str, object], pointers: list[str], publish: bool
) -> None:
    response = await publishing.write_issue(**fields, publish=publish)
    assert (response.status_code, response.json()["type"]) == (422, "urn:broadsheet:problem:invalid-input")
    assert [problem["pointer"] for problem in response.json()["errors"]] == pointers
    assert stored(publishing) == [(0,)]


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"title": ""}, ["/title"]),
        ({"title": "{{ unsubscribe_url }}"}, ["/title"]),
        ({"content": " "}, ["/content"]),
        ({"text_content": ""}, ["/text_content"]),
        ({"content": "{% include 'secrets' %}"}, ["/content"]),
        ({"content": "{{ subscriber.password }}"}, ["/content"]),
        # Each is within its bound, and both together are not.
        (dict.fromkeys(("content", "text_content"), "{{ subscriber.name | upcase }}" * 600), ["/content"]),
        ({"title": "", "content": "{% if", "text_content": "{{"}, ["/title", "/text_content", "/content"]),
    ],
    ids=lambda value: None if isinstance(value, list) else ",".join(value),
)
async def test_what_cannot_be_mailed_is_not_published_and_leaves_no_draft(
    publishing: Publishing, fields: dict[str, object], pointers: list[str]
) -> None:
    response = await publishing.write_issue(**fields, publish=True)
    assert (response.status_code, response.json()["type"]) == (422, "urn:broadsheet:problem:issue-has-faults")
    assert [problem["pointer"] for problem in response.json()["errors"]] == pointers
    assert stored(publishing) == [(0,)]


_MALFORMED = [
    b"{",
    b"null",
    b"[]",
    b"\xff",
    json.dumps(ISSUE | {"title": 5}).encode(),
    json.dumps(ISSUE | {"publish": "perhaps"}).encode(),
    json.dumps(ISSUE | {"newsletter_id": 0}).encode(),
    json.dumps(ISSUE | {"newsletter_id": 2**63}).encode(),
    json.dumps(ISSUE | {"status": "sent"}).encode(),
    json.dumps(ISSUE | {"title": "x" * 10_001}).encode(),
    b"[" * 60_000,
]


@pytest.mark.parametrize("body", _MALFORMED, ids=range(len(_MALFORMED)))
async def test_malformed_bodies_are_refused(publishing: Publishing, body: bytes) -> None:
    response = await publishing.client.post(
        "/api/v1/issues", content=body, headers=publishing.identity("write") | {"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["type"]) == (400, "urn:broadsheet:problem:malformed-request")
    assert response.headers["content-type"] == "application/problem+json"
    assert stored(publishing) == [(0,)]


async def test_the_largest_contents_are_taken_and_anything_beyond_is_too_large(publishing: Publishing) -> None:
    largest = await publishing.write_issue(content="x" * 5_000_000, text_content="y" * 5_000_000)
    assert largest.status_code == 201
    publishing.rows("DELETE FROM publishing.issue")
    response = await publishing.write_issue(content="x" * (13 * 1024 * 1024))
    assert (response.status_code, response.json()["type"]) == (413, "urn:broadsheet:problem:request-entity-too-large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_anything_but_json_is_an_unsupported_media_type(publishing: Publishing, content_type: str) -> None:
    response = await publishing.client.post(
        "/api/v1/issues",
        content=json.dumps(ISSUE),
        headers=publishing.identity("write") | {"Content-Type": content_type},
    )
    assert (response.status_code, response.json()["type"]) == (415, "urn:broadsheet:problem:unsupported-media-type")


@pytest.mark.parametrize(("key", "status"), [("", 400), ("k" * 201, 400), ("k" * 200, 201)])
async def test_idempotency_keys_have_a_length(publishing: Publishing, key: str, status: int) -> None:
    headers = publishing.identity("write") | {"Idempotency-Key": key}
    assert (await publishing.client.post("/api/v1/issues", json=ISSUE, headers=headers)).status_code == status
    publishing.rows("DELETE FROM publishing.issue")


@pytest.mark.parametrize(("issue_id", "status"), [("0", 400), ("-1", 400), (str(2**63), 400), ("x", 404), ("1", 404)])
@pytest.mark.parametrize("path", ["issues/{}", "newsletters/{}"])
async def test_an_unknown_or_impossible_id(publishing: Publishing, path: str, issue_id: str, status: int) -> None:
    if path.startswith("newsletters") and issue_id == "1":
        issue_id = "999"
    assert (await publishing.get(path.format(issue_id))).status_code == status


@pytest.mark.parametrize("issue_id", ["0", str(2**63)])
async def test_publishing_an_impossible_id(publishing: Publishing, issue_id: str) -> None:
    assert (await publishing.post(f"issues/{issue_id}/publish")).status_code == 400


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"cursor": "?"}, {"newsletter_id": 2**63}])
async def test_a_query_that_makes_no_sense_is_refused(publishing: Publishing, query: dict[str, object]) -> None:
    response = await publishing.get("issues", **query)
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == f"/{next(iter(query))}"


async def test_each_route_wants_an_identity_with_its_scope(publishing: Publishing) -> None:
    client = publishing.client
    reader, writer = publishing.identity("read"), publishing.identity("write")
    elsewhere = publishing.identity("read", "write", audience="delivery")
    assert (await client.get("/api/v1/issues")).status_code == 401
    assert (await client.get("/api/v1/issues", headers=elsewhere)).status_code == 401
    for path in ("issues", "issues/1", "newsletters", "newsletters/1"):
        assert (await client.get(f"/api/v1/{path}", headers=writer)).status_code == 403
    assert (await client.post("/api/v1/issues", json=ISSUE, headers=reader)).status_code == 403
    assert (await client.post("/api/v1/issues/1/publish", headers=reader)).status_code == 403
    assert stored(publishing) == [(0,)]
