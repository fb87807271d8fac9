"""An operator's decision on parked deliveries: those that may or may not have been sent, and were not settled in
time.

mark_sent and give_up settle them; send_again makes them pending, at the risk that somebody gets the mail twice. A
decision applies to what is parked at that moment: one that comes after something else settled it changes nothing.
"""

from typing import Literal, assert_never

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import By, record_audit
from broadsheet_common.http.idempotency import UNFINISHED, RepeatableRequest, replay_body
from broadsheet_common.http.problems import ConflictError, NotFoundError
from broadsheet_delivery.settling.chunk_rounds_store import MAILS_A_ROUND_MAX, pick_parked_chunks, recount_chunks
from broadsheet_delivery.settling.decision_store import (
    Choice,
    insert_decided_outcomes,
    lock_parked_delivery,
    pick_parked_mails,
    record_decision,
    send_alone_again,
    send_mails_again,
    settle_decided_mails,
    wake_senders,
)
from broadsheet_delivery.settling.record_step import record_step
from broadsheet_delivery.throttle.interface import issue_run_state, newsletter_of_issue_run

ROUNDS_MAX = 1000


class _Progress(msgspec.Struct, frozen=True):
    """How many are decided."""

    decided: int = 0


class NotParkedError(ConflictError):
    slug, title = "not-parked", "Nothing here is uncertain and waits for a decision"


class CancelledError(ConflictError):
    slug, title = "issue-cancelled", "The issue was cancelled"


async def decide_delivery(
    connection: AsyncConnection, *, issue_id: int, seq: int, choice: Choice, by: By, note: str | None
) -> None:
    """In the caller's transaction. Raises NotFoundError, NotParkedError, CancelledError."""
    await _check(connection, issue_id=issue_id, choice=choice)
    parked = await lock_parked_delivery(connection, issue_id=issue_id, seq=seq)
    if parked is None:
        raise NotParkedError
    decision_id = await record_decision(
        connection, issue_id=issue_id, action=choice, seqs=[seq], decided_by=by.subject, note=note
    )
    await record_audit(
        connection,
        by,
        "delivery.decided",
        f"{issue_id}-{seq}",
        newsletter_id=await newsletter_of_issue_run(connection, issue_id=issue_id),
        after={"issue_id": issue_id, "choice": choice},
    )
    mail_ids = [parked.mail_id] if parked.mail_id is not None else []
    if choice != "send_again":
        await _settle(connection, issue_id, [seq], mail_ids, choice, by.subject, decision_id)
    elif mail_ids:
        await send_mails_again(connection, ids=mail_ids)
    else:
        await send_alone_again(connection, issue_id=issue_id, seq=seq)
    if not mail_ids:
        await recount_chunks(connection, ids=[parked.chunk_id], status="uncertain")
    await wake_senders(connection, issue_id=issue_id)


async def decide_issue(
    engine: AsyncEngine,
    *,
    issue_id: int,
    choice: Choice,
    by: By,
    note: str | None,
    request: RepeatableRequest | None = None,
) -> int:
    """Everything of the issue that is parked, in bounded transactions. Returns how many deliveries.

    Each transaction is complete in itself: after a crash the rest is still parked, and can be decided again.

    Raises:
        NotFoundError, NotParkedError, CancelledError
        IdempotencyKeyReusedError, IdempotencyInFlightError: of the `request`.
    """
    progress = _Progress()
    for _ in range(ROUNDS_MAX):
        async with engine.begin() as connection:
            kept = None if request is None else await request.first_answer(connection)
            if kept is not None:
                progress = replay_body(kept, _Progress)
                if kept.status != UNFINISHED:
                    break
            count = await _decide_round(connection, issue_id, choice, by, note)
            progress = _Progress(progress.decided + count)
            if progress.decided == 0:
                raise NotParkedError
            if request is not None:
                await request.keep(connection, status=UNFINISHED if count else 200, body=progress)
        if count == 0:
            break
    return progress.decided


async def _decide_round(connection: AsyncConnection, issue_id: int, choice: Choice, by: By, note: str | None) -> int:
    await _check(connection, issue_id=issue_id, choice=choice)
    chunks = await pick_parked_chunks(connection, issue_id=issue_id)
    mails = await pick_parked_mails(connection, issue_id=issue_id, limit=MAILS_A_ROUND_MAX)
    seqs = [*chunks.seqs, *mails.values()]
    if not seqs:
        return 0
    decision_id = await record_decision(
        connection, issue_id=issue_id, action=choice, seqs=seqs, decided_by=by.subject, note=note
    )
    await record_step(
        connection, by, "issue.uncertain_decided", issue_id, after={"choice": choice, "deliveries": len(seqs)}
    )
    if choice == "send_again":
        await send_mails_again(connection, ids=list(mails))
    else:
        await _settle(connection, issue_id, seqs, list(mails), choice, by.subject, decision_id)
    await recount_chunks(connection, ids=chunks.ids, status="pending")
    await wake_senders(connection, issue_id=issue_id)
    return len(seqs)


async def _check(connection: AsyncConnection, *, issue_id: int, choice: Choice) -> None:
    state = await issue_run_state(connection, issue_id=issue_id)
    if state is None:
        raise NotFoundError("No issue with this id has been published.")
    if state == "cancelled" and choice == "send_again":
        raise CancelledError("Nothing of it is sent any more; mark the delivery as sent, or give it up.")


async def _settle(
    connection: AsyncConnection,
    issue_id: int,
    seqs: list[int],
    mail_ids: list[int],
    choice: Choice,
    decided_by: str,
    decision_id: int,
) -> None:
    outcome: Literal["accepted", "failed"]
    match choice:
        case "mark_sent":
            reason = f"Marked as sent by {decided_by}."
            outcome = "accepted"
        case "give_up":
            reason = f"Given up by {decided_by}."
            outcome = "failed"
        case "send_again":
            raise AssertionError("sending again settles nothing")
        case _:
            assert_never(choice)
    await settle_decided_mails(connection, ids=mail_ids, status=outcome, reason=reason)
    await insert_decided_outcomes(
        connection, issue_id=issue_id, seqs=seqs, outcome=outcome, reason=reason, decision_id=decision_id
    )
