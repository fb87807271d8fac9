"""What can be changed of a newsletter: the sites that hold its form, and whether it is listed."""

import asyncio

import psycopg
import pytest
from httpx import Response
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_publishing.newsletters.site_origin import ORIGINS_MAX, SiteOrigin
from harness.cluster import Database

from ..conftest import Publishing

BLOG = "https://blog.example"


async def change(publishing: Publishing, body: object, *, tag: str | None = "*", newsletter_id: int = 1) -> Response:
    headers = publishing.identity("write", "read") | ({} if tag is None else {"If-Match": tag})
    return await publishing.client.patch(f"/api/v1/newsletters/{newsletter_id}", json=body, headers=headers)


async def test_sites_are_kept_as_browsers_write_them_and_others_see_them(
    publishing: Publishing, database: Database
) -> None:
    before = await publishing.get("newsletters/1")
    assert (before.json()["allowed_origins"], before.json()["is_listed"]) == ([], False)
    answer = await change(
        publishing,
        {"allowed_origins": ["https://Blog.Example:443/", "https://straße.example", BLOG], "is_listed": True},
        tag=before.headers["etag"],
    )
    assert answer.status_code == 200
    assert answer.json() == before.json() | {
        "allowed_origins": [BLOG, "https://xn--strae-oqa.example"],
        "is_listed": True,
    }
    assert (await publishing.get("newsletters/1")).headers["etag"] == answer.headers["etag"] != before.headers["etag"]
    with psycopg.connect(database.url_for("subscriptions")) as service:
        [(origins, listed)] = service.execute(
            "SELECT allowed_origins, is_listed FROM publishing.published_newsletters WHERE newsletter_id = 1"
        )
    assert (origins, listed) == (answer.json()["allowed_origins"], True)


async def test_what_is_left_out_stays(publishing: Publishing) -> None:
    await change(publishing, {"allowed_origins": [BLOG], "is_listed": True})
    assert (await change(publishing, {"is_listed": False})).json()["allowed_origins"] == [BLOG]
    assert (await change(publishing, {"allowed_origins": []})).json()["allowed_origins"] == []
    assert (await change(publishing, {})).status_code == 200


async def test_nobody_overwrites_what_they_have_not_seen(publishing: Publishing) -> None:
    tag = (await publishing.get("newsletters/1")).headers["etag"]
    assert (await change(publishing, {"is_listed": True}, tag=None)).status_code == 428
    answers = await asyncio.gather(
        *(change(publishing, {"allowed_origins": [f"https://site-{n}.example"]}, tag=tag) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    refused = await change(publishing, {"is_listed": True}, tag=tag)
    assert refused.json()["type"] == "urn:broadsheet:problem:precondition-failed"
    assert (await publishing.get("newsletters/1")).json()["is_listed"] is False


BAD_ORIGINS = [
    "",
    "*",
    "null",
    "blog.example",
    "http://blog.example",
    "ftp://blog.example",
    "javascript://blog.example",
    "https://",
    "https://blog.example/path",
    "https://blog.example?",
    "https://blog.example?query",
    "https://blog.example#part",
    "https://user@blog.example",
    "https://blog.example:99999",
    "https://blog.example:port",
    "https://blog example",
    "https://-blog.example",
    "https://*.example",
    "https://[::2",
    "https://blog.example\0",
    "https://" + "a" * 300 + ".example",
    "https://\u200b",
]


@pytest.mark.parametrize("origin", BAD_ORIGINS, ids=range(len(BAD_ORIGINS)))
async def test_what_is_no_site_is_named_and_nothing_changes(shared_publishing: Publishing, origin: str) -> None:
    answer = await change(shared_publishing, {"allowed_origins": [BLOG, origin], "is_listed": True})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:broadsheet:problem:invalid-input")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/allowed_origins/1"]
    newsletter = (await shared_publishing.get("newsletters/1")).json()
    assert (newsletter["allowed_origins"], newsletter["is_listed"]) == ([], False)


async def test_too_many_sites_are_refused(shared_publishing: Publishing) -> None:
    origins = [f"https://site-{n}.example" for n in range(ORIGINS_MAX + 1)]
    answer = await change(shared_publishing, {"allowed_origins": origins})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/allowed_origins"]


@pytest.mark.parametrize(
    "body", [{"id": 3}, {"allowed_origins": "x"}, {"allowed_origins": [1]}, [], {"is_listed": "perhaps"}]
)
async def test_a_body_that_is_not_a_change_is_400(shared_publishing: Publishing, body: object) -> None:
    assert (await change(shared_publishing, body)).status_code == 400


async def test_a_newsletter_that_is_not_there_is_404_and_changing_needs_the_scope(
    shared_publishing: Publishing,
) -> None:
    assert (await change(shared_publishing, {}, newsletter_id=77)).status_code == 404
    answer = await shared_publishing.client.patch(
        "/api/v1/newsletters/1", json={}, headers=shared_publishing.identity("read") | {"If-Match": "*"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("raw", "origin"),
    [
        ("HTTPS://Blog.Example", BLOG),
        (" https://blog.example/ ", BLOG),
        ("https://blog.example:8443", "https://blog.example:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(raw: str, origin: str) -> None:
    assert SiteOrigin.parse(raw) == origin


@given(st.one_of(st.text(max_size=200), st.from_regex(r"https?://[\w.:\[\]@/?#*-]{0,60}", fullmatch=True)))
def test_reading_an_origin_answers_or_refuses_and_never_breaks(raw: str) -> None:
    try:
        origin = SiteOrigin.parse(raw)
    except ValueError:
        return
    assert SiteOrigin.parse(origin) == origin
    assert "," not in origin
    assert origin.isascii()
