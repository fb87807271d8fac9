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
    FoundMessage,
    HttpAnswer,
    UnusableAnswerError,
    read_batch_answer,
    read_bounce_page,
    read_dump,
    read_metadata,
    read_search_answer,
    read_stream_answer,
    read_told,
)
from broadsheet_delivery.postmark.call_result import AcceptedItem, Answered, NotSent, RejectedItem, Unknown
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, StreamAnswer

ATTEMPT: Final = uuid.UUID(int=1)
OTHER_ATTEMPT: Final = uuid.UUID(int=99)


def http_answer(status: int, content: bytes = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(
        status, httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), content
    )


def json_answer(status: int, value: object) -> HttpAnswer:
    return http_answer(status, msgspec.json.encode(value))


def refused(status: int, code: int) -> HttpAnswer:
    """As Postmark refuses a whole request."""
    content = msgspec.json.encode({"ErrorCode": code, "Message": "As it is."})
    return http_answer(status, content, X_PM_ApiErrorCode=str(code))


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
PAGE: Final = b"<html><head><title>Answered</title></head><body><h1>By a proxy</h1></body></html>"
BODIES: Final = {
    "none": ({}, b""),
    "HTML": ({"Content-Type": "text/html"}, PAGE),
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
    http_answer(0, PAGE, X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"ErrorCode":405}', X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"ErrorCode":"405","Message":"x"}', X_PM_ApiErrorCode="405"),
    http_answer(0, b'{"errorCode":405,"message":"x"}', X_PM_ApiErrorCode="405"),
    http_answer(0, b'[{"ErrorCode":405,"Message":"x"}]', X_PM_ApiErrorCode="405"),
    http_answer(0, POSTMARKS_JSON[:-1], X_PM_ApiErrorCode="405"),
    http_answer(0, POSTMARKS_JSON + PAGE, X_PM_ApiErrorCode="405"),
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


# -- the search -----------------------------------------------


def row(number: int, *, stream: str = "broadcast", attempt: uuid.UUID = ATTEMPT) -> dict[str, object]:
    return {
        "MessageID": str(uuid.UUID(int=1000 + number)),
        "MessageStream": stream,
        "Metadata": {"bs_attempt": str(attempt), "bs_delivery": f"1-{number}"},
        "Recipients": [f"reader-{number}@example.com"],
    }


def search(total: object, *rows: object, status: int = 200) -> HttpAnswer:
    return json_answer(status, {"TotalCount": total, "Messages": rows})


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_whole_answer_of_the_search_is_believed(count: int) -> None:
    found = read_search_answer(search(count, *map(row, range(count))), attempt_id=ATTEMPT, stream="broadcast")
    assert [one.metadata["bs_delivery"] for one in found] == [f"1-{number}" for number in range(count)]
    assert all(isinstance(one, FoundMessage) for one in found)


@pytest.mark.parametrize(
    "answer",
    [
        search(3, row(1), row(2)),
        search(1),
        search(1, row(1), row(2)),
        search(0, row(1)),
        search(2, row(1), row(1)),
        search(1, row(1), row(1)),
        search(501, *map(row, range(500))),
        search(501, *map(row, range(501))),
        search(10_000, *map(row, range(500))),
        search(-1),
        search(None),
        search("0"),
        search(1, row(1, stream="outbound")),
        search(2, row(1), row(2, stream="outbound")),
        search(1, row(1, attempt=OTHER_ATTEMPT)),
        search(2, row(1), row(2, attempt=OTHER_ATTEMPT)),
        search(1, {**row(1), "Metadata": None}),
        search(1, {**row(1), "MessageID": "x"}),
        search(1, {name: value for name, value in row(1).items() if name != "MessageStream"}),
        json_answer(200, {"Messages": []}),
        json_answer(200, {"TotalCount": 0}),
        json_answer(200, []),
        http_answer(200, search(2, row(1), row(2)).content[:-40]),
        http_answer(200, b""),
        http_answer(200, PAGE),
        search(0, status=201),
        search(0, status=302),
        search(0, status=404),
        http_answer(204),
        refused(503, 100),
        refused(422, 700),
        refused(401, 10),
    ],
)
def test_a_search_that_does_not_add_up_says_nothing(answer: HttpAnswer) -> None:
    with pytest.raises(UnusableAnswerError):
        read_search_answer(answer, attempt_id=ATTEMPT, stream="broadcast")


