"""Every kind of fault, seen as a client sees it, and what was accepted all the same."""

import threading
import time
from typing import Any

import httpx
import pytest

from broadsheet_postmark_sandbox.testing import SandboxDriver

BATCH = [{"From": "news@news.example", "To": f"r{i}@mail.example", "TextBody": "x"} for i in range(3)]


def accepted_recipients(sandbox: SandboxDriver) -> list[str]:
    return [row["recipients"][0] for row in sandbox.accepted()]


def test_a_latency_delays_the_answer(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "latency", "latency_ms": 80, "jitter_ms": 20})
    begin = time.perf_counter()
    assert sandbox.batch(*BATCH).status_code == 200
    assert 0.08 <= time.perf_counter() - begin < 1


def test_a_client_that_loses_patience_may_have_sent_its_mail(
    sandbox: SandboxDriver,
) -> None:
    sandbox.faults({"kind": "latency", "latency_ms": 5_000, "accept_first": True, "count": 1})
    with pytest.raises(httpx.ReadTimeout):
        sandbox.http.post("/email/batch", json=BATCH, timeout=0.2)
    assert len(sandbox.accepted()) == 3


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"kind": "status", "status": 500, "error_code": 101}, 500, 101),
        ({"kind": "status", "status": 503, "error_code": 100}, 503, 100),
        ({"kind": "status", "status": 422, "error_code": 405}, 422, 405),
        ({"kind": "status", "status": 401, "error_code": 10}, 401, 10),
        ({"kind": "rate_limit"}, 429, 429),
    ],
)
def test_a_status_is_answered_and_nothing_accepted(sandbox: SandboxDriver, rule: Any, status: int, code: int) -> None:
    sandbox.faults(rule)
    answer = sandbox.batch(*BATCH)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (status, code)
    assert answer.headers["x-pm-apierrorcode"] == str(code)
    assert sandbox.accepted() == []


def test_an_error_500_may_have_accepted_first(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "status", "status": 500, "error_code": 101, "accept": True})
    assert sandbox.batch(*BATCH).status_code == 500
    assert len(sandbox.accepted()) == 3


def test_a_status_may_carry_any_body(sandbox: SandboxDriver) -> None:
    sandbox.faults(
        {"kind": "status", "status": 503, "body": "<h1>Busy</h1>", "content_type": "text/html", "headers": {"X-A": "b"}}
    )
    answer = sandbox.batch(*BATCH)
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (503, "<h1>Busy</h1>", "b")


@pytest.mark.parametrize(("wait", "header"), [(None, None), (7, "7")])
def test_a_rate_limit_says_when_to_come_back_only_if_told_to(
    sandbox: SandboxDriver, wait: int | None, header: str | None
) -> None:
    sandbox.faults({"kind": "rate_limit", "retry_after_s": wait, "count": 2})
    answers = [sandbox.batch(*BATCH) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers.get("retry-after") == header


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(("kind", "accepted"), [("drop_before", 0), ("drop_after", 3)])
def test_a_dropped_connection_gives_no_byte_of_an_answer(
    sandbox: SandboxDriver, kind: str, accepted: int, reset: bool
) -> None:
    sandbox.faults({"kind": kind, "reset": reset})
    with pytest.raises(httpx.ReadError if reset else httpx.RemoteProtocolError) as caught:
        sandbox.batch(*BATCH)
    if not reset:
        assert "without sending a response" in str(caught.value)
    assert len(sandbox.accepted()) == accepted


@pytest.mark.parametrize("accept", [False, True])
def test_a_hanging_server_answers_nothing(sandbox: SandboxDriver, accept: bool) -> None:
    sandbox.faults({"kind": "hang", "seconds": 30, "accept": accept})
    with pytest.raises(httpx.ReadTimeout):
        sandbox.http.post("/email/batch", json=BATCH, timeout=0.2)
    assert len(sandbox.accepted()) == (3 if accept else 0)


def test_a_hang_ends_with_a_closed_connection(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "hang", "seconds": 0.05})
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.batch(*BATCH)


@pytest.mark.parametrize(
    ("shape", "status"),
    [("truncated_json", 200), ("html_502", 502), ("not_json", 200), ("empty", 200)],
)
def test_a_malformed_answer_is_no_json_although_the_mail_went(sandbox: SandboxDriver, shape: str, status: int) -> None:
    sandbox.faults({"kind": "malformed", "shape": shape})
    answer = sandbox.batch(*BATCH)
    assert answer.status_code == status
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()
    assert len(sandbox.accepted()) == 3


