"""Send a claimed chunk: compose, commit to the call, call, and store the outcome of every delivery."""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import assert_never

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.process.tracing import enter_trace, start_trace
from broadsheet_delivery.composing.compose_batch import TOO_LARGE_ALONE, Prepared, compose_batch
from broadsheet_delivery.composing.issue_content import IssueContent
from broadsheet_delivery.composing.render_counts import IssueFailsError
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.judge_item import judge_item
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk
from broadsheet_delivery.queue.interface import (
    LeasedChunk,
    Settled,
    end_attempt,
    hand_over,
    insert_attempt,
    insert_attempt_end,
    insert_outcomes,
    no_longer_sendable,
    range_of,
    release_chunk,
    settle_uncertain,
    split_attempted_chunk,
    split_leased_chunk,
    start_chunk,
)
from broadsheet_delivery.queue.outcome import (
    Accepted,
    AskAlone,
    Excluded,
    Failed,
    RetryAlone,
    StopIssue,
    StopSending,
    Suppressed,
)
from broadsheet_delivery.reports.interface import note_tracking
from broadsheet_delivery.sending.persist import persist
from broadsheet_delivery.sending.place import Place
from broadsheet_delivery.sending.send_batch import LEASE_TOO_SHORT, send_batch, slows_everyone
from broadsheet_delivery.suppressions.suppress_refused import suppress
from broadsheet_delivery.throttle.back_off import retry_wait_s, search_wait_s
from broadsheet_delivery.throttle.interface import (
    end_probe,
    note_answered,
    note_refused,
    note_unknown,
    pause_issue,
    pause_sending,
)


async def send_chunk(context: DeliveryContext, claimed: ClaimedChunk, place: Place | None = None) -> None:
    """All steps for one chunk. If this fails, the chunk is found when its lease runs out."""
    enter_trace(start_trace(claimed.chunk.traceparent, None))
    attempt_id = uuid.uuid4()
    chunk = claimed.chunk
    try:
        composed = await compose_batch(context, claimed.content, claimed.recipients, attempt_id)
    except IssueFailsError as error:
        await _pause(context, chunk, reason=str(error))
        return
    if composed.reached < len(claimed.recipients):
        chunk = await _cut(context, chunk, last_seq=claimed.recipients[composed.reached - 1].seq)
    settled = [Settled(recipient.seq, outcome) for recipient, outcome in composed.settled]
    if composed.tracks_opens or composed.tracks_links:
        # In a commit of its own, before the lease is used: it locks the issue's row the first time.
        async with context.engine.begin() as connection:
            await note_tracking(
                connection,
                issue_id=chunk.issue_id,
                tracks_opens=composed.tracks_opens,
                tracks_links=composed.tracks_links,
            )
    began_s = boot_time_s()
    started = await _start(context, chunk, claimed.content, composed.prepared, settled, attempt_id)
    if started is None:
        return
    prepared, settled = started
    result = await send_batch(
        context,
        [one.encoded for one in prepared],
        lease_began_s=began_s,
        token=chunk.token,
        place=place,
    )
    await persist(
        context,
        lambda connection: _record(context, connection, chunk, claimed.content, prepared, settled, attempt_id, result),
    )


async def _pause(context: DeliveryContext, chunk: LeasedChunk, *, reason: str) -> None:
    """Nothing was sent and nothing is recorded: the deliveries are tried again when the issue is resumed."""
    async with context.engine.begin() as connection:
        await end_probe(connection, token=chunk.token)
        if not await pause_issue(connection, issue_id=chunk.issue_id, reason=reason):
            # The issue is already paused or cancelled.
            await release_chunk(connection, chunk)
    context.log.error("delivery.issue_fails", issue_id=chunk.issue_id)


async def _cut(context: DeliveryContext, chunk: LeasedChunk, *, last_seq: int) -> LeasedChunk:
    async with context.engine.begin() as connection:
        await split_leased_chunk(connection, chunk, last_seq=last_seq)
    return msgspec.structs.replace(chunk, last_seq=last_seq)


async def _start(
    context: DeliveryContext,
    chunk: LeasedChunk,
    content: IssueContent,
    prepared: Sequence[Prepared],
    settled: Sequence[Settled],
    attempt_id: uuid.UUID,
) -> tuple[list[Prepared], list[Settled]] | None:
    """Commit to the call, or end the chunk if nobody is left to send to. None: no call is to be made."""
    async with context.engine.begin() as connection:
        # The last check before the call: who unsubscribed since the claim gets nothing.
        gone = await no_longer_sendable(
            connection,
            newsletter_id=chunk.newsletter_id,
            stream=content.stream,
            subscriber_ids=[one.recipient.subscriber_id for one in prepared],
        )
        going = [one for one in prepared if one.recipient.subscriber_id not in gone]
        all_settled = [
            *settled,
            *(
                Settled(one.recipient.seq, gone[one.recipient.subscriber_id])
                for one in prepared
                if one.recipient.subscriber_id in gone
            ),
        ]
        if not going:
            await insert_outcomes(connection, issue_id=chunk.issue_id, attempt_id=None, settled=all_settled)
            # In the lock order of a pause: the sending state, then chunks.
            await end_probe(connection, token=chunk.token)
            await release_chunk(connection, chunk)
            _count_outcomes(context, all_settled)
            return None
        if not await start_chunk(connection, chunk, attempt_id=attempt_id, lease=context.lease):
            # Paused, backing off, or too late: if the lease is still ours, give the chunk back.
            await end_probe(connection, token=chunk.token)
            await release_chunk(connection, chunk)
            return None
        await insert_attempt(
            connection,
            attempt_id=attempt_id,
            lane="newsletter",
            stream=content.stream,
            replica_id=context.replica.id,
            message_count=len(going),
            issue_id=chunk.issue_id,
            chunk_id=chunk.id,
            seqs=[one.recipient.seq for one in going],
        )
    return going, all_settled


