"""Which answers are Postmark's and what they prove: not sent needs a listed proof, and everything else is unknown."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_delivery.postmark.answer import (
    ERROR_CODE_HEADER,
    HttpAnswer,
    read_batch_answer,
)
from broadsheet_delivery.postmark.call_result import AcceptedItem, Answered, NotSent, RejectedItem, Unknown
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.error_class import ErrorClass
from harness.http.postmark_answers import PROXY_PAGE, http_answer, json_answer, refused

# -- what proves that nothing was sent -----------------------------------------------

BY_STATUS: Final = {401: ErrorClass.ACCOUNT, 413: ErrorClass.TOO_LARGE, 429: ErrorClass.TRANSIENT}
REFUSED: Final = dict.fromkeys((404, 415, 422), ErrorClass.CONFIGURATION)
CLIENT_ERRORS: Final = [status for status in range(400, 500) if status != 408]

PROOFS: Final[dict[int, dict[int, ErrorClass]]] = {
    # The ErrorCode of Postmark's own refusal: the statuses with which it proves that nothing was sent, and its class.
    405: {**dict.fromkeys(CLIENT_ERRORS, ErrorClass.ACCOUNT), **BY_STATUS},
    402: {**dict.fromkeys(CLIENT_ERRORS, ErrorClass.CONFIGURATION), **BY_STATUS},
    100: {503: ErrorClass.TRANSIENT, **REFUSED, **BY_STATUS},
    429: {**REFUSED, **BY_STATUS},
    406: {**REFUSED, **BY_STATUS},
    987_654: {**REFUSED, **BY_STATUS},
    101: {},
    # Of 413 Postmark documents no code.
    0: {413: ErrorClass.TOO_LARGE},
    -1: {},
}


@pytest.mark.parametrize("code", PROOFS)
def test_postmarks_refusal_proves_what_the_table_says_and_nothing_else(code: int) -> None:
    found = {}
    for status in range(100, 600):
        result = read_batch_answer(refused(status, code), 1)
        if isinstance(result, NotSent):
            found[status] = result.error_class
            assert (result.status, result.error_code) == (status, code)
        else:
            assert isinstance(result, Unknown)
    assert found == PROOFS[code]


CODE: Final = 405
POSTMARKS_JSON: Final = msgspec.json.encode({"ErrorCode": CODE, "Message": "Not allowed to send."})
BODIES: Final = {
    "none": ({}, b""),
    "HTML": ({"Content-Type": "text/html"}, PROXY_PAGE),
    "foreign JSON": ({"Content-Type": "application/json"}, b'{"error":"not allowed","status":405}'),
    "Postmark's JSON": ({"Content-Type": "application/json", ERROR_CODE_HEADER: str(CODE)}, POSTMARKS_JSON),
}
EXPECTED: Final = {
    "none": {},
    "HTML": {},
    "foreign JSON": {},
    "Postmark's JSON": PROOFS[CODE],
}


@asynccontextmanager
async def answering() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that takes each request whole and answers with the bytes that stand in the list; `(address, answer)`."""
    answer: list[bytes] = [b""]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(length)
        writer.write(answer[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", answer
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("body", BODIES)
async def test_every_status_over_http_is_not_sent_only_where_the_table_says_so(body: str) -> None:
    headers, content = BODIES[body]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    found = {}
    async with answering() as (address, answer), httpx.AsyncClient(trust_env=False) as http_client:
        client = PostmarkClient(http_client, base_url=address, token="secret", call_timeout_s=10.0)
        for status in range(100, 600):
            head = f"HTTP/1.1 {status} As it is\r\nConnection: close\r\nContent-Length: {len(content)}\r\n{lines}\r\n"
            answer[0] = head.encode() + content
            result = await client.send_batch([b'{"To":"reader@example.com"}'])
            if isinstance(result, NotSent):
                found[status] = result.error_class
            else:
                assert isinstance(result, Unknown), status
    assert found == EXPECTED[body]


NEARLY = [
    http_answer(0, POSTMARKS_JSON),
    http_answer(0, POSTMARKS_JSON, X_PM_ApiErrorCode="406"),
    http_answer(0, POSTMARKS_JSON, X_PM_ApiErrorCode="405, 405"),
    http_answer(0, POSTMARKS_JSON, X_PM_ApiErrorCode=""),
    http_answer(0, b"", X_PM_ApiErrorCode="405"),
    http_answer(0, PROXY_PAGE, X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"ErrorCode":405}', X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"ErrorCode":"405","Message":"x"}', X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"errorCode":405,"message":"x"}', X_PM_ApiErrorCode="405"),
    http_answer(0, b'[{"ErrorCode":405,"Message":"x"}]', X_PM_ApiErrorCode="405"),
    http_answer(0, POSTMARKS_JSON[:-1], X_PM_ApiErrorCode="405"),
    http_answer(0, POSTMARKS_JSON + PROXY_PAGE, X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"x":' + b"[" * 100_000, X_PM_ApiErrorCode="405"),
]


@pytest.mark.parametrize("nearly", NEARLY, ids=range(len(NEARLY)))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422, 429, 503])
def test_what_is_only_nearly_postmarks_refusal_proves_nothing(nearly: HttpAnswer, status: int) -> None:
    result = read_batch_answer(msgspec.structs.replace(nearly, status=status), 1)
    assert isinstance(result, Unknown)
    assert result.status == status


