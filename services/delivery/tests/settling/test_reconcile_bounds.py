"""A search that hangs, or answers what does not add up, leaves the doubt in place and holds nothing else up."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from broadsheet_delivery.postmark.client import PostmarkClient
from broadsheet_delivery.settling.reconcile import ASKED_AT_ONCE_MAX, ATTEMPTS_A_ROUND_MAX, park_overdue, reconcile
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import Delivering, running_worker
from harness.oracle import Oracle
from harness.queue.queue_time import age_attempts, make_due
from harness.seeding import Seed
from harness.waiting import eventually

SEARCH = {"match": {"path": "/messages/outbound"}}


async def lose(seed: Seed, delivery: Delivering, oracle: Oracle, *, calls: int, readers: int = 1) -> list[int]:
    """So many issues, each with one call whose answer was lost and whose mails were not accepted."""
    people = seed.subscribers(readers)
    issues = [seed.published_issue(people, title=f"Issue {number}") for number in range(calls)]
    oracle.fault({"kind": "drop_before"})
    for _ in range(calls):
        assert await delivery.send_one_chunk()
        seed.execute("UPDATE delivery.sending_state SET back_off_until = '-infinity', back_off_count = 0")
    oracle.heal()
    make_due(seed)
    return issues


def parked(seed: Seed) -> int:
    return seed.count("delivery.delivery_chunk", "parked_at IS NOT NULL")


async def asking(delivery: Delivering, answer: Callable[[httpx.Request], Any]) -> int:
    """One round of a replica whose Postmark is `answer`."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client:
        client = PostmarkClient(http_client, base_url="http://postmark", token="secret", call_timeout_s=60.0)
        return await reconcile(msgspec.structs.replace(delivery.context, postmark=client))


