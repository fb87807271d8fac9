"""Postmark's error table, row by row, by its effect on real deliveries: for a whole request, and for one item of it."""

import pytest

from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.seeding import Seed

STOPS_ALL, STOPS_ISSUE, WAITS, UNCERTAIN = "stops all", "stops the issue", "waits", "uncertain"
FAILED, SUPPRESSED = "failed", "suppressed"

REQUESTS = [
    *((401, code, STOPS_ALL) for code in (10,)),
    *((422, code, STOPS_ALL) for code in (14, 405, 412, 413, 422, 1480)),
    *((422, code, STOPS_ISSUE) for code in (300, 400, 401, 402, 403, 406, 410, 411)),
    (415, 409, STOPS_ISSUE),
    *((422, code, STOPS_ISSUE) for code in (1100, 1131, 1226, 1235, 1236, 1238, 987_654)),
    (429, 429, WAITS),
    (503, 100, WAITS),
    (500, 101, UNCERTAIN),
    (503, 101, UNCERTAIN),
    (502, 0, UNCERTAIN),
    (504, 0, UNCERTAIN),
]


@pytest.mark.parametrize(("status", "code", "effect"), REQUESTS)
async def test_a_request_that_is_refused_whole(
    seed: Seed, delivery: Delivering, oracle: Oracle, status: int, code: int, effect: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "status", "status": status, "error_code": code, "message": "As it is."})
    await delivery.send_one_chunk()
    progress = seed.progress(issue_id)
    assert progress.counts == {"uncertain" if effect == UNCERTAIN else "pending": 3}
    assert (progress.state == "paused") == (effect == STOPS_ISSUE)
    [(reason, waits)] = seed.execute("SELECT pause_reason, back_off_until > now() FROM delivery.sending_state")
    assert (reason is not None) == (effect == STOPS_ALL)
    assert waits == (effect == WAITS)
    shown = {STOPS_ALL: reason, STOPS_ISSUE: progress.pause_reason}
    if effect in shown:
        assert str(code) in str(shown[effect])
    assert oracle.messages() == []


ITEMS = [
    (300, "Invalid 'To' address: 'x'.", FAILED),
    (300, "Invalid 'Cc' address: 'x'.", FAILED),
    (300, "Invalid 'From' address: 'x'.", STOPS_ISSUE),
    (300, "Something else.", FAILED),
    (406, "Inactive.", SUPPRESSED),
    (411, "Forbidden attachment.", FAILED),
    *((code, "As it is.", STOPS_ISSUE) for code in (400, 401, 402, 403, 409, 410)),
    *((code, "As it is.", STOPS_ISSUE) for code in (1100, 1131, 1226, 1235, 1236, 1238)),
    *((code, "As it is.", STOPS_ALL) for code in (10, 14, 405, 412, 413, 422, 1480)),
    (100, "Maintenance.", WAITS),
    (429, "Too many.", WAITS),
    (101, "Internal.", UNCERTAIN),
    (987_654, "Something new.", FAILED),
]


@pytest.mark.parametrize(("code", "message", "effect"), ITEMS)
async def test_one_item_that_is_refused_and_the_others_are_recorded(
    seed: Seed, delivery: Delivering, oracle: Oracle, code: int, message: str, effect: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    fault = {"kind": "item_errors", "error_code": code, "message": message, "recipients": ["reader-2@example.com"]}
    oracle.fault(fault)
    await delivery.send_one_chunk()
    progress = seed.progress(issue_id)
    one = {STOPS_ALL: "pending", STOPS_ISSUE: "pending", WAITS: "pending"}.get(effect, effect)
    assert progress.counts == {"accepted": 2, one: 1}
    outcomes = seed.outcomes(issue_id)
    assert (outcomes[1], outcomes[3]) == ("accepted", "accepted")
    assert (progress.state == "paused") == (effect == STOPS_ISSUE)
    [(reason,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert (reason is not None) == (effect == STOPS_ALL)
    alone = [row[0] for row in seed.execute("SELECT status FROM delivery.single_mail")]
    assert alone == {WAITS: ["pending"], UNCERTAIN: ["uncertain"]}.get(effect, [])
    assert seed.count("delivery.suppression") == (effect == SUPPRESSED)
    assert oracle.sends() == {"reader-1@example.com": 1, "reader-3@example.com": 1}
    # Whatever it was, a person who resumes after it was put right loses nobody and doubles nobody.
    oracle.heal()
    seed.execute("UPDATE delivery.sending_state SET paused_at = NULL, pause_reason = NULL")
    seed.execute("UPDATE delivery.issue_run SET state = 'open', pause_reason = NULL WHERE state = 'paused'")
    seed.execute("UPDATE delivery.single_mail SET run_at = now()")
    seed.execute("UPDATE delivery.delivery_chunk SET run_at = now()")
    await delivery.send_all_due()
    assert set(oracle.sends().values()) == {1}
    assert len(oracle.sends()) == (3 if one == "pending" else 2)
