"""Send the failed deliveries of an issue again: those certainly not sent, and not given up by an operator.

Their outcomes are moved into the history, and they become pending. Bounded transactions, each complete in itself:
after a crash the rest is still failed, and can be retried again. A finished issue reopens with the first.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By
from broadsheet_common.http.idempotency import UNFINISHED, RepeatableRequest, replay_body
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


class _Progress(msgspec.Struct, frozen=True):
    """How many are pending again, and up to where chunks and single mails were looked at."""

    retried: int = 0
    first_seq: int = 0
    mail_id: int = 0


async def retry_failed(engine: AsyncEngine, *, issue_id: int, by: By, request: RepeatableRequest | None = None) -> int:
    """Returns how many deliveries are pending again.

    Raises:
        NotFoundError: the issue was never published.
        CancelledError
        RemovedError: the issue is so old that its working rows were removed.
        IdempotencyKeyReusedError, IdempotencyInFlightError: of the `request`.
    """
    progress = _Progress()
    for _ in range(ROUNDS_MAX):
        async with engine.begin() as connection:
            kept = None if request is None else await request.first_answer(connection)
            if kept is not None:
                progress = replay_body(kept, _Progress)
                if kept.status != UNFINISHED:
                    return progress.retried
            reached = await _retry_round(connection, issue_id, by, progress)
            is_done = (reached.first_seq, reached.mail_id) == (progress.first_seq, progress.mail_id)
            if request is not None:
                await request.keep(connection, status=200 if is_done else UNFINISHED, body=reached)
        progress = reached
        if is_done:
            break
    return progress.retried


async def _retry_round(connection: AsyncConnection, issue_id: int, by: By, position: _Progress) -> _Progress:
    run = await lock_run(connection, issue_id=issue_id)
    if run is None:
        raise NotFoundError("No issue with this id has been published.")
    if run.state == "cancelled":
        raise CancelledError
    if not run.work_is_kept:
        raise RemovedError("The issue ended too long ago to be sent on.")
    chunks = await pick_failed_chunks(connection, issue_id=issue_id, after_first_seq=position.first_seq)
    mails = await pick_failed_mails(connection, issue_id=issue_id, after_id=position.mail_id, limit=MAILS_A_ROUND_MAX)
    last_mail_id = mails[-1][0] if mails else position.mail_id
    seqs = [*chunks.seqs, *(seq for _, seq in mails)]
    if not seqs:
        return _Progress(position.retried, chunks.last_first_seq, last_mail_id)
    decision_id = await record_decision(
        connection, issue_id=issue_id, action="retry_failed", seqs=seqs, decided_by=by.subject, note=None
    )
    archived = await archive_failed(connection, issue_id=issue_id, seqs=seqs, decision_id=decision_id)
    await record_step(connection, by, "issue.failed_retried", issue_id, after={"deliveries": len(archived)})
    await reopen_mails(connection, ids=[mail_id for mail_id, _ in mails])
    await recount_chunks(connection, ids=chunks.ids, status="pending")
    await reopen_run(connection, issue_id=issue_id)
    await wake_senders(connection, issue_id=issue_id)
    return _Progress(position.retried + len(archived), chunks.last_first_seq, last_mail_id)
