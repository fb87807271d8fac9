"""Somebody else answers for Postmark (a proxy, a gateway), after it accepted or before: nobody gets a mail twice."""

from collections import Counter

import httpx
import pytest

from broadsheet_delivery.throttle.state_store import read_sending_state
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, delivering
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed

STATUSES = (201, 202, 204, 302, 400, 401, 403, 404, 409, 413, 415, 418, 422, 429, 451, 499, 502, 503)
PAGES = {"none": "", "HTML": "<html><body><h1>No.</h1></body></html>", "foreign JSON": '{"error":"no","code":413}'}


def foreign(status: int, page: str, *, accept: bool) -> dict[str, object]:
    return {"kind": "status", "status": status, "body": PAGES[page], "content_type": "text/html", "accept": accept}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("status", STATUSES)
async def test_an_accepted_batch_that_another_answered_for_is_asked_about_and_not_sent_again(
    seed: Seed, delivery: Delivering, oracle: Oracle, status: int, page: str
) -> None:
    issue_id = seed.published_issue(seed.subscribers(4))
    oracle.fault({**foreign(status, page, accept=True), "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 4}
    assert seed.progress(issue_id).state == "open"
    # A 204 with a page spoils its connection, and with it the first question that is asked on it.
    for _ in range(2):
        make_due(seed)
        await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 4}
    assert set(oracle.sends().values()) == {1}


@pytest.mark.parametrize("status", [302, 403, 413])
async def test_a_batch_that_another_refused_goes_once_when_the_search_has_shown_a_later_mail(
    seed: Seed, delivery: Delivering, oracle: Oracle, status: int
) -> None:
    readers = seed.subscribers(4)
    issue_id = seed.published_issue(readers)
    oracle.fault({**foreign(status, "HTML", accept=False), "count": 1})
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"uncertain": 4}
    age_attempts(seed)
    seed.published_issue(readers[:1], title="A later issue")
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 4}
    by_issue = Counter((one.subject, one.to) for one in oracle.messages())
    assert set(by_issue.values()) == {1}


@pytest.mark.parametrize("status", [204, 302, 403, 413])
async def test_a_confirmation_that_another_answered_for_is_found(
    seed: Seed, delivery: Delivering, oracle: Oracle, status: int
) -> None:
    for number in range(2):
        seed.single_mail(f"new-{number}@example.com", dedupe_key=str(number))
    oracle.fault({**foreign(status, "HTML", accept=True), "count": 1})
    await delivery.send_all_due()
    assert seed.execute("SELECT DISTINCT status FROM delivery.single_mail") == [("uncertain",)]
    [(paused,)] = seed.execute("SELECT pause_reason FROM delivery.sending_state")
    assert paused is None
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    assert oracle.sends() == {"new-0@example.com": 1, "new-1@example.com": 1}


async def test_a_proxy_that_answers_everything_opens_the_breaker_instead_of_burning_the_list(
    seed: Seed, delivery: Delivering, oracle: Oracle, delivery_api: httpx.AsyncClient
) -> None:
    """And whatever an operator does then, resuming sends nobody a second mail."""
    people = seed.subscribers(3)
    issues = [seed.published_issue(people, title=f"Issue {number}") for number in range(8)]
    oracle.fault(foreign(302, "HTML", accept=True))
    for _ in range(delivery.context.breaker_failures):
        assert await delivery.send_one_chunk()
    async with delivery.context.engine.connect() as connection:
        state = await read_sending_state(connection, left_when_slow=delivery.context.lease)
    assert state.breaker != "closed"
    assert "HTTP 302, an answer that is not Postmark's" in str(state.reason)
    uncertain = [issue_id for issue_id in issues if seed.progress(issue_id).counts == {"uncertain": 3}]
    assert len(uncertain) == delivery.context.breaker_failures
    for issue_id in issues:
        await delivery_api.post(f"/api/v1/issues/{issue_id}/pause", json={"reason": "Something is wrong."})
    oracle.heal()
    for issue_id in issues:
        assert (await delivery_api.post(f"/api/v1/issues/{issue_id}/resume")).is_success
    assert (await delivery_api.post("/api/v1/senders/resume")).is_success
    await delivery.send_all_due()
    make_due(seed)
    await delivery.reconcile()
    await delivery.send_all_due()
    for issue_id in issues:
        assert seed.progress(issue_id).counts == {"accepted": 3}
    assert set(Counter((one.subject, one.to) for one in oracle.messages()).values()) == {1}
    assert len(oracle.messages()) == 24


async def test_the_page_of_a_proxy_about_a_stream_neither_stops_the_issue_nor_lets_it_begin(
    database: Database, seed: Seed, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    rule = {**foreign(401, "HTML", accept=False), "count": 1, "match": {"path": "/message-streams/.*"}}
    oracle.fault(rule)
    async with delivering(database, sandbox.base_url, sandbox.token) as fresh:
        assert not await fresh.send_one_chunk()
        assert seed.progress(issue_id).state == "open"
        [(paused, error)] = seed.execute(
            "SELECT (SELECT pause_reason FROM delivery.sending_state), preflight_error FROM delivery.issue_run"
        )
        assert (paused, error) == (None, "HTTP 401, an answer that is not Postmark's")
        seed.execute("UPDATE delivery.issue_run SET preflight_due_at = now()")
        await fresh.send_all_due()
    assert seed.progress(issue_id).counts == {"accepted": 3}
