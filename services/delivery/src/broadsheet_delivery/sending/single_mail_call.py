"""One call of the single-mail lane, whatever its mails are: commit to it, and record what came of it.

Each function runs in its caller's transaction; the call itself is made between two of them.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, assert_never

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.compose_batch import TOO_LARGE_ALONE
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.judge_item import judge_item
from broadsheet_delivery.queue.interface import (
    SettledMail,
    insert_attempt,
    insert_attempt_end,
    put_back,
    settle_mails,
    start_mails,
)
from broadsheet_delivery.queue.outcome import (
    Accepted,
    AskAlone,
    Excluded,
    Failed,
    Outcome,
    RetryAlone,
    StopIssue,
    StopSending,
    Suppressed,
)
from broadsheet_delivery.sending.send_batch import LEASE_TOO_SHORT, slows_everyone
from broadsheet_delivery.suppressions.suppress_refused import suppress
from broadsheet_delivery.throttle.back_off import retry_wait_s, search_wait_s
from broadsheet_delivery.throttle.interface import (
    end_probe,
    note_answered,
    note_refused,
    note_unknown,
    pause_sending,
)

FAULTY_WAIT_S: Final = 60.0
"""Before a mail is tried again that could not be made by a fault of ours."""
SENDER_WAIT_S: Final = 60.0
"""Before a mail is tried again whose newsletter's sender Postmark refused: it may be confirmed meanwhile."""


class SingleMailCall(msgspec.Struct, frozen=True, kw_only=True):
    """`issue_id`: of newsletter mails that were handed over."""

    token: uuid.UUID
    attempt_id: uuid.UUID
    stream: str
    issue_id: int | None = None


class ReadyMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that may go. `seq`: its delivery's, if it is an issue's. `sender_of`: the newsletter from whose own sender
    a transactional mail comes.
    """

    mail_id: int
    attempt_count: int
    address: str
    encoded: bytes
    subscriber_id: int | None = None
    seq: int | None = None
    sender_of: int | None = None


class ComposedMails(msgspec.Struct):
    """`left_over`: ids of mails that did not fit into the call; `faulty`: of those that could not be made."""

    ready: list[ReadyMail] = []
    settled: list[SettledMail] = []
    left_over: list[int] = []
    faulty: list[int] = []


OnStop = Callable[[AsyncConnection, str], Awaitable[None]]


class StopPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What happens where an answer says that mails like these cannot be sent as things are, such as an unknown sender.

    `mail`: it was said of one mail; `call`: of the whole call. Both get the reason. `put_off_s`: how long the mails
    wait at least; 0 where somebody must resume first.
    """

    mail: OnStop
    call: OnStop
    put_off_s: float = 0.0


async def begin_call(
    context: DeliveryContext,
    connection: AsyncConnection,
    call: SingleMailCall,
    composed: ComposedMails,
    *,
    gone: Mapping[int, Outcome],
) -> list[ReadyMail]:
    """Commit to a call. `gone`: mails that are not sent any more, by id. Returns what the call carries."""
    back = partial(put_back, connection, token=call.token, status="pending")
    await back(ids=composed.left_over, wait_s=0.0)
    # They are tried again until they expire: the cause may be corrected meanwhile.
    await back(ids=composed.faulty, wait_s=FAULTY_WAIT_S, reason="The mail could not be made; the log says why.")
    settled = composed.settled + [
        SettledMail(one.mail_id, gone[one.mail_id]) for one in composed.ready if one.mail_id in gone
    ]
    await settle_mails(connection, settled=settled, attempt_id=None)
    staying = [one for one in composed.ready if one.mail_id not in gone]
    started = await start_mails(
        connection,
        ids=[one.mail_id for one in staying],
        token=call.token,
        attempt_id=call.attempt_id,
        lease=context.lease,
    )
    # Sending was stopped since the claim (paused, backing off): pending again.
    await back(ids=[one.mail_id for one in staying if one.mail_id not in started], wait_s=0.0)
    going = [one for one in staying if one.mail_id in started]
    if going:
        await insert_attempt(
            connection,
            attempt_id=call.attempt_id,
            lane="single",
            stream=call.stream,
            replica_id=context.replica.id,
            message_count=len(going),
            issue_id=call.issue_id,
            seqs=sorted(one.seq for one in going if one.seq is not None),
        )
    else:
        await end_probe(connection, token=call.token)
    return going


async def record_call(
    context: DeliveryContext,
    connection: AsyncConnection,
    call: SingleMailCall,
    sent: Sequence[ReadyMail],
    result: CallResult,
    *,
    policy: StopPolicy,
) -> None:
    """Store the result. Safe to repeat if its transaction fails."""
    match result:
        case Answered():
            await _record_answer(context, connection, call, sent, result, policy)
        case NotSent():
            await _record_not_sent(context, connection, call, sent, result, policy)
        case Unknown():
            await insert_attempt_end(
                connection,
                attempt_id=call.attempt_id,
                verdict="uncertain",
                http_status=result.status,
                error_code=result.error_code,
                detail=result.reason,
            )
            await put_back(
                connection,
                ids=[one.mail_id for one in sent],
                token=call.token,
                status="uncertain",
                wait_s=search_wait_s(_failures(sent), context.random),
                reason=result.reason,
            )
            if not result.slow:
                await note_unknown(context, connection, token=call.token, reason=result.reason)
        case _:
            assert_never(result)