async def test_calls_are_asked_about_side_by_side_and_no_more_than_some_at_once(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    await lose(seed, delivery, oracle, calls=ATTEMPTS_A_ROUND_MAX)
    under_way = most = asked = 0
    together = asyncio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal under_way, most, asked
        under_way, asked = under_way + 1, asked + 1
        most = max(most, under_way)
        if under_way == ASKED_AT_ONCE_MAX:
            together.set()
        # One after another, the first would wait for ever.
        await together.wait()
        under_way -= 1
        return httpx.Response(200, json={"TotalCount": 0, "Messages": []})

    assert await asking(delivery, answer) == ATTEMPTS_A_ROUND_MAX
    assert (asked, most) == (ATTEMPTS_A_ROUND_MAX, ASKED_AT_ONCE_MAX)


async def test_the_deadline_parks_while_the_search_hangs(seed: Seed, delivery: Delivering, oracle: Oracle) -> None:
    calls = ATTEMPTS_A_ROUND_MAX + 3
    await lose(seed, delivery, oracle, calls=calls)
    asked = asyncio.Event()
    never = asyncio.Event()

    async def hang(_: httpx.Request) -> httpx.Response:
        asked.set()
        await never.wait()
        raise AssertionError

    assert await park_overdue(delivery.context) == 0
    age_attempts(seed)
    round_ = asyncio.create_task(asking(delivery, hang))
    try:
        await asked.wait()
        assert await park_overdue(delivery.context) == calls
        assert parked(seed) == calls
        assert await park_overdue(delivery.context) == 0
    finally:
        round_.cancel()
        await asyncio.gather(round_, return_exceptions=True)
    assert oracle.messages() == []


async def test_what_was_parked_in_time_is_still_asked_about_and_settled(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    issue_id = seed.published_issue(seed.subscribers(3))
    oracle.fault({"kind": "drop_after", "count": 1})
    await delivery.send_all_due()
    age_attempts(seed)
    assert await park_overdue(delivery.context) == 1
    make_due(seed)
    await delivery.reconcile()
    assert parked(seed) == 0
    assert seed.progress(issue_id).counts == {"accepted": 3}


async def test_a_replica_parks_by_itself_though_every_search_hangs(
    database: Database, seed: Seed, delivery: Delivering, sandbox: RunningSandbox, oracle: Oracle
) -> None:
    issues = await lose(seed, delivery, oracle, calls=3)
    age_attempts(seed)
    oracle.fault({"kind": "hang", **SEARCH})
    async with running_worker(
        database, sandbox.base_url, sandbox.token, delivery_http_timeout_s=60.0, delivery_lease_s=90.0, drain_s=0.1
    ):
        await eventually(lambda: parked(seed) == 3, within_s=30.0)
    assert all(seed.progress(issue_id).counts == {"uncertain": 1} for issue_id in issues)


async def test_one_call_that_cannot_be_settled_keeps_no_other_from_it(
    seed: Seed, delivery: Delivering, oracle: Oracle
) -> None:
    await lose(seed, delivery, oracle, calls=4)
    [(poison,)] = seed.execute("SELECT attempt_id FROM delivery.delivery_chunk ORDER BY id LIMIT 1")

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params["metadata_bs_attempt"] == str(poison):
            raise RuntimeError("unforeseen")
        return httpx.Response(200, json={"TotalCount": 0, "Messages": []})

    with pytest.raises(RuntimeError, match="unforeseen"):
        await asking(delivery, answer)
    assert seed.execute("SELECT attempt_id FROM delivery.delivery_chunk WHERE reconcile_count = 0") == [(poison,)]


def _answer_of(kind: str, request: httpx.Request) -> dict[str, object]:
    """About the canary the truth; about the call in question, nothing that adds up."""
    attempt = request.url.params["metadata_bs_attempt"]
    stream = request.url.params["messagestream"]

    def row(number: int, *, of_stream: str = stream) -> dict[str, object]:
        metadata = {"bs_attempt": attempt, "bs_delivery": f"0-{number}"}
        message_id = str(uuid.UUID(int=number))
        return {"MessageID": message_id, "MessageStream": of_stream, "Metadata": metadata, "Recipients": []}

    match kind:
        case "fewer rows":
            return {"TotalCount": 2, "Messages": [row(1)]}
        case "no rows":
            return {"TotalCount": 2, "Messages": []}
        case "a count over 500":
            return {"TotalCount": 700, "Messages": [row(number) for number in range(1, 501)]}
        case "another stream":
            return {"TotalCount": 1, "Messages": [row(1, of_stream="outbound")]}
        case "no count":
            return {"Messages": []}
        case _:
            return {"TotalCount": 1, "Messages": [row(1)]}


@pytest.mark.parametrize("kind", ["fewer rows", "no rows", "a count over 500", "another stream", "no count"])
async def test_a_search_that_does_not_add_up_leaves_the_doubt_in_place(
    seed: Seed, delivery: Delivering, oracle: Oracle, kind: str
) -> None:
    [issue_id] = await lose(seed, delivery, oracle, calls=1, readers=2)
    [(lost,)] = seed.execute("SELECT attempt_id FROM delivery.delivery_chunk")
    age_attempts(seed)
    seed.published_issue(seed.subscribers(1, prefix="later"), title="A later issue")
    assert await delivery.send_one_chunk()

    def answer(request: httpx.Request) -> httpx.Response:
        about_lost = request.url.params["metadata_bs_attempt"] == str(lost)
        return httpx.Response(200, json=_answer_of(kind if about_lost else "canary", request))

    assert await asking(delivery, answer) == 1
    assert seed.progress(issue_id).counts == {"uncertain": 2}
    # The same round with a search that adds up, and shows nothing of the call: it goes again.
    make_due(seed)
    await delivery.reconcile()
    assert seed.progress(issue_id).counts == {"pending": 2}


@pytest.mark.parametrize("kind", ["fewer rows", "no rows", "a count over 500", "another stream", "no count"])
async def test_a_canary_is_not_seen_in_a_search_that_does_not_add_up(
    seed: Seed, delivery: Delivering, oracle: Oracle, kind: str
) -> None:
    [issue_id] = await lose(seed, delivery, oracle, calls=1, readers=2)
    [(lost,)] = seed.execute("SELECT attempt_id FROM delivery.delivery_chunk")
    age_attempts(seed)
    seed.published_issue(seed.subscribers(1, prefix="later"), title="A later issue")
    assert await delivery.send_one_chunk()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params["metadata_bs_attempt"] == str(lost):
            return httpx.Response(200, json={"TotalCount": 0, "Messages": []})
        return httpx.Response(200, json=_answer_of(kind, request))

    assert await asking(delivery, answer) == 1
    assert seed.progress(issue_id).counts == {"uncertain": 2}
