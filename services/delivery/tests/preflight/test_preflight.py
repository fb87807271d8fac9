"""Before anything of an issue is sent, Postmark is asked whether its stream fits the newsletter."""

import httpx
import msgspec
import pytest

from broadsheet_delivery.postmark.answer import ERROR_CODE_HEADER, HttpAnswer, read_stream_answer
from broadsheet_delivery.preflight.verdict import (
    PASSED_FOR_S,
    AccountRefused,
    NoSuchStream,
    NotAsked,
    PassedPreflights,
    Stream,
    mismatch,
)
from broadsheet_delivery.throttle.state_store import resume_issue, resume_sending
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering, running_worker
from harness.oracle import Oracle
from harness.seeding import Seed
from harness.waiting import eventually

STREAM_READS = {"path": "/message-streams/.*"}


async def _resume(delivery: Delivering, issue_id: int) -> None:
    async with delivery.context.engine.begin() as connection:
        assert await resume_issue(connection, issue_id=issue_id)


async def test_a_newsletter_on_a_transactional_stream_is_refused_before_anything_is_sent(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'outbound'")
    issue_id = seed.published_issue(seed.subscribers(10))
    await delivery.send_all_due()
    progress = seed.progress(issue_id)
    assert (progress.state, progress.counts) == ("paused", {"pending": 10})
    assert "Transactional" in str(progress.pause_reason)
    assert oracle.messages() == []
    assert seed.count("delivery.send_attempt") == 0
    seed.execute("UPDATE publishing.newsletter SET message_stream = 'broadcast'")
    await _resume(delivery, issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 10}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE publishing.newsletter SET message_stream = 'no-such-stream'", "no-such-stream"),
        ("UPDATE publishing.newsletter SET message_stream = 'inbound'", "Inbound"),
        ("UPDATE publishing.newsletter SET unsubscribe_handling = 'postmark'", "unsubscribe"),
    ],
)
async def test_a_stream_that_does_not_fit_pauses_the_issue_with_the_reason(
    seed: Seed, delivery: Delivering, oracle: Oracle, change: str, reason: str
) -> None:
    seed.execute(change)
    issue_id = seed.published_issue(seed.subscribers(2))
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "paused"
    assert reason in str(seed.progress(issue_id).pause_reason)
    assert oracle.messages() == []


async def test_resuming_checks_again(seed: Seed, delivery: Delivering, oracle: Oracle, sandbox: RunningSandbox) -> None:
    sandbox.inner.streams["broadcast"].handling = "Postmark"
    issue_id = seed.published_issue(seed.subscribers(2))
    await delivery.send_all_due()
    await _resume(delivery, issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "paused"
    assert oracle.messages() == []
    sandbox.inner.streams["broadcast"].handling = "Custom"
    await _resume(delivery, issue_id)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2}


async def test_a_refused_token_pauses_all_sending(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    oracle.fault({"kind": "status", "status": 401, "error_code": 10, "match": STREAM_READS})
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "open"
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert "401" in str(reason)
    assert oracle.messages() == []
    oracle.heal()
    async with delivery.context.engine.begin() as connection:
        await resume_sending(connection)
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2}


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 503, "error_code": 100},
        {"kind": "status", "status": 500, "error_code": 101},
        {"kind": "status", "status": 404, "body": "<html>", "content_type": "text/html"},
        {"kind": "malformed", "shape": "not_json"},
        {"kind": "drop_before"},
    ],
    ids=lambda rule: str(rule.get("status") or rule["kind"]),
)
async def test_when_postmark_cannot_be_asked_nothing_starts_and_it_is_asked_again(
    seed: Seed, delivery: Delivering, oracle: Oracle, rule: dict[str, object]
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    oracle.fault({**rule, "match": STREAM_READS})
    [(before,)] = seed.execute("SELECT now()")
    await delivery.send_all_due()
    assert (seed.progress(issue_id).state, seed.progress(issue_id).counts) == ("open", {"pending": 2})
    [(tries, waits, reason)] = seed.execute(
        "SELECT preflight_count, preflight_due_at > %s, preflight_error FROM delivery.issue_run", (before,)
    )
    assert (int(str(tries)) >= 1, waits) == (True, True)
    assert reason
    seed.execute("UPDATE delivery.issue_run SET preflight_due_at = now() + interval '1 hour'")
    assert await delivery.preflight() == 0, "not before the wait is over"
    oracle.heal()
    seed.execute("UPDATE delivery.issue_run SET preflight_due_at = now()")
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 2}