def _failures(sent: Sequence[ReadyMail]) -> int:
    return max(one.attempt_count for one in sent)


async def _record_answer(
    context: DeliveryContext,
    connection: AsyncConnection,
    call: SingleMailCall,
    sent: Sequence[ReadyMail],
    answer: Answered,
    policy: StopPolicy,
) -> None:
    settled: list[SettledMail] = []
    suppressed: list[tuple[str, str]] = []
    for one, item in zip(sent, answer.items, strict=True):
        wait_s = retry_wait_s(one.attempt_count, context.random)
        back = partial(put_back, connection, ids=[one.mail_id], token=call.token)
        match judge_item(item):
            case Accepted() | Failed() | Excluded() as outcome:
                settled.append(SettledMail(one.mail_id, outcome))
            case Suppressed(reason) as outcome:
                settled.append(SettledMail(one.mail_id, outcome))
                suppressed.append((one.address, reason))
            case RetryAlone(reason):
                await back(status="pending", wait_s=wait_s, reason=reason)
            case AskAlone(reason):
                await back(status="uncertain", wait_s=wait_s, reason=reason)
            case StopIssue() as verdict:
                await _stop(connection, call, one, verdict, policy, wait_s=wait_s)
                if _is_newsletters_own(one, verdict):
                    context.log.warning("delivery.sender_refused", newsletter_id=one.sender_of)
            case StopSending(reason):
                await pause_sending(connection, reason=reason)
                await back(status="pending", wait_s=0.0)
            case verdict:
                assert_never(verdict)
    await settle_mails(connection, settled=settled, attempt_id=call.attempt_id)
    await suppress(connection, context.address_hasher, stream=call.stream, addresses=suppressed, source="send")
    await insert_attempt_end(
        connection,
        attempt_id=call.attempt_id,
        verdict="answered",
        http_status=200,
        accepted_count=sum(isinstance(one.outcome, Accepted) for one in settled),
    )
    await note_answered(connection, token=call.token)
    for one_settled in settled:
        context.metrics.mails.labels("single", type(one_settled.outcome).__name__.lower()).inc()


async def _stop(
    connection: AsyncConnection,
    call: SingleMailCall,
    one: ReadyMail,
    verdict: StopIssue,
    policy: StopPolicy,
    *,
    wait_s: float,
) -> None:
    """The mail waits. One newsletter's sender that Postmark does not take stops no other's mails: its own wait until
    they expire, and the checks of its issues say why (`preflight.fact_store`).
    """
    back = partial(put_back, connection, ids=[one.mail_id], token=call.token, status="pending")
    if _is_newsletters_own(one, verdict):
        await back(wait_s=max(wait_s, SENDER_WAIT_S), reason=verdict.reason)
        return
    await policy.mail(connection, verdict.reason)
    if policy.put_off_s:
        await back(wait_s=max(wait_s, policy.put_off_s), reason=verdict.reason)
    else:
        await back(wait_s=0.0)


def _is_newsletters_own(one: ReadyMail, verdict: StopIssue) -> bool:
    return verdict.about_sender and one.sender_of is not None


async def _record_not_sent(
    context: DeliveryContext,
    connection: AsyncConnection,
    call: SingleMailCall,
    sent: Sequence[ReadyMail],
    result: NotSent,
    policy: StopPolicy,
) -> None:
    ids = [one.mail_id for one in sent]
    wait_s = retry_wait_s(_failures(sent), context.random, retry_after_s=result.retry_after_s)
    match result.error_class:
        case ErrorClass.TRANSIENT:
            if slows_everyone(result):
                await note_refused(context, connection, result)
            elif result.reason == LEASE_TOO_SHORT:
                await end_probe(connection, token=call.token)
                wait_s = 0.0
        case ErrorClass.TOO_LARGE if len(sent) == 1:
            failed = Failed(TOO_LARGE_ALONE, result.error_code)
            await settle_mails(connection, settled=[SettledMail(ids[0], failed)], attempt_id=call.attempt_id)
        case ErrorClass.TOO_LARGE:
            # Spread over time, so that they do not meet in one batch again.
            for position, mail_id in enumerate(ids):
                await put_back(
                    connection, ids=[mail_id], token=call.token, status="pending", wait_s=wait_s * (1 + position)
                )
        case ErrorClass.CONFIGURATION:
            await policy.call(connection, result.reason)
            wait_s = max(wait_s, policy.put_off_s)
        case _:
            await pause_sending(connection, reason=result.reason)
    await put_back(connection, ids=ids, token=call.token, status="pending", wait_s=wait_s, reason=result.reason)
    await insert_attempt_end(
        connection,
        attempt_id=call.attempt_id,
        verdict="not_sent",
        http_status=result.status,
        error_code=result.error_code,
        detail=result.reason,
    )