async def _record(
    context: DeliveryContext,
    connection: AsyncConnection,
    chunk: LeasedChunk,
    content: IssueContent,
    prepared: Sequence[Prepared],
    settled: Sequence[Settled],
    attempt_id: uuid.UUID,
    result: CallResult,
) -> None:
    """Store the result in the caller's transaction. Safe to repeat if that one fails."""
    await insert_outcomes(connection, issue_id=chunk.issue_id, attempt_id=None, settled=settled)
    match result:
        case Answered():
            await _record_answer(context, connection, chunk, content, prepared, attempt_id, result)
        case NotSent():
            await _record_not_sent(context, connection, chunk, prepared, attempt_id, result)
        case Unknown():
            await insert_attempt_end(
                connection,
                attempt_id=attempt_id,
                verdict="uncertain",
                http_status=result.status,
                error_code=result.error_code,
                detail=result.reason,
            )
            await end_attempt(connection, chunk, status="uncertain", wait_s=search_wait_s(0, context.random))
            if not result.slow:
                await note_unknown(context, connection, token=chunk.token, reason=result.reason)
        case _:
            assert_never(result)


async def _record_answer(
    context: DeliveryContext,
    connection: AsyncConnection,
    chunk: LeasedChunk,
    content: IssueContent,
    prepared: Sequence[Prepared],
    attempt_id: uuid.UUID,
    answer: Answered,
) -> None:
    settled: list[Settled] = []
    suppressed: list[tuple[str, str]] = []
    retry: list[int] = []
    ask: list[int] = []
    accepted_count = 0
    for one, item in zip(prepared, answer.items, strict=True):
        seq = one.recipient.seq
        verdict = judge_item(item)
        match verdict:
            case Accepted():
                accepted_count += 1
                settled.append(Settled(seq, verdict))
            case Failed() | Excluded():
                settled.append(Settled(seq, verdict))
            case Suppressed():
                settled.append(Settled(seq, verdict))
                # By position, never by the addresses in Postmark's text: those have come back empty.
                suppressed.append((one.recipient.email or "", verdict.reason))
            case RetryAlone():
                retry.append(seq)
            case AskAlone():
                ask.append(seq)
            case StopIssue(reason):
                await pause_issue(connection, issue_id=chunk.issue_id, reason=reason)
            case StopSending(reason):
                await pause_sending(connection, reason=reason)
            case _:
                assert_never(verdict)
    await insert_outcomes(connection, issue_id=chunk.issue_id, attempt_id=attempt_id, settled=settled)
    await suppress(connection, context.address_hasher, stream=content.stream, addresses=suppressed, source="send")
    wait_s = retry_wait_s(chunk.attempt_count, context.random)
    await hand_over(connection, chunk, seqs=retry, attempt_id=attempt_id, uncertain=False, wait_s=wait_s)
    await hand_over(connection, chunk, seqs=ask, attempt_id=attempt_id, uncertain=True, wait_s=wait_s)
    await insert_attempt_end(
        connection, attempt_id=attempt_id, verdict="answered", http_status=200, accepted_count=accepted_count
    )
    await note_answered(connection, token=chunk.token)
    if not await end_attempt(connection, chunk, status="pending", wait_s=wait_s):
        # The lease had run out and the chunk was rescued. The answer is true all the same and has been stored; if the
        # chunk is still uncertain, it may be settled now.
        context.log.warning("delivery.late_answer", chunk_id=chunk.id, issue_id=chunk.issue_id)
        await settle_uncertain(connection, range_of(chunk), attempt_id=attempt_id, still_uncertain=True, wait_s=wait_s)
    _count_outcomes(context, settled)


async def _record_not_sent(
    context: DeliveryContext,
    connection: AsyncConnection,
    chunk: LeasedChunk,
    prepared: Sequence[Prepared],
    attempt_id: uuid.UUID,
    result: NotSent,
) -> None:
    wait_s = retry_wait_s(chunk.attempt_count, context.random, retry_after_s=result.retry_after_s)
    match result.error_class:
        case ErrorClass.TRANSIENT:
            if slows_everyone(result):
                await note_refused(context, connection, result)
            elif result.reason == LEASE_TOO_SHORT:
                await end_probe(connection, token=chunk.token)
                wait_s = 0.0
        case ErrorClass.ACCOUNT:
            await pause_sending(connection, reason=result.reason)
            wait_s = 0.0
        case ErrorClass.TOO_LARGE:
            wait_s = 0.0
            if len(prepared) == 1:
                await insert_outcomes(
                    connection,
                    issue_id=chunk.issue_id,
                    attempt_id=attempt_id,
                    settled=[Settled(prepared[0].recipient.seq, Failed(TOO_LARGE_ALONE, result.error_code))],
                )
            else:
                middle = prepared[(len(prepared) - 1) // 2].recipient.seq
                if await split_attempted_chunk(connection, chunk, last_seq=middle):
                    chunk = msgspec.structs.replace(chunk, last_seq=middle)
        case _:
            await pause_issue(connection, issue_id=chunk.issue_id, reason=result.reason)
            wait_s = 0.0
    await insert_attempt_end(
        connection,
        attempt_id=attempt_id,
        verdict="not_sent",
        http_status=result.status,
        error_code=result.error_code,
        detail=result.reason,
    )
    await end_attempt(connection, chunk, status="pending", wait_s=wait_s)


def _count_outcomes(context: DeliveryContext, settled: Sequence[Settled]) -> None:
    for outcome, count in Counter(type(one.outcome).__name__.lower() for one in settled).items():
        context.metrics.mails.labels("newsletter", outcome).inc(count)