async def test_the_search_names_the_stream_and_one_metadata_field() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {
            "count": "500",
            "offset": "0",
            "messagestream": "broadcast",
            "metadata_bs_attempt": str(ATTEMPT),
        }
        return httpx.Response(200, json={"TotalCount": 1, "Messages": [row(1)]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client:
        client = PostmarkClient(http_client, base_url="http://postmark", token="secret", call_timeout_s=1)
        assert len(await client.search(attempt_id=ATTEMPT, stream="broadcast")) == 1


# -- what else is read -----------------------------------------------


@pytest.mark.parametrize("status", [404, 422])
def test_only_postmark_can_say_that_it_does_not_keep_a_message(status: int) -> None:
    assert read_metadata(refused(status, 701)) == {}
    for answer in (http_answer(status), http_answer(status, PAGE), json_answer(status, {"Metadata": {}})):
        with pytest.raises(UnusableAnswerError):
            read_metadata(answer)


def test_the_details_of_a_message_hold_its_metadata() -> None:
    assert read_metadata(json_answer(200, {"Metadata": {"bs_delivery": "1-1"}})) == {"bs_delivery": "1-1"}
    assert read_metadata(json_answer(200, {"MessageID": "x"})) == {}


@pytest.mark.parametrize(
    ("total", "offset", "shown", "whole"),
    [
        (0, 0, 0, True),
        (3, 0, 3, True),
        (700, 0, 500, True),
        (700, 500, 200, True),
        (700, 1000, 0, True),
        (3, 0, 2, False),
        (700, 500, 0, False),
        (700, 0, 499, False),
        (0, 0, 1, False),
    ],
)
def test_a_cut_page_of_bounces_is_not_believed(total: int, offset: int, shown: int, *, whole: bool) -> None:
    answer = json_answer(200, {"TotalCount": total, "Bounces": [{"ID": number} for number in range(shown)]})
    if whole:
        assert len(read_bounce_page(answer, offset=offset).bounces) == shown
    else:
        with pytest.raises(UnusableAnswerError):
            read_bounce_page(answer, offset=offset)


@pytest.mark.parametrize("status", [201, 204, 302, 403, 404, 500])
def test_nothing_is_read_from_what_is_not_a_success_of_postmarks(status: int) -> None:
    answer = json_answer(status, {"Suppressions": [], "TotalCount": 0, "Bounces": []})
    with pytest.raises(UnusableAnswerError):
        read_dump(answer)
    with pytest.raises(UnusableAnswerError):
        read_told(answer)
    with pytest.raises(UnusableAnswerError):
        read_bounce_page(answer, offset=0)


def test_what_became_of_an_address_is_one_of_three() -> None:
    def told(status: str) -> HttpAnswer:
        return json_answer(200, {"Suppressions": [{"EmailAddress": "a@example.com", "Status": status}]})

    assert [read_told(told(status))[0].refusal for status in ("Suppressed", "Deleted", "Failed")] == [
        None,
        None,
        "Postmark refused it.",
    ]
    with pytest.raises(UnusableAnswerError):
        read_told(told("Queued"))


# -- what the record says of an answer -----------------------------------------------


def test_the_reason_names_the_status_and_postmarks_own_error() -> None:
    assert read_batch_answer(refused(422, 402), 1) == NotSent(
        ErrorClass.CONFIGURATION, "HTTP 422, code 402: As it is.", 422, 402
    )
    assert read_batch_answer(refused(500, 101), 1) == Unknown("HTTP 500, code 101: As it is.", 500, 101)
    assert read_batch_answer(http_answer(502, PAGE), 1) == Unknown(
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


def test_the_search_gives_ids_metadata_and_recipients() -> None:
    [found] = read_search_answer(search(1, row(7)), attempt_id=ATTEMPT, stream="broadcast")
    assert found == FoundMessage(
        uuid.UUID(int=1007), {"bs_attempt": str(ATTEMPT), "bs_delivery": "1-7"}, ("reader-7@example.com",)
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (search(1), "the search counts 1 messages and shows 0"),
        (search(501), "the search counts 501 messages"),
        (search(1, row(1, stream="outbound")), "the search shows another stream"),
        (search(1, row(1, attempt=OTHER_ATTEMPT)), "the search shows another call's messages"),
        (http_answer(200, PAGE), "unreadable answer"),
        (http_answer(502, PAGE), "status 502"),
        (refused(422, 700), "status 422, code 700"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why_and_names_nobody(answer: HttpAnswer, told: str) -> None:
    with pytest.raises(UnusableAnswerError) as caught:
        read_search_answer(answer, attempt_id=ATTEMPT, stream="broadcast")
    assert str(caught.value) == told


def test_a_cut_page_of_bounces_says_by_how_much() -> None:
    with pytest.raises(UnusableAnswerError, match="a page of bounces shows 1 of 3 from 0, not 3"):
        read_bounce_page(json_answer(200, {"TotalCount": 3, "Bounces": [{}]}), offset=0)


# -- streams -----------------------------------------------


def stream_answer(**changes: object) -> HttpAnswer:
    body: dict[str, object] = {
        "ID": "broadcast",
        "MessageStreamType": "Broadcasts",
        "ArchivedAt": None,
        "SubscriptionManagementConfiguration": {"UnsubscribeHandlingType": "Custom"},
    }
    return json_answer(200, body | changes)


def test_a_stream_is_read_with_its_type_and_its_way_to_unsubscribe() -> None:
    assert read_stream_answer(stream_answer()) == Stream("broadcast", "Broadcasts", "Custom", False)
    assert read_stream_answer(stream_answer(ArchivedAt="2026-01-01T00:00:00Z")) == Stream(
        "broadcast", "Broadcasts", "Custom", True
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused(401, 10), AccountRefused("HTTP 401, code 10: As it is.")),
        (refused(422, 405), AccountRefused("HTTP 422, code 405: As it is.")),
        (refused(404, 1226), NoSuchStream("HTTP 404, code 1226: As it is.")),
        (refused(422, 300), NoSuchStream("HTTP 422, code 300: As it is.")),
        (refused(503, 100), NotAsked("HTTP 503, code 100: As it is.")),
        (refused(429, 429), NotAsked("HTTP 429, code 429: As it is.")),
        (refused(500, 101), NotAsked("HTTP 500, code 101: As it is.")),
        (http_answer(404, PAGE), NotAsked("HTTP 404, an answer that is not Postmark's")),
        (http_answer(200, PAGE), NotAsked("unreadable answer")),
        (json_answer(200, {}), NotAsked("unreadable answer")),
    ],
)
def test_a_stream_is_missing_or_the_account_refused_only_if_postmark_says_so(
    answer: HttpAnswer, expected: StreamAnswer
) -> None:
    assert read_stream_answer(answer) == expected


# -- suppressions -----------------------------------------------


def test_the_dump_gives_its_rows() -> None:
    shown = {
        "EmailAddress": "ada@example.com",
        "SuppressionReason": "HardBounce",
        "Origin": "Recipient",
        "CreatedAt": "2026-01-01T00:00:00-05:00",
    }
    [row_] = read_dump(json_answer(200, {"Suppressions": [shown]}))
    assert (row_.email_address, row_.suppression_reason, row_.origin) == ("ada@example.com", "HardBounce", "Recipient")
