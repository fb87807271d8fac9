"""The single-mail lane, one batch at a time: claim, compose, commit to the call, call, store the outcomes.

Transactional mails (confirmations, password resets, tests) go first, on the transactional stream. Newsletter
mails that were handed over follow, on their newsletter's stream and under their issue's state.
"""

import uuid
from collections.abc import Sequence
from functools import partial
from typing import assert_never

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.compose_batch import TOO_LARGE_ALONE, compose_batch
from broadsheet_delivery.composing.issue_content import IssueContent, UnusableIssueError
from broadsheet_delivery.composing.render_counts import IssueFailsError
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.judge_item import judge_item
from broadsheet_delivery.postmark.message import Message, encode_message
from broadsheet_delivery.queue.interface import (
    LeasedMail,
    SettledMail,
    SinglePart,
    expire_mails,
    insert_attempt,
    insert_attempt_end,
    lease_mails,
    newsletter_recipients,
    no_longer_sendable,
    put_back,
    settle_mails,
    start_mails,
    suppressed_mails,
    variants_of,
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
from broadsheet_delivery.queue.recipient import Recipient
from broadsheet_delivery.sending.persist import persist
from broadsheet_delivery.sending.place import Place
from broadsheet_delivery.sending.send_batch import LEASE_TOO_SHORT, send_batch, slows_everyone
from broadsheet_delivery.suppressions.suppress_refused import suppress
from broadsheet_delivery.throttle.back_off import retry_wait_s, search_wait_s
from broadsheet_delivery.throttle.interface import (
    PROBE_MARGIN_S,
    Denied,
    ask_permit,
    end_probe,
    is_restrained,
    left_when_slow,
    note_answered,
    note_refused,
    note_unknown,
    pause_issue,
    pause_sending,
    spend,
)

FAULTY_WAIT_S = 60.0
MAILS_A_CALL_MAX = 100


class _Prepared(msgspec.Struct, frozen=True):
    mail: LeasedMail
    address: str
    subscriber_id: int | None
    encoded: bytes


class ClaimedMails(msgspec.Struct, frozen=True):
    """Mails of one stream, leased under one token. `content` and `recipients` for newsletter mails, in `mails`' order
    of sequence numbers.
    """

    token: uuid.UUID
    attempt_id: uuid.UUID
    stream: str
    mails: list[LeasedMail]
    content: IssueContent | None = None
    recipients: list[Recipient] = []

    @property
    def first_id(self) -> int:
        """The smallest id of its mails, which names it in logs."""
        return min(mail.id for mail in self.mails)


class _ComposedMails(msgspec.Struct):
    """`left_over`: mails that did not fit into the call; `faulty`: those that could not be made."""

    prepared: list[_Prepared] = []
    settled: list[SettledMail] = []
    left_over: list[int] = []
    faulty: list[int] = []


async def claim_single_mails(context: DeliveryContext, part: SinglePart) -> ClaimedMails | float | None:
    """Lease the next due mails. None: there are none. A number: a limit holds them back for so many seconds.

    Newsletter mails of one issue are taken together. Transactional mail is stopped only by a pause and the
    breaker, but counts against the rate limit.
    """
    token, attempt_id = uuid.uuid4(), uuid.uuid4()
    async with context.engine.begin() as connection:
        restrained = await is_restrained(connection)
        if restrained is None:
            return None
        if part == "transactional":
            await expire_mails(connection, limit=MAILS_A_CALL_MAX)
        permit = await ask_permit(
            connection,
            part,
            restrained=restrained,
            left_when_slow=left_when_slow(context.lease, context.slow_call),
        )
        if isinstance(permit, Denied):
            return permit.wait_s
        limit = min(MAILS_A_CALL_MAX, permit.messages_max or MAILS_A_CALL_MAX)
        mails = await lease_mails(connection, part=part, token=token, lease=context.lease, limit=limit)
        if not mails:
            return None
        probe_s = context.slow_call.total_seconds() + PROBE_MARGIN_S
        if not await spend(connection, permit, token=token, messages=len(mails), probe_s=probe_s):
            await put_back(connection, ids=[mail.id for mail in mails], token=token, status="pending", wait_s=0.0)
            return None
        if part == "newsletter":
            return await _claim_newsletter(context, connection, mails, token, attempt_id)
    return ClaimedMails(token, attempt_id, context.transactional_stream, mails)


def _compose_transactional(context: DeliveryContext, claimed: ClaimedMails) -> _ComposedMails:
    composed = _ComposedMails()
    total = 2
    held = context.set_asides.of("delivery.transactional_mails")
    for mail in claimed.mails:
        try:
            message = context.composer.single_mail(
                mail_id=mail.id,
                to=mail.to_email or "",
                subject=mail.subject or "",
                html_body=mail.html_body or None,  # an empty body is an error at Postmark
                text_body=mail.text_body or "",
                attempt_id=claimed.attempt_id,
            )
            encoded = encode_message(message) if isinstance(message, Message) else b""
        except Exception as error:  # noqa: BLE001  # it is this mail's fault alone, and the others go
            held.hold(f"mail {mail.id}", error)
            composed.faulty.append(mail.id)
            continue
        if not isinstance(message, Message):
            composed.settled.append(SettledMail(mail.id, message))
            continue
        if len(encoded) > context.batch_bytes_max:
            composed.settled.append(SettledMail(mail.id, Failed(TOO_LARGE_ALONE)))
        elif total + len(encoded) + 1 > context.batch_bytes_max:
            composed.left_over.append(mail.id)
        else:
            total += len(encoded) + 1
            composed.prepared.append(_Prepared(mail, message.to, None, encoded))
    return composed


async def _compose_newsletter(context: DeliveryContext, claimed: ClaimedMails, content: IssueContent) -> _ComposedMails:
    """Raises `IssueFailsError`."""
    by_seq = {mail.seq: mail for mail in claimed.mails}
    found = await compose_batch(context, content, claimed.recipients, claimed.attempt_id)
    return _ComposedMails(
        prepared=[
            _Prepared(by_seq[one.recipient.seq], one.address, one.recipient.subscriber_id, one.encoded)
            for one in found.prepared
        ],
        settled=[SettledMail(by_seq[recipient.seq].id, outcome) for recipient, outcome in found.settled],
        left_over=[by_seq[recipient.seq].id for recipient in claimed.recipients[found.reached :]],
    )


async def _claim_newsletter(
    context: DeliveryContext,
    connection: AsyncConnection,
    mails: Sequence[LeasedMail],
    token: uuid.UUID,
    attempt_id: uuid.UUID,
) -> ClaimedMails | None:
    """Those of the mails that are of the first one's issue and variant; the others are put back."""
    issue_id = mails[0].issue_id
    assert issue_id is not None
    of_issue = {mail.seq: mail for mail in mails if mail.issue_id == issue_id and mail.seq is not None}
    variants = await variants_of(connection, issue_id=issue_id, seqs=list(of_issue))
    variant = next(iter(variants.values()))
    ours = {seq: mail for seq, mail in of_issue.items() if variants[seq] == variant}
    await put_back(
        connection,
        ids=[mail.id for mail in mails if mail.seq not in ours or mail.issue_id != issue_id],
        token=token,
        status="pending",
        wait_s=0.0,
    )
    try:
        content = await context.contents.get(connection, issue_id, variant)
    except UnusableIssueError as error:
        await put_back(connection, ids=[m.id for m in ours.values()], token=token, status="pending", wait_s=0.0)
        await pause_issue(connection, issue_id=issue_id, reason=str(error))
        return None
    recipients = await newsletter_recipients(
        connection,
        issue_id=issue_id,
        newsletter_id=content.newsletter_id,
        stream=content.stream,
        seqs=list(ours),
        used=content.used,
    )
    return ClaimedMails(token, attempt_id, content.stream, list(ours.values()), content, recipients)


async def send_single_mails(context: DeliveryContext, claimed: ClaimedMails, place: Place | None = None) -> None:
    """All steps for claimed mails. If this fails, the mails are found when their lease runs out."""
    if claimed.content is None:
        composed = _compose_transactional(context, claimed)
    else:
        try:
            composed = await _compose_newsletter(context, claimed, claimed.content)
        except IssueFailsError as error:
            await _pause(context, claimed, claimed.content.issue_id, reason=str(error))
            return
    fitting, settled = composed.prepared, composed.settled
    began_s = boot_time_s()
    async with context.engine.begin() as connection:
        if composed.left_over:
            await put_back(connection, ids=composed.left_over, token=claimed.token, status="pending", wait_s=0.0)
        if composed.faulty:
            # They are tried again until they expire: the cause may be corrected meanwhile.
            await put_back(
                connection,
                ids=composed.faulty,
                token=claimed.token,
                status="pending",
                wait_s=FAULTY_WAIT_S,
                reason="The mail could not be made; the log says why.",
            )
        gone = await _gone(connection, claimed, fitting)
        settled += [SettledMail(one.mail.id, gone[one.mail.id]) for one in fitting if one.mail.id in gone]
        await settle_mails(connection, settled=settled, attempt_id=None)
        started = await start_mails(
            connection,
            ids=[one.mail.id for one in fitting if one.mail.id not in gone],
            token=claimed.token,
            attempt_id=claimed.attempt_id,
            lease=context.lease,
        )
        going = [one for one in fitting if one.mail.id in started]
        # Sending was stopped since the claim (paused, backing off): pending again.
        held_up = [one.mail.id for one in fitting if one.mail.id not in started and one.mail.id not in gone]
        await put_back(connection, ids=held_up, token=claimed.token, status="pending", wait_s=0.0)
        if going:
            await insert_attempt(
                connection,
                attempt_id=claimed.attempt_id,
                lane="single",
                stream=claimed.stream,
                replica_id=context.replica.id,
                message_count=len(going),
                issue_id=claimed.content.issue_id if claimed.content else None,
                seqs=sorted(one.mail.seq for one in going if one.mail.seq is not None),
            )
        else:
            await end_probe(connection, token=claimed.token)
    if not going:
        return
    result = await send_batch(
        context,
        [one.encoded for one in going],
        lease_began_s=began_s,
        token=claimed.token,
        place=place,
    )
    await persist(context, lambda connection: _record(context, connection, claimed, going, result))


async def _pause(context: DeliveryContext, claimed: ClaimedMails, issue_id: int, *, reason: str) -> None:
    """Nothing is recorded: the mails are tried again when the issue is resumed."""
    async with context.engine.begin() as connection:
        await end_probe(connection, token=claimed.token)
        if not await pause_issue(connection, issue_id=issue_id, reason=reason):
            # The issue is already paused or cancelled.
            ids = [mail.id for mail in claimed.mails]
            await put_back(connection, ids=ids, token=claimed.token, status="pending", wait_s=0.0)
    context.log.error("delivery.issue_fails", issue_id=issue_id)


async def _gone(connection: AsyncConnection, claimed: ClaimedMails, mails: Sequence[_Prepared]) -> dict[int, Outcome]:
    """Newsletter mails whose subscriber unsubscribed since the claim, and transactional mails to an address that is
    suppressed on the stream.
    """
    if not mails:
        return {}
    if claimed.content is None:
        reasons = await suppressed_mails(connection, ids=[one.mail.id for one in mails], stream=claimed.stream)
        return {mail_id: Suppressed(reason) for mail_id, reason in reasons.items()}
    by_subscriber = {one.subscriber_id: one.mail.id for one in mails if one.subscriber_id is not None}
    found = await no_longer_sendable(
        connection,
        newsletter_id=claimed.content.newsletter_id,
        stream=claimed.stream,
        subscriber_ids=list(by_subscriber),
    )
    return {by_subscriber[subscriber_id]: outcome for subscriber_id, outcome in found.items()}


async def _record(
    context: DeliveryContext,
    connection: AsyncConnection,
    claimed: ClaimedMails,
    sent: Sequence[_Prepared],
    result: CallResult,
) -> None:
    """Store the result in the caller's transaction. Safe to repeat if that one fails."""
    ids = [one.mail.id for one in sent]
    failures = max(one.mail.attempt_count for one in sent)
    match result:
        case Answered():
            await _record_answer(context, connection, claimed, sent, result)
        case NotSent():
            await _record_not_sent(context, connection, claimed, sent, result)
        case Unknown():
            await insert_attempt_end(
                connection,
                attempt_id=claimed.attempt_id,
                verdict="uncertain",
                http_status=result.status,
                error_code=result.error_code,
                detail=result.reason,
            )
            await put_back(
                connection,
                ids=ids,
                token=claimed.token,
                status="uncertain",
                wait_s=search_wait_s(failures, context.random),
                reason=result.reason,
            )
            if not result.slow:
                await note_unknown(context, connection, token=claimed.token, reason=result.reason)
        case _:
            assert_never(result)


async def _record_answer(
    context: DeliveryContext,
    connection: AsyncConnection,
    claimed: ClaimedMails,
    sent: Sequence[_Prepared],
    answer: Answered,
) -> None:
    settled: list[SettledMail] = []
    suppressed: list[tuple[str, str]] = []
    for one, item in zip(sent, answer.items, strict=True):
        verdict = judge_item(item)
        wait_s = retry_wait_s(one.mail.attempt_count, context.random)
        back = partial(put_back, connection, ids=[one.mail.id], token=claimed.token)
        match verdict:
            case Accepted() | Failed() | Excluded():
                settled.append(SettledMail(one.mail.id, verdict))
            case Suppressed(reason):
                settled.append(SettledMail(one.mail.id, verdict))
                suppressed.append((one.address, reason))
            case RetryAlone(reason):
                await back(status="pending", wait_s=wait_s, reason=reason)
            case AskAlone(reason):
                await back(status="uncertain", wait_s=wait_s, reason=reason)
            case StopIssue(reason) if claimed.content is not None:
                await pause_issue(connection, issue_id=claimed.content.issue_id, reason=reason)
                await back(status="pending", wait_s=0.0)
            case StopIssue(reason) | StopSending(reason):
                # A transactional mail has no issue to stop: what it ran into would meet the next one too.
                await pause_sending(connection, reason=reason)
                await back(status="pending", wait_s=0.0)
            case _:
                assert_never(verdict)
    await settle_mails(connection, settled=settled, attempt_id=claimed.attempt_id)
    await suppress(connection, context.address_hasher, stream=claimed.stream, addresses=suppressed, source="send")
    accepted_count = sum(isinstance(one.outcome, Accepted) for one in settled)
    await insert_attempt_end(
        connection,
        attempt_id=claimed.attempt_id,
        verdict="answered",
        http_status=200,
        accepted_count=accepted_count,
    )
    await note_answered(connection, token=claimed.token)
    for one_settled in settled:
        context.metrics.mails.labels("single", type(one_settled.outcome).__name__.lower()).inc()


async def _record_not_sent(
    context: DeliveryContext,
    connection: AsyncConnection,
    claimed: ClaimedMails,
    sent: Sequence[_Prepared],
    result: NotSent,
) -> None:
    ids = [one.mail.id for one in sent]
    failures = max(one.mail.attempt_count for one in sent)
    wait_s = retry_wait_s(failures, context.random, retry_after_s=result.retry_after_s)
    match result.error_class:
        case ErrorClass.TRANSIENT:
            if slows_everyone(result):
                await note_refused(context, connection, result)
            elif result.reason == LEASE_TOO_SHORT:
                await end_probe(connection, token=claimed.token)
                wait_s = 0.0
        case ErrorClass.TOO_LARGE if len(sent) == 1:
            failed = Failed(TOO_LARGE_ALONE, result.error_code)
            await settle_mails(connection, settled=[SettledMail(ids[0], failed)], attempt_id=claimed.attempt_id)
        case ErrorClass.TOO_LARGE:
            # Spread over time, so that they do not meet in one batch again.
            for position, mail_id in enumerate(ids):
                await put_back(
                    connection, ids=[mail_id], token=claimed.token, status="pending", wait_s=wait_s * (1 + position)
                )
        case ErrorClass.CONFIGURATION if claimed.content is not None:
            await pause_issue(connection, issue_id=claimed.content.issue_id, reason=result.reason)
        case _:
            await pause_sending(connection, reason=result.reason)
    await put_back(connection, ids=ids, token=claimed.token, status="pending", wait_s=wait_s, reason=result.reason)
    await insert_attempt_end(
        connection,
        attempt_id=claimed.attempt_id,
        verdict="not_sent",
        http_status=result.status,
        error_code=result.error_code,
        detail=result.reason,
    )