def test_a_body_can_be_cut_off_half_way(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "malformed", "shape": "cut_body"})
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        sandbox.batch(*BATCH)
    assert len(sandbox.accepted()) == 3


def test_an_array_can_come_back_too_short(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "malformed", "shape": "wrong_length"})
    assert len(sandbox.batch(*BATCH).json()) == 2
    assert len(sandbox.accepted()) == 3


def test_a_success_can_lack_its_error_code(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "malformed", "shape": "no_error_code"})
    items = sandbox.batch(*BATCH, {**BATCH[0], "To": "x"}).json()
    assert [item.get("ErrorCode") for item in items] == [None, None, None, 300]
    assert items[0]["Message"] == "Message accepted, but delivery may be delayed."
    assert items[0].keys() == {"To", "SubmittedAt", "MessageID", "Message"}
    single = sandbox.send().json()
    assert "ErrorCode" not in single


def test_a_malformed_answer_can_come_without_accepting(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "malformed", "shape": "html_502", "accept": False})
    assert sandbox.batch(*BATCH).status_code == 502
    assert sandbox.accepted() == []


@pytest.mark.parametrize("where", [{"recipients": ["R1@mail.example"]}, {"pattern": "^r1@"}])
@pytest.mark.parametrize("code", [300, 406, 411])
def test_chosen_addresses_are_refused_by_themselves(sandbox: SandboxDriver, where: Any, code: int) -> None:
    sandbox.faults({"kind": "item_errors", "error_code": code, **where})
    items = sandbox.batch(*BATCH).json()
    assert [item["ErrorCode"] for item in items] == [0, code, 0]
    if code != 411:
        assert "r1@mail.example" in items[1]["Message"]
    assert accepted_recipients(sandbox) == ["r0@mail.example", "r2@mail.example"]


def test_a_406_can_name_no_address(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "item_errors", "pattern": "r1", "name_address": False})
    assert "Found inactive addresses: . Inactive" in sandbox.batch(*BATCH).json()[1]["Message"]


def test_item_errors_count_messages_and_take_any_text(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "item_errors", "error_code": 405, "message": "no credits", "skip": 1, "count": 1})
    items = sandbox.batch(*BATCH).json()
    assert [item["ErrorCode"] for item in items] == [0, 405, 0]
    assert items[1]["Message"] == "no credits"
    assert sandbox.hits() == [1]


def test_lagging_messages_are_found_later_and_at_once_when_the_fault_is_removed(sandbox: SandboxDriver) -> None:
    sandbox.send(To="before@mail.example")
    sandbox.faults({"kind": "search_lag", "seconds": 60, "match": {"recipient": "late"}})
    late = sandbox.send(To="late@mail.example").json()["MessageID"]
    sandbox.send(To="other@mail.example")
    assert [row["Recipients"][0] for row in sandbox.search()["Messages"]] == [
        "other@mail.example",
        "before@mail.example",
    ]
    assert sandbox.search()["TotalCount"] == 2
    assert sandbox.http.get(f"/messages/outbound/{late}/details").json()["ErrorCode"] == 701
    sandbox.faults()
    assert sandbox.search()["TotalCount"] == 3


def test_a_lag_ends_by_itself(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "search_lag", "seconds": 0.15, "jitter_s": 0.05})
    sandbox.batch(*BATCH)
    assert sandbox.search()["TotalCount"] == 0
    deadline = time.monotonic() + 5
    while sandbox.search()["TotalCount"] < 3:
        assert time.monotonic() < deadline


def test_the_search_can_be_down_while_sending_goes_on(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "search_down", "status": 500, "error_code": 101})
    sent = sandbox.send().json()
    for path in ("/messages/outbound?count=1&offset=0", f"/messages/outbound/{sent['MessageID']}/details"):
        answer = sandbox.http.get(path)
        assert (answer.status_code, answer.json()["ErrorCode"]) == (500, 101)


@pytest.mark.parametrize("shape", ["truncated_json", "html_502", "cut_body"])
def test_the_search_can_answer_nonsense(sandbox: SandboxDriver, shape: str) -> None:
    sandbox.send()
    sandbox.faults({"kind": "malformed", "shape": shape, "match": {"path": "/messages/outbound"}, "count": 1})
    with pytest.raises((ValueError, httpx.RemoteProtocolError)):
        sandbox.http.get("/messages/outbound?count=1&offset=0").json()
    assert sandbox.search()["TotalCount"] == 1


