"""What is looked up at Postmark: an answer is whole and about what was asked, or it says nothing."""

import uuid
from typing import Final

import httpx
import pytest

from broadsheet_delivery.postmark.answer import (
    FoundMessage,
    HttpAnswer,
    UnusableAnswerError,
    read_bounce_page,
    read_dump,
    read_metadata,
    read_search_answer,
    read_stream_answer,
    read_told,
)
from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, StreamAnswer
from harness.http.postmark_answers import PROXY_PAGE, http_answer, json_answer, refused

ATTEMPT: Final = uuid.UUID(int=1)
OTHER_ATTEMPT: Final = uuid.UUID(int=99)

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
        http_answer(200, PROXY_PAGE),
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
        (http_answer(200, PROXY_PAGE), "unreadable answer"),
        (http_answer(502, PROXY_PAGE), "status 502"),
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


# -- what else is read -----------------------------------------------


@pytest.mark.parametrize("status", [404, 422])
def test_only_postmark_can_say_that_it_does_not_keep_a_message(status: int) -> None:
    assert read_metadata(refused(status, 701)) == {}
    for answer in (http_answer(status), http_answer(status, PROXY_PAGE), json_answer(status, {"Metadata": {}})):
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
        (http_answer(404, PROXY_PAGE), NotAsked("HTTP 404, an answer that is not Postmark's")),
        (http_answer(200, PROXY_PAGE), NotAsked("unreadable answer")),
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
