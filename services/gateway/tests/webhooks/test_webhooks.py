"""`POST /webhooks/postmark`: stored before it is answered, and only from who knows the credentials."""

import asyncio
import base64
import json
from typing import Any

import httpx
import psycopg
import pytest

from broadsheet_common.process.settings import Secret
from broadsheet_gateway.webhooks.receive import BODY_MAX_BYTES

from ..conftest import Gateway, MakeGateway

PATH = "/webhooks/postmark"
USER, PASSWORD = "postmark", "a-secret:with-a-colon"
EVENT = {"RecordType": "Delivery", "MessageID": "00000000-0000-0000-0000-000000000001", "Recipient": "ada@example.com"}


def basic(user: str, password: str, *, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} " + base64.b64encode(f"{user}:{password}".encode()).decode()}


GOOD = basic(USER, PASSWORD)


@pytest.fixture
async def door(make_gateway: MakeGateway) -> Gateway:
    gateway = await make_gateway(postmark_webhook_user=USER, postmark_webhook_password=Secret(PASSWORD))
    gateway.sql("DELETE FROM delivery.provider_event_inbox")
    return gateway


@pytest.fixture
async def postmark(door: Gateway) -> httpx.AsyncClient:
    return await door.client(**GOOD)


def stored(gateway: Gateway) -> list[Any]:
    rows = gateway.sql("SELECT body FROM delivery.provider_event_inbox ORDER BY id")
    return [json.loads(body) for (body,) in rows]


async def test_an_event_is_stored_as_it_came_when_it_is_answered(door: Gateway, postmark: httpx.AsyncClient) -> None:
    answer = await postmark.post(PATH, json=EVENT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert stored(door) == [EVENT]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"5", b'"x"', b"null", b'{"RecordType": "NobodyKnowsThis"}', b'{"RecordType": 7, "Metadata": []}',
     b'{"Details": "a\\u0000b"}', '{"Name": "Zoë"}'.encode()],
)  # fmt: skip
async def test_whatever_parses_is_taken(door: Gateway, postmark: httpx.AsyncClient, body: bytes) -> None:
    answer = await postmark.post(PATH, content=body)
    assert answer.status_code == 200
    assert stored(door) == [json.loads(body)]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"hello", b'{"a": 1} trailing', b'{"a": "\xff"}', b"[" * 100_000], ids=range(6)
)
async def test_what_is_no_json_is_refused_for_good(door: Gateway, postmark: httpx.AsyncClient, body: bytes) -> None:
    answer = await postmark.post(PATH, content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert stored(door) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(USER, "wrong"),
        basic("wrong", PASSWORD),
        basic(USER, ""),
        basic("", ""),
        basic(USER, PASSWORD, scheme="Bearer"),
        {"authorization": "Basic !!!"},
        {"authorization": "Basic"},
        {"authorization": f"{USER}:{PASSWORD}"},
    ],
    ids=range(9),
)
async def test_wrong_credentials_are_refused(door: Gateway, headers: dict[str, str]) -> None:
    client = await door.client()
    answer = await client.post(PATH, json=EVENT, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert stored(door) == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"postmark_webhook_user": USER},
        {"postmark_webhook_password": Secret(PASSWORD)},
    ],
    ids=["neither", "user alone", "password alone"],
)
async def test_without_credentials_of_its_own_it_is_closed_to_everybody(
    make_gateway: MakeGateway, given: dict[str, Any]
) -> None:
    gateway = await make_gateway(**given)
    client = await gateway.client()
    for headers in ({}, GOOD, basic("", ""), basic("None", "None"), basic(USER, ""), {"authorization": "Basic AA=="}):
        assert (await client.post(PATH, json=EVENT, headers=headers)).status_code == 401


async def test_other_methods_are_not_taken(postmark: httpx.AsyncClient) -> None:
    assert (await postmark.get(PATH)).status_code in {404, 405}


async def test_a_body_beyond_the_bound_is_refused(door: Gateway, postmark: httpx.AsyncClient) -> None:
    filling = b'{"a": "' + b"x" * BODY_MAX_BYTES + b'"}'
    assert (await postmark.post(PATH, content=filling)).status_code == 413
    assert stored(door) == []


async def test_another_site_and_a_session_make_no_difference(door: Gateway, postmark: httpx.AsyncClient) -> None:
    headers = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site", "cookie": "session=x"}
    assert (await postmark.post(PATH, json=EVENT, headers=headers)).status_code == 200


async def test_hundreds_at_once_are_all_taken(door: Gateway, postmark: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(postmark.post(PATH, json=EVENT | {"N": n}) for n in range(300)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(event["N"] for event in stored(door)) == list(range(300))


async def test_what_cannot_be_stored_is_asked_for_again(door: Gateway, postmark: httpx.AsyncClient) -> None:
    """5xx, never 4xx: Postmark would drop it."""
    with psycopg.connect(door.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
        owner.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            answer = await postmark.post(PATH, json=EVENT)
        finally:
            owner.execute("UPDATE pg_database SET datconnlimit = -1 WHERE datname = current_database()")
    assert answer.status_code == 503
    assert (await postmark.post(PATH, json=EVENT)).status_code == 200
    assert stored(door) == [EVENT]
