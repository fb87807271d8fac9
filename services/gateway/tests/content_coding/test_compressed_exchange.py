"""Compressed answers and bodies at the gateway's door."""

import gzip

import httpx
import msgspec
import pytest

from broadsheet_gateway.content_coding.coding import CODINGS, BodyDecoder, Coding, create_compressor

from ..conftest import Gateway, MakeGateway

LARGE = {"items": [{"id": number, "name": "Ada Lovelace"} for number in range(200)]}


def compress(coding: Coding, body: bytes) -> bytes:
    compressor = create_compressor(coding)
    return compressor.compress(body) + compressor.flush()


@pytest.fixture(name="gateway")
async def a_gateway(make_gateway: MakeGateway) -> Gateway:
    return await make_gateway()


@pytest.fixture(name="api")
async def a_client(gateway: Gateway) -> httpx.AsyncClient:
    return await gateway.client(authorization=f"Bearer {await gateway.add_api_key()}")


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_large_answer_comes_in_the_coding_that_the_client_takes(
    gateway: Gateway, api: httpx.AsyncClient, coding: Coding
) -> None:
    gateway.subscriptions.answer("GET", "/api/v1/subscribers", body=LARGE, etag='"abc"')
    async with api.stream("GET", "/api/v1/subscribers", headers={"accept-encoding": coding}) as answer:
        received = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["etag"] == f'"abc-{coding}"'
    assert "Accept-Encoding" in answer.headers["vary"]
    assert len(received) < 1024
    assert msgspec.json.decode(b"".join(BodyDecoder(coding).decode(received))) == LARGE
    plain = await api.get("/api/v1/subscribers", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]
    assert plain.headers["etag"] == '"abc"'


async def test_small_answers_and_streams_of_events_are_not_compressed(gateway: Gateway, api: httpx.AsyncClient) -> None:
    gateway.subscriptions.answer("GET", "/api/v1/attributes", body={"items": []})
    small = await api.get("/api/v1/attributes", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers
    body = b": heart-beat\n\n" * 500
    gateway.delivery.answer("GET", "/api/v1/events", body=body, content_type="text/event-stream")
    stream = await api.get("/api/v1/events", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in stream.headers
    assert stream.content == body


async def test_a_page_with_a_token_is_not_compressed_and_a_style_sheet_is(gateway: Gateway) -> None:
    browser = await gateway.signed_in()
    page = await browser.get("/docs", headers={"accept-encoding": "gzip"})
    assert len(page.content) > 1024
    assert "content-encoding" not in page.headers
    address = page.text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    for _ in range(2):
        sheet = await browser.get(address, headers={"accept-encoding": "gzip"})
        assert sheet.headers["content-encoding"] == "gzip"
        assert b"{" in sheet.content


async def test_the_tag_of_a_compressed_answer_is_good_for_an_edit_and_for_asking_again(
    gateway: Gateway, api: httpx.AsyncClient
) -> None:
    gateway.subscriptions.answer("PATCH", "/api/v1/segments/1", body={})
    await api.patch("/api/v1/segments/1", json={}, headers={"if-match": '"abc-gzip"'})
    assert gateway.subscriptions.last.headers["if-match"] == '"abc"'
    gateway.subscriptions.answer("GET", "/api/v1/segments/1", body=LARGE, etag='"abc"')
    again = await api.get("/api/v1/segments/1", headers={"if-none-match": '"x", "abc-zstd"'})
    assert gateway.subscriptions.last.headers["if-none-match"] == '"x", "abc"'
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("length", [10, 300_000], ids=["small", "large"])
async def test_a_compressed_body_reaches_the_service_as_it_was(
    gateway: Gateway, api: httpx.AsyncClient, coding: Coding, length: int
) -> None:
    gateway.subscriptions.answer("POST", "/api/v1/segments", status=201)
    body = msgspec.json.encode({"name": "".join(map(chr, range(97, 123))) * (length // 26 + 1)})
    answer = await api.post(
        "/api/v1/segments",
        content=compress(coding, body),
        headers={"content-type": "application/json", "content-encoding": coding},
    )
    assert answer.status_code == 201
    assert gateway.subscriptions.last.body == body
    assert "content-encoding" not in gateway.subscriptions.last.headers


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "nonsense"])
async def test_another_coding_is_refused_with_those_that_are_taken(
    gateway: Gateway, api: httpx.AsyncClient, coding: str
) -> None:
    answer = await api.post("/api/v1/segments", content=b"x", headers={"content-encoding": coding})
    assert answer.status_code == 415
    assert answer.json()["type"] == "urn:broadsheet:problem:unsupported-media-type"
    assert answer.headers["accept-encoding"] == "zstd, gzip"
    assert gateway.subscriptions.received == []


async def test_a_body_that_grows_beyond_its_bound_is_413_and_a_broken_one_400(
    gateway: Gateway, api: httpx.AsyncClient
) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    bomb = await api.post("/api/v1/segments", content=gzip.compress(bytes(50_000_000)), headers=headers)
    assert bomb.status_code == 413
    large = b'{"name":"' + bytes(range(32, 34)) * 6_000_000 + b'"}'
    assert (await api.post("/api/v1/segments", content=gzip.compress(large, 1), headers=headers)).status_code == 413
    broken = await api.post("/api/v1/segments", content=gzip.compress(b"{}")[:-3], headers=headers)
    assert broken.status_code == 400


async def test_outside_the_api_a_coded_body_is_still_refused(gateway: Gateway) -> None:
    visitor = await gateway.client()
    answer = await visitor.post("/login", content=gzip.compress(b"username=a"), headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