def test_any_endpoint_can_be_dropped(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "drop_before", "match": {"path": "/message-streams/.*", "method": "GET"}})
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.get("/message-streams/broadcast")
    assert sandbox.http.get("/server").status_code == 200


@pytest.mark.parametrize(
    "match",
    [
        {"stream": "broadcast"},
        {"recipient": "^ada@"},
        {"metadata": {"attempt": "7|8"}},
        {"path": "/email"},
        {"stream": "broadcast", "recipient": "ada", "metadata": {"attempt": "7"}},
    ],
)
def test_a_rule_fires_only_where_it_matches(sandbox: SandboxDriver, match: Any) -> None:
    sandbox.faults({"kind": "status", "status": 500, "match": match})
    hit = sandbox.message(MessageStream="broadcast", Metadata={"attempt": "7"})
    miss = sandbox.message(To="bob@mail.example", Metadata={"attempt": "77"})
    assert sandbox.http.post("/email", json=hit).status_code == 500
    answer = sandbox.http.post("/email/batch", json=[miss])
    assert answer.status_code == 200


def test_skip_count_and_time_bound_a_rule(sandbox: SandboxDriver) -> None:
    sandbox.faults(
        {"kind": "status", "status": 500, "skip": 1, "count": 2},
        {"kind": "status", "status": 503, "for_s": 0},
    )
    assert [sandbox.send().status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    shown = sandbox.http.get("/_sandbox/faults").json()["rules"]
    assert [(rule["matched"], rule["hits"], rule["active"]) for rule in shown] == [(3, 2, False), (0, 0, False)]


def test_a_seed_makes_the_same_faults_again_and_another_seed_others(sandbox: SandboxDriver) -> None:
    def run(seed: int) -> list[int]:
        sandbox.faults({"kind": "status", "status": 500, "probability": 0.5}, seed=seed)
        return [sandbox.send().status_code for _ in range(40)]

    first = run(11)
    assert set(first) == {200, 500}
    assert run(11) == first
    assert run(12) != first


def test_the_first_rule_that_decides_wins_and_delays_add_up(sandbox: SandboxDriver) -> None:
    sandbox.faults(
        {"kind": "latency", "latency_ms": 30},
        {"kind": "latency", "latency_ms": 30},
        {"kind": "status", "status": 503, "error_code": 100},
        {"kind": "drop_after"},
    )
    begin = time.perf_counter()
    assert sandbox.send().status_code == 503
    assert time.perf_counter() - begin >= 0.06
    assert sandbox.hits() == [1, 1, 1, 0]


def test_deleting_the_faults_heals_everything(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "drop_before"})
    assert sandbox.http.delete("/_sandbox/faults").json() == {"seed": 0, "rules": []}
    assert sandbox.send().status_code == 200


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "nope"},
        {"kind": "status"},
        {"kind": "status", "status": 42},
        {"kind": "latency", "latency_ms": -1},
        {"kind": "drop_after", "probability": 2},
        {"kind": "drop_after", "match": {"recipient": "("}},
        {"kind": "drop_after", "spelled": "wrong"},
    ],
)
def test_a_bad_rule_is_refused_and_the_others_stay(sandbox: SandboxDriver, rule: Any) -> None:
    sandbox.faults({"kind": "drop_after", "name": "kept", "count": 1})
    answer = sandbox.http.put("/_sandbox/faults", json={"rules": [rule]})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [r["rule"]["name"] for r in sandbox.http.get("/_sandbox/faults").json()["rules"]] == ["kept"]


def test_hanging_requests_do_not_keep_others_waiting(sandbox: SandboxDriver) -> None:
    sandbox.faults({"kind": "hang", "seconds": 30, "match": {"recipient": "stuck"}})
    results: list[type[BaseException]] = []

    def hang() -> None:
        with httpx.Client(base_url=sandbox.running.base_url, headers=sandbox.running.headers, timeout=0.5) as client:
            try:
                client.post("/email", json=sandbox.message(To="stuck@mail.example"))
            except httpx.TimeoutException as expected:
                results.append(type(expected))

    threads = [threading.Thread(target=hang) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert [sandbox.send().status_code for _ in range(20)] == [200] * 20
    for thread in threads:
        thread.join(10)
    assert results == [httpx.ReadTimeout] * 5
