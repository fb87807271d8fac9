"""Batches: one answer an item, in order, whatever became of the others."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest

from broadsheet_postmark_sandbox.testing import SandboxDriver


def test_answers_come_in_the_order_of_the_request(sandbox: SandboxDriver) -> None:
    sandbox.suppress("outbound", "gone@mail.example")
    answer = sandbox.batch(
        sandbox.message(To="a@mail.example"),
        sandbox.message(To="x"),
        sandbox.message(To="gone@mail.example"),
        sandbox.message(To="b@mail.example", MessageStream="nope"),
        sandbox.message(To="c@mail.example", MessageStream="broadcast"),
    )
    assert answer.status_code == 200
    items = answer.json()
    assert [item["ErrorCode"] for item in items] == [0, 300, 406, 1235, 0]
    assert [item.get("To") for item in items] == ["a@mail.example", None, None, None, "c@mail.example"]
    assert all(item.keys() == {"ErrorCode", "Message"} for item in items if item["ErrorCode"])
    kept = sandbox.accepted()
    assert [row["message_id"] for row in kept] == [items[0]["MessageID"], items[4]["MessageID"]]
    assert [row["sequence"] for row in kept] == [1, 2]


def test_submitted_at_comes_in_every_shape_that_postmark_has_used(sandbox: SandboxDriver) -> None:
    before = datetime.now(UTC)
    items = sandbox.http.post("/email/batch/", json=[sandbox.message()] * 3).json()
    times = [item["SubmittedAt"] for item in items]
    assert [(len(text.partition(".")[2].rstrip("Z").partition("-")[0]), text[-1] == "Z") for text in times] == [
        (7, False),
        (6, True),
        (7, True),
    ]
    for text in times:
        moment = datetime.fromisoformat(text)
        assert before <= moment <= datetime.now(UTC)


def test_500_messages_are_taken_and_501_refused(sandbox: SandboxDriver) -> None:
    messages = [sandbox.message(To=f"r{i}@mail.example") for i in range(501)]
    refused = sandbox.batch(*messages)
    assert (refused.status_code, refused.json()["ErrorCode"]) == (422, 410)
    answer = sandbox.batch(*messages[:500])
    assert len({item["MessageID"] for item in answer.json()}) == 500
    assert len(sandbox.accepted()) == 500


def test_one_unknown_field_refuses_the_whole_batch(sandbox: SandboxDriver) -> None:
    answer = sandbox.batch(sandbox.message(), {**sandbox.message(), "subject": "x"})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 403)
    assert "$[1]" in answer.json()["Message"]
    assert sandbox.accepted() == []


def test_an_empty_batch_is_refused(sandbox: SandboxDriver) -> None:
    assert (sandbox.batch().status_code, sandbox.batch().json()["ErrorCode"]) == (422, 403)


def test_a_batch_of_too_many_bytes_is_http_413(sandbox: SandboxDriver) -> None:
    sandbox.settings(batch_bytes_max=2_000)
    answer = sandbox.batch(*[sandbox.message(TextBody="x" * 500)] * 5)
    assert answer.status_code == 413
    assert answer.json().keys() == {"ErrorCode", "Message"}
    assert sandbox.batch(sandbox.message(TextBody="x" * 500)).status_code == 200


def test_postmarks_own_limit_is_50_mb(sandbox: SandboxDriver) -> None:
    connection = HTTPConnection(sandbox.running.base_url.removeprefix("http://"), timeout=10)
    with contextlib.closing(connection):
        headers = {**sandbox.running.headers, "Content-Length": str(50 * 1024 * 1024 + 1)}
        connection.request("POST", "/email/batch", headers=headers)
        assert connection.getresponse().status == 413


def test_a_chunked_request_is_read_whole(sandbox: SandboxDriver) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'[{"From":"news@news.example","To":"a@mail.ex'
        yield b'ample","TextBody":"caf\xc3'
        yield b'\xa9"}]'

    answer = sandbox.http.post("/email/batch", content=pieces())
    assert answer.json()[0]["ErrorCode"] == 0
    assert sandbox.accepted()[0]["message"]["TextBody"] == "caf\u00e9"


def test_a_message_over_10_mb_is_refused_by_itself(sandbox: SandboxDriver) -> None:
    sandbox.settings(message_bytes_max=1_000)
    items = sandbox.batch(sandbox.message(TextBody="x" * 1_000), sandbox.message()).json()
    assert [item["ErrorCode"] for item in items] == [300, 0]


@pytest.mark.parametrize("whitespace", [b" ", b"\n\t "])
def test_json_with_whitespace_is_kept_item_by_item(sandbox: SandboxDriver, whitespace: bytes) -> None:
    one = b'{"From":"news@news.example","To":"r%d@mail.example","TextBody":"},{"}'
    body = whitespace + b"[" + (whitespace + b"," + whitespace).join([one % 1, one % 2]) + whitespace + b"]"
    answer = sandbox.http.post("/email/batch", content=body)
    assert [item["ErrorCode"] for item in answer.json()] == [0, 0]
    assert [row["message"]["To"] for row in sandbox.accepted()] == ["r1@mail.example", "r2@mail.example"]
