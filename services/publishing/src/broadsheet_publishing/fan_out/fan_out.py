"""Fan an issue out: enqueue a delivery for everybody in its audience, one page a transaction.

The audience is frozen: those confirmed when the issue was published, in the order of subscriber ids. The cursor
moves in the transaction that enqueues, so that a crash at any moment neither skips nor repeats anybody, and any
process may continue where another stopped.

The audience of an issue to a segment is determined by subscriptions first; its fan-out waits until that is
complete, and enqueues only those whose bit is set.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audience import release_audience
from broadsheet_common.contracts.queue import close_fan_out, partition_issue
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_publishing.fan_out import store
from broadsheet_publishing.issues.step_failed import IssueStepFailedError

PARTITION_ABOVE_DEFAULT = 50_000


class Enqueued(msgspec.Struct, frozen=True):
    """One page is in the queue, and there may be more."""

    issue_id: int
    count: int


class Prepared(msgspec.Struct, frozen=True):
    """Nothing is enqueued yet: a large issue is getting partitions of its own."""

    issue_id: int


class Finished(msgspec.Struct, frozen=True):
    """The last page, `count` subscribers, is in the queue."""

    issue_id: int
    count: int


class NothingToDo(msgspec.Struct, frozen=True):
    """No fan-out is open, or other workers have every one."""


Step = Prepared | Enqueued | Finished | NothingToDo


async def fan_out_step(
    engine: AsyncEngine,
    *,
    page_rows: int,
    resting_issue_ids: frozenset[int] = frozenset(),
    partition_above: int = PARTITION_ABOVE_DEFAULT,
) -> Step:
    """One transaction: the next page of some open fan-out, except those that are set aside.

    An issue to more than `partition_above` subscribers first gets partitions of its own, if their locks are free.

    Raises:
        IssueStepFailedError: the step of one issue failed.
        SQLAlchemyError, OSError: the database does not answer.
    """
    async with engine.begin() as connection:
        fan_out = await store.lock_open_fan_out(connection, resting_issue_ids=sorted(resting_issue_ids))
        if fan_out is None:
            return NothingToDo()
        try:
            if fan_out.cursor_subscriber_id == 0 and await _is_being_partitioned(connection, fan_out, partition_above):
                return Prepared(fan_out.issue_id)
            return await _enqueue_next_page(connection, fan_out, page_rows=page_rows)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            raise IssueStepFailedError(fan_out.issue_id, "the fan-out", error) from error


async def _is_being_partitioned(connection: AsyncConnection, fan_out: store.OpenFanOut, above: int) -> bool:
    large = await store.has_more_than(connection, fan_out, count=above)
    # Also if it is not large (any more): partitioning that was begun must be completed.
    return await partition_issue(connection, issue_id=fan_out.issue_id, may_begin=large) not in {"own", "default"}


async def _enqueue_next_page(
    connection: AsyncConnection, fan_out: store.OpenFanOut, *, page_rows: int
) -> Enqueued | Finished:
    # A cancelled issue enqueues nothing: its page is empty, and so its fan-out ends here too.
    page = await store.enqueue_page(connection, fan_out, page_rows=page_rows)
    if page.count == page_rows:
        return Enqueued(fan_out.issue_id, page.count)
    await close_fan_out(connection, issue_id=fan_out.issue_id)
    if fan_out.is_segmented:
        await release_audience(connection, issue_id=fan_out.issue_id)
    await store.set_fan_out_finished(connection, fan_out.issue_id)
    return Finished(fan_out.issue_id, page.count)
