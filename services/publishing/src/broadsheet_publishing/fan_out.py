"""Fan an issue out: enqueue a delivery for everybody in its audience, one page a transaction.

The audience is frozen: who was confirmed when the issue was published, in the order of subscriber ids. The cursor
moves in the transaction that enqueues, so that a crash at any moment neither skips nor repeats anybody, and any
process may go on where another stopped.
"""

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.queue import close_fan_out
from broadsheet_publishing import store


class Enqueued(msgspec.Struct, frozen=True):
    """One page is in the queue, and there may be more."""

    issue_id: int
    count: int


class Finished(msgspec.Struct, frozen=True):
    """The last page, `count` subscribers, is in the queue."""

    issue_id: int
    count: int


class NothingToDo(msgspec.Struct, frozen=True):
    """No fan-out is open, or other workers have every one."""


Step = Enqueued | Finished | NothingToDo


class FanOutFailedError(Exception):
    """A step of this issue failed and changed nothing; the cause is chained."""

    def __init__(self, issue_id: int) -> None:
        super().__init__(f"the fan-out of issue {issue_id} failed")
        self.issue_id = issue_id


async def fan_out_step(engine: AsyncEngine, *, page_rows: int, resting_issue_ids: frozenset[int] = frozenset()) -> Step:
    """One transaction: the next page of some open fan-out, other than the resting ones.

    Raises:
        FanOutFailedError: the step of a certain issue failed.
        SQLAlchemyError, OSError: the database does not answer.
    """
    async with engine.begin() as connection:
        fan_out = await store.lock_open_fan_out(connection, resting_issue_ids=sorted(resting_issue_ids))
        if fan_out is None:
            return NothingToDo()
        try:
            return await _enqueue_next_page(connection, fan_out, page_rows=page_rows)
        except SQLAlchemyError as error:
            raise FanOutFailedError(fan_out.issue_id) from error


async def _enqueue_next_page(
    connection: AsyncConnection, fan_out: store.OpenFanOut, *, page_rows: int
) -> Enqueued | Finished:
    page = await store.enqueue_page(connection, fan_out, page_rows=page_rows)
    if page.count == page_rows:
        return Enqueued(fan_out.issue_id, page.count)
    await close_fan_out(connection, issue_id=fan_out.issue_id)
    await store.set_fan_out_finished(connection, fan_out.issue_id)
    return Finished(fan_out.issue_id, page.count)
