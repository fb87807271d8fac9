"""A pause and the beginning of a call take turns: what is not begun when the pause commits is not begun at all."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.chunk_store import start_chunk
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk
from broadsheet_delivery.queue.single_mail_store import start_mails
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails
from broadsheet_delivery.throttle.state_store import pause_issue, pause_sending
from harness.delivering import Delivering
from harness.oracle import Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed

LANES = ["chunk", "alone"]
HELD_UP = ["everything", "the issue"]
WAIT_MAX_S = 20.0


class Begun:
    """Something claimed, and its start by the statement that begins a call; `paused` holds it up."""

    def __init__(self, delivery: Delivering, issue_id: int, claimed: ClaimedChunk | ClaimedMails) -> None:
        self.delivery, self.issue_id, self.claimed = delivery, issue_id, claimed

    async def start(self, connection: AsyncConnection) -> bool:
        lease = self.delivery.context.lease
        if isinstance(self.claimed, ClaimedChunk):
            return await start_chunk(connection, self.claimed.chunk, attempt_id=uuid.uuid4(), lease=lease)
        started = await start_mails(
            connection,
            ids=[mail.id for mail in self.claimed.mails],
            token=self.claimed.token,
            attempt_id=self.claimed.attempt_id,
            lease=lease,
        )
        return bool(started)

    async def pause(self, connection: AsyncConnection, held_up: str) -> None:
        if held_up == "everything":
            await pause_sending(connection, reason="by hand")
        else:
            assert await pause_issue(connection, issue_id=self.issue_id, reason="by hand")

    async def in_transaction(self, work: Callable[[AsyncConnection], Awaitable[object]]) -> object:
        async with self.delivery.context.engine.begin() as connection:
            return await work(connection)


async def claim(seed: Seed, delivery: Delivering, oracle: Oracle, lane: str, readers: list[int] | None = None) -> Begun:
    issue_id = seed.published_issue(readers or seed.subscribers(1))
    if lane == "alone":
        oracle.fault({"kind": "item_errors", "error_code": 429, "pattern": "reader", "count": 1})
        await delivery.send_one_chunk()
        make_due(seed)
    claimed = await (delivery.claim() if lane == "chunk" else claim_single_mails(delivery.context, "newsletter"))
    assert isinstance(claimed, ClaimedChunk | ClaimedMails)
    return Begun(delivery, issue_id, claimed)


async def until_somebody_waits_for_a_lock(seed: Seed, task: asyncio.Task[object]) -> None:
    async with asyncio.timeout(WAIT_MAX_S):
        while not seed.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            assert not task.done(), "nothing was waited for"
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("held_up", HELD_UP)
async def test_a_start_during_a_pause_waits_for_it_and_begins_nothing(
    seed: Seed, delivery: Delivering, oracle: Oracle, lane: str, held_up: str
) -> None:
    begun = await claim(seed, delivery, oracle, lane)
    async with delivery.context.engine.begin() as pausing:
        await begun.pause(pausing, held_up)
        starting = asyncio.create_task(begun.in_transaction(begun.start))
        await until_somebody_waits_for_a_lock(seed, starting)
    assert await starting is False
    assert seed.progress(begun.issue_id).counts == {"pending": 1}


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("held_up", HELD_UP)
async def test_a_pause_during_a_start_waits_for_it_and_finds_it_under_way(
    seed: Seed, delivery: Delivering, oracle: Oracle, lane: str, held_up: str
) -> None:
    begun = await claim(seed, delivery, oracle, lane)
    async with delivery.context.engine.begin() as starting:
        assert await begun.start(starting)
        pausing = asyncio.create_task(begun.in_transaction(lambda connection: begun.pause(connection, held_up)))
        await until_somebody_waits_for_a_lock(seed, pausing)
    await pausing
    assert seed.progress(begun.issue_id).counts == {"in_flight": 1}


@pytest.mark.parametrize("held_up", HELD_UP)
async def test_a_pause_puts_back_what_was_claimed_and_nothing_of_another_issue(
    seed: Seed, delivery: Delivering, oracle: Oracle, held_up: str
) -> None:
    readers = seed.subscribers(1)
    first = await claim(seed, delivery, oracle, "chunk", readers)
    other = await claim(seed, delivery, oracle, "chunk", readers)
    await first.in_transaction(lambda connection: first.pause(connection, held_up))
    found = seed.execute("SELECT issue_id, status FROM delivery.delivery_chunk ORDER BY issue_id")
    others = "pending" if held_up == "everything" else "leased"
    assert found == [(first.issue_id, "pending"), (other.issue_id, others)]
    # A second pause finds nothing to do, and what is under way stays.
    if held_up == "the issue":
        assert await other.in_transaction(other.start)
        await other.in_transaction(lambda connection: pause_sending(connection, reason="by hand"))
        assert seed.progress(other.issue_id).counts == {"in_flight": 1}