async def test_what_waits_for_its_preflight_is_shown(
    seed: Seed, delivery: Delivering, oracle: Oracle, delivery_api: httpx.AsyncClient
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "match": STREAM_READS})
    await delivery.send_all_due()
    [waiting] = (await delivery_api.get("/api/v1/senders")).json()["waiting_for_preflight"]
    assert waiting["issue_id"] == issue_id
    assert "503" in waiting["reason"]


async def test_a_check_stands_for_the_next_issue_for_a_short_time(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    readers = seed.subscribers(2)
    seed.published_issue(readers)
    await delivery.send_all_due()
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "match": STREAM_READS})
    second = seed.published_issue(readers)
    await delivery.send_all_due()
    assert seed.progress(second).counts == {"accepted": 2}


async def test_an_issue_that_is_not_published_is_paused(seed: Seed, delivery: Delivering) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    seed.execute("UPDATE publishing.issue SET status = 'draft', published_at = NULL")
    await delivery.send_all_due()
    assert seed.progress(issue_id).state == "paused"


async def test_newsletter_mails_that_go_alone_wait_for_it_too(
    database: Database, seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(2))
    oracle.fault({"kind": "item_errors", "error_code": 100, "recipients": ["reader-1@example.com"], "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1, "pending": 1}
    seed.execute("UPDATE delivery.single_mail SET run_at = now()")
    seed.execute("UPDATE delivery.issue_run SET preflight_at = NULL")
    oracle.fault({"kind": "status", "status": 503, "error_code": 100, "match": STREAM_READS})
    async with delivering(database, delivery.context.postmark._base_url, "x") as fresh:
        await fresh.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 1, "pending": 1}


async def test_a_running_replica_checks_and_sends_without_being_told(
    database: Database, seed: Seed, sandbox: RunningSandbox
) -> None:
    async with running_worker(database, sandbox.base_url, sandbox.token):
        issue_id = seed.published_issue(seed.subscribers(3))
        await eventually(lambda: seed.progress(issue_id).state == "finished", what="the issue is finished")


def test_a_stream_fits_a_newsletter_of_its_own_handling_alone() -> None:
    for handling, theirs in (("custom", "Custom"), ("postmark", "Postmark")):
        for offered in ("Custom", "Postmark", "None"):
            fits = mismatch(Stream("s", "Broadcasts", offered, archived=False), handling) is None
            assert fits == (offered == theirs)
    assert mismatch(Stream("s", "Transactional", "Custom", archived=False), "custom") is not None
    assert "archived" in str(mismatch(Stream("s", "Broadcasts", "Custom", archived=True), "custom"))


def test_a_check_is_remembered_for_its_time_and_no_longer() -> None:
    now_s = 0.0
    passed = PassedPreflights(lambda: now_s)
    passed.passed("broadcast", "custom")
    assert passed.stands("broadcast", "custom")
    assert not passed.stands("broadcast", "postmark")
    now_s = PASSED_FOR_S
    assert not passed.stands("broadcast", "custom")


def refused(status: int, code: int) -> HttpAnswer:
    headers = httpx.Headers({ERROR_CODE_HEADER: str(code)})
    return HttpAnswer(status, headers, msgspec.json.encode({"ErrorCode": code, "Message": "x"}))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HttpAnswer(200, {}, b'{"ID":"b","MessageStreamType":"Broadcasts"}'), Stream),
        (HttpAnswer(200, {}, b'{"ID":"b"}'), NotAsked),
        (refused(401, 10), AccountRefused),
        (refused(422, 1226), NoSuchStream),
        (refused(404, 1226), NoSuchStream),
        (refused(429, 429), NotAsked),
        (refused(503, 100), NotAsked),
        (refused(500, 101), NotAsked),
        # A proxy's answer says nothing about the account or the stream.
        *((HttpAnswer(status, {}, b"<h1>No</h1>"), NotAsked) for status in (204, 302, 401, 403, 404, 422, 429)),
        (HttpAnswer(401, {}, b'{"ErrorCode":10,"Message":"x"}'), NotAsked),
    ],
)
def test_the_answer_about_a_stream_is_read(answer: HttpAnswer, expected: type[object]) -> None:
    assert isinstance(read_stream_answer(answer), expected)


def test_a_stream_is_shown_with_its_handling() -> None:
    shown = HttpAnswer(200, {}, b'{"ID":"b","MessageStreamType":"Broadcasts"}')
    assert read_stream_answer(shown) == Stream("b", "Broadcasts", "None", archived=False)