@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), ("100000", 300.0), ("soon", None), ("-1", None)])
def test_retry_after_is_honoured_within_a_bound(value: str, expected: float | None) -> None:
    answer = refused(429, 429)
    headers = httpx.Headers({**answer.headers, "Retry-After": value})
    result = read_batch_answer(msgspec.structs.replace(answer, headers=headers), 1)
    assert isinstance(result, NotSent)
    assert result.retry_after_s == expected


# -- results of a batch -----------------------------------------------


def test_results_come_in_the_order_of_the_request() -> None:
    first, third = uuid.uuid4(), uuid.uuid4()
    items = [
        {"ErrorCode": 0, "MessageID": str(first), "SubmittedAt": "2026-01-01T00:00:00.1234567Z", "To": "a"},
        {"ErrorCode": 406, "Message": "You tried to send to a recipient that has been marked as inactive."},
        {"Message": "Message accepted, but delivery may be delayed.", "MessageID": str(third)},
        {"ErrorCode": 300, "Message": "x", "MessageID": ""},
        {"ErrorCode": 300, "Message": "x", "MessageID": None},
    ]
    assert read_batch_answer(json_answer(200, items), 5) == Answered(
        (
            AcceptedItem(first),
            RejectedItem(406, "You tried to send to a recipient that has been marked as inactive."),
            AcceptedItem(third),
            RejectedItem(300, "x"),
            RejectedItem(300, "x"),
        )
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[",
        b"[]",
        b"[{}]",
        b"[null]",
        b"<html>",
        b"\xff\xfe",
        b"[" * 100_000,
        POSTMARKS_JSON,
        b'[{"ErrorCode":0,"MessageID":"x"}]',
        b'[{"ErrorCode":0,"MessageID":""}]',
        b'[{"ErrorCode":0,"MessageID":"00000000-0000-0000-0000-000000000000"}]',
        b'[{"ErrorCode":406}]',
        b'[{"ErrorCode":-1,"Message":"x"}]',
        b'[{"ErrorCode":406,"Message":"x","MessageID":"8a7c1f8e-9c0e-4a57-9d2b-0d7a3f1c2b3a"}]',
        b'[{"ErrorCode":"406","Message":"x"}]',
    ],
)
def test_an_answer_that_cannot_be_read_leaves_all_of_it_unknown(content: bytes) -> None:
    assert isinstance(read_batch_answer(http_answer(200, content), 1), Unknown)


@given(st.binary(max_size=200), st.integers(1, 3))
def test_a_200_is_an_answer_for_each_mail_or_unknown(content: bytes, count: int) -> None:
    result = read_batch_answer(http_answer(200, content), count)
    assert isinstance(result, Answered | Unknown)
    if isinstance(result, Answered):
        assert len(result.items) == count


@given(st.integers(100, 599), st.binary(max_size=200), st.sampled_from(["", "10", "405"]))
def test_bytes_that_are_not_postmarks_refusal_are_unknown(status: int, content: bytes, header: str) -> None:
    assert isinstance(read_batch_answer(http_answer(status, content, X_PM_ApiErrorCode=header), 1), Unknown)


# -- what the record says of an answer -----------------------------------------------


def test_the_reason_names_the_status_and_postmarks_own_error() -> None:
    assert read_batch_answer(refused(422, 402), 1) == NotSent(
        ErrorClass.CONFIGURATION, "HTTP 422, code 402: As it is.", 422, 402
    )
    assert read_batch_answer(refused(500, 101), 1) == Unknown("HTTP 500, code 101: As it is.", 500, 101)
    assert read_batch_answer(http_answer(502, PROXY_PAGE), 1) == Unknown(
        "HTTP 502, an answer that is not Postmark's", 502, None
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>", "unreadable answer"),
        (b"[]", "0 results for 1 messages"),
        (b"[{}]", "a result that is neither accepted nor refused"),
    ],
)
def test_the_reason_says_what_is_wrong_with_a_200(content: bytes, reason: str) -> None:
    assert read_batch_answer(http_answer(200, content), 1) == Unknown(reason, 200, None)


def test_a_request_refused_for_one_address_is_refused_as_a_whole_whatever_field_it_names() -> None:
    for message, error_class in (
        ("Invalid 'From' address.", ErrorClass.CONFIGURATION),
        ("Invalid 'To' address.", ErrorClass.CONFIGURATION),
    ):
        content = msgspec.json.encode({"ErrorCode": 300, "Message": message})
        result = read_batch_answer(http_answer(422, content, X_PM_ApiErrorCode="300"), 1)
        assert isinstance(result, NotSent)
        assert result.error_class is error_class
    # Of a status that is not documented, only a code that stops the issue or the account is a proof.
    for message, expected in (("Invalid 'From' address.", NotSent), ("Invalid 'To' address.", Unknown)):
        content = msgspec.json.encode({"ErrorCode": 300, "Message": message})
        assert isinstance(read_batch_answer(http_answer(400, content, X_PM_ApiErrorCode="300"), 1), expected)
