"""HEAD and 304: the answer is cut, what streams it ends, and no other error is lost with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from litestar import Response, get
from litestar.exceptions import LitestarException
from litestar.response import Stream
from litestar.testing import TestClient

from broadsheet_common.http.service_app import ServiceApp

TAG = '"1"'
ended: list[str] = []


async def _pieces() -> AsyncIterator[bytes]:
    try:
        for number in range(1_000):
            await asyncio.sleep(0)
            yield b"%d," % number
        ended.append("whole")
    finally:
        ended.append("closed")


@get("/stream")
async def stream() -> Stream:
    await asyncio.sleep(0)
    return Stream(_pieces(), headers={"ETag": TAG})


async def _fails(*_: Any) -> None:
    await asyncio.sleep(0)
    raise KeyError("after the answer")


@get("/fails-afterwards", after_response=_fails)
async def fails_afterwards() -> Response[bytes]:
    await asyncio.sleep(0)
    return Response(b"done")


@pytest.fixture
def client() -> Iterator[TestClient[ServiceApp]]:
    ended.clear()
    with TestClient(ServiceApp([stream, fails_afterwards], openapi_config=None)) as made:
        yield made


def test_head_has_no_body_and_ends_what_streams_it(client: TestClient[ServiceApp]) -> None:
    answer = client.head("/stream")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", TAG)
    assert ended == ["closed"]


def test_what_the_client_has_is_not_sent_again(client: TestClient[ServiceApp]) -> None:
    answer = client.get("/stream", headers={"If-None-Match": TAG})
    assert (answer.status_code, answer.content) == (304, b"")
    assert ended == ["closed"]
    assert client.get("/stream", headers={"If-None-Match": '"2"'}).content.startswith(b"0,1,2,")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_error_after_the_answer_is_not_lost(client: TestClient[ServiceApp], method: str) -> None:
    with pytest.raises(LitestarException) as raised:
        client.request(method, "/fails-afterwards")
    assert isinstance(raised.value.__cause__, KeyError)
