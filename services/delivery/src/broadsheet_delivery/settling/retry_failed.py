"""Send the failed deliveries of an issue again: those certainly not sent, and not given up by an operator.

Their outcomes are moved into the history, and they become pending. Bounded transactions, each complete in itself:
after a crash the rest is still failed, and can be retried again. A finished issue reopens with the first.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By
from broadsheet_common.http.problems import NotFoundError
from broadsheet_delivery.retention.interface import RemovedError
from broadsheet_delivery.settling.chunk_rounds_store import MAILS_A_ROUND_MAX, pick_failed_chunks, recount_chunks
from broadsheet_delivery.settling.decide_uncertain import CancelledError
from broadsheet_delivery.settling.decision_store import (
    archive_failed,
    lock_run,
    pick_failed_mails,
    record_decision,
    reopen_mails,
    reopen_run,
    wake_senders,
)
from broadsheet_delivery.settling.record_step import record_step

ROUNDS_MAX = 10_000


class _Position(msgspec.Struct, frozen=True):
    first_seq: int = 0
    mail_id: int = 0


async def retry_failed(engine: AsyncEngine, *, issue_id: int, by: By) -> int:
    """Returns how many deliveries are pending again.

    Raises:
        NotFoundError: the issue was never published.
        CancelledError
        RemovedError: the issue is so old that its working rows were removed.
    """
    retried = 0
    position = _Position()
    for _ in range(ROUNDS_MAX):
        async with engine.begin() as connection:
            count, reached = await _retry_round(connection, issue_id, by, position)
        retried += count
        if reached == position:
            break
        position = reached
    return retried


async def _retry_round(
    connection: AsyncConnection, issue_id: int, by: By, position: _Position
) -> tuple[int, _Position]:
    run = await lock_run(connection, issue_id=issue_id)
    if run is None:
        raise NotFoundError("No issue with this id has been published.")
    if run.state == "cancelled":
        raise CancelledError
    if not run.work_is_kept:
        raise RemovedError("The issue ended too long ago to be sent on.")
    chunks = await pick_failed_chunks(connection, issue_id=issue_id, after_first_seq=position.first_seq)
    mails = await pick_failed_mails(connection, issue_id=issue_id, after_id=position.mail_id, limit=MAILS_A_ROUND_MAX)
    reached = _Position(chunks.last_first_seq, mails[-1][0] if mails else position.mail_id)
    seqs = [*chunks.seqs, *(seq for _, seq in mails)]
    if not seqs:
        return 0, reached
    decision_id = await record_decision(
        connection, issue_id=issue_id, action="retry_failed", seqs=seqs, decided_by=by.subject, note=None
    )
    archived = await archive_failed(connection, issue_id=issue_id, seqs=seqs, decision_id=decision_id)
    await record_step(connection, by, "issue.failed_retried", issue_id, after={"deliveries": len(archived)})
    await reopen_mails(connection, ids=[mail_id for mail_id, _ in mails])
    await recount_chunks(connection, ids=chunks.ids, status="pending")
    await reopen_run(connection, issue_id=issue_id)
    await wake_senders(connection, issue_id=issue_id)
    return len(archived), reached
