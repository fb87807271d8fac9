"""Welcome mails, one call at a time: claim, compose, commit to the call, call, store the outcomes.

They are single mails on their newsletter's own stream, so that its suppressions and its way of unsubscribing hold for
them. No issue has them: what would pause an issue puts them off until they expire. One whose outcome stays unknown is
never sent again.
"""

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, assert_never

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.compose_batch import TOO_LARGE_ALONE
from broadsheet_delivery.composing.compose_welcome import ComposedWelcome, PreparedWelcome, compose_welcome
from broadsheet_delivery.composing.issue_content import UnusableIssueError, WelcomeContent
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.call_result import Answered, CallResult, NotSent, Unknown
from broadsheet_delivery.postmark.error_class import ErrorClass
from broadsheet_delivery.postmark.judge_item import judge_item
from broadsheet_delivery.preflight.fit_stream import why_not_on
from broadsheet_delivery.queue.interface import (
    LeasedWelcome,
    SettledMail,
    insert_attempt,
    insert_attempt_end,
    lease_welcome_mails,
    no_longer_sendable,
    note_addresses,
    put_back,
    settle_mails,
    start_mails,
    welcome_recipients,
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
    pause_sending,
    spend,
)

MAILS_A_CALL_MAX: Final = 50
PUT_OFF_S: Final = 60.0
"""Before mails are tried again whose newsletter, stream or sender keeps them back."""
SWITCHED_OFF: Final = Excluded("The welcome mail was switched off, or its newsletter archived.")


class ClaimedWelcome(msgspec.Struct, frozen=True):
    """Welcome mails of one newsletter, leased under one token. `content`: a sentence where none can be made."""

    token: uuid.UUID
    attempt_id: uuid.UUID
    mails: list[LeasedWelcome]
    content: WelcomeContent | str | None
    recipients: Mapping[int, Recipient]


async def claim_welcome_mails(context: DeliveryContext) -> ClaimedWelcome | float | None:
    """Lease the next due mails. None: there are none. A number: a limit holds them back for so many seconds.

    They obey the limits that newsletters obey.
    """
    token = uuid.uuid4()
    async with context.engine.begin() as connection:
        restrained = await is_restrained(connection)
        if restrained is None:
            return None
        permit = await ask_permit(
            connection,
            "newsletter",
            restrained=restrained,
            left_when_slow=left_when_slow(context.lease, context.slow_call),
        )
        if isinstance(permit, Denied):
            return permit.wait_s
        limit = min(MAILS_A_CALL_MAX, permit.messages_max or MAILS_A_CALL_MAX)
        mails = await lease_welcome_mails(connection, token=token, lease=context.lease, limit=limit)
        if not mails:
            return None
        probe_s = context.slow_call.total_seconds() + PROBE_MARGIN_S
        if not await spend(connection, permit, token=token, messages=len(mails), probe_s=probe_s):
            await put_back(connection, ids=[mail.id for mail in mails], token=token, status="pending", wait_s=0.0)
            return None
        newsletter_id = mails[0].newsletter_id
        content: WelcomeContent | str | None
        recipients: Mapping[int, Recipient] = {}
        try:
            content = await context.welcomes.get(connection, newsletter_id)
        except UnusableIssueError as error:
            content = str(error)
        if isinstance(content, WelcomeContent):
            recipients = await welcome_recipients(
                connection, mails, newsletter_id=newsletter_id, stream=content.stream, used=content.used
            )
    return ClaimedWelcome(token, uuid.uuid4(), mails, content, recipients)


async def send_welcome_mails(context: DeliveryContext, claimed: ClaimedWelcome, place: Place | None = None) -> None:
    """All steps for claimed mails. If this fails, the mails are found when their lease runs out."""
    content = claimed.content
    if content is None:
        await _end_unsent(context, claimed, outcome=SWITCHED_OFF)
        return
    if isinstance(content, str):
        await _end_unsent(context, claimed, outcome=None, reason=content)
        return
    reason = await why_not_on(context, stream=content.stream, handling=content.unsubscribe_handling)
    if reason is not None:
        await _end_unsent(context, claimed, outcome=None, reason=reason)
        return
    composed = await compose_welcome(context, content, claimed.recipients, claimed.attempt_id)
    began_s = boot_time_s()
    async with context.engine.begin() as connection:
        going = await _start(context, connection, claimed, content, composed)
    if not going:
        return
    result = await send_batch(
        context, [one.encoded for one in going], lease_began_s=began_s, token=claimed.token, place=place
    )
    await persist(context, lambda connection: _record(context, connection, claimed, content, going, result))


async def _end_unsent(
    context: DeliveryContext, claimed: ClaimedWelcome, *, outcome: Outcome | None, reason: str | None = None
) -> None:
    """No call is made: the mails have this outcome, or wait."""
    ids = [mail.id for mail in claimed.mails]
    async with context.engine.begin() as connection:
        await end_probe(connection, token=claimed.token)
        if outcome is not None:
            settled = [SettledMail(mail_id, outcome) for mail_id in ids]
            await settle_mails(connection, settled=settled, attempt_id=None)
            return
        await put_back(connection, ids=ids, token=claimed.token, status="pending", wait_s=PUT_OFF_S, reason=reason)
    context.log.warning("delivery.welcome_mails_put_off", newsletter_id=claimed.mails[0].newsletter_id, mails=len(ids))


async def _start(
    context: DeliveryContext,
    connection: AsyncConnection,
    claimed: ClaimedWelcome,
    content: WelcomeContent,
    composed: ComposedWelcome,
) -> list[PreparedWelcome]:
    """Commit to a call, in the caller's transaction. Returns whose mails it carries."""
    if composed.left_over:
        await put_back(connection, ids=composed.left_over, token=claimed.token, status="pending", wait_s=0.0)
    if composed.faulty:
        # They are tried again until they expire: the cause may be corrected meanwhile.
        await put_back(
            connection,
            ids=composed.faulty,
            token=claimed.token,
            status="pending",
            wait_s=PUT_OFF_S,
            reason="The mail could not be made; the log says why.",
        )
    fitting = composed.prepared
    gone = await _gone(context, connection, content, fitting)
    outcomes = composed.settled | gone
    await settle_mails(
        connection, settled=[SettledMail(mail_id, outcome) for mail_id, outcome in outcomes.items()], attempt_id=None
    )
    staying = [one for one in fitting if one.mail_id not in gone]
    await note_addresses(
        connection,
        token=claimed.token,
        ids=[one.mail_id for one in staying],
        addresses=[one.address for one in staying],
    )
    started = await start_mails(
        connection,
        ids=[one.mail_id for one in staying],
        token=claimed.token,
        attempt_id=claimed.attempt_id,
        lease=context.lease,
    )
    # Sending was stopped since the claim (paused, backing off): pending again.
    held_up = [one.mail_id for one in staying if one.mail_id not in started]
    await put_back(connection, ids=held_up, token=claimed.token, status="pending", wait_s=0.0)
    going = [one for one in staying if one.mail_id in started]
    if going:
        await insert_attempt(
            connection,
            attempt_id=claimed.attempt_id,
            lane="single",
            stream=content.stream,
            replica_id=context.replica.id,
            message_count=len(going),
        )
    else:
        await end_probe(connection, token=claimed.token)
    return going


async def _gone(
    context: DeliveryContext, connection: AsyncConnection, content: WelcomeContent, mails: Sequence[PreparedWelcome]
) -> dict[int, Outcome]:
    """By the mails' ids: whoever left or was suppressed since the claim; all, if the mail was switched off."""
    if not mails:
        return {}
    if not await context.welcomes.is_sent(connection, content.newsletter_id):
        return {one.mail_id: SWITCHED_OFF for one in mails}
    found = await no_longer_sendable(
        connection,
        newsletter_id=content.newsletter_id,
        stream=content.stream,
        subscriber_ids=[one.subscriber_id for one in mails],
    )
    return {one.mail_id: found[one.subscriber_id] for one in mails if one.subscriber_id in found}


async def _record(
    context: DeliveryContext,
    connection: AsyncConnection,
    claimed: ClaimedWelcome,
    content: WelcomeContent,
    sent: Sequence[PreparedWelcome],
    result: CallResult,
) -> None:
    """Store the result in the caller's transaction. Safe to repeat if that one fails."""
    counts = {mail.id: mail.attempt_count for mail in claimed.mails}
    failures = max(counts[one.mail_id] for one in sent)
    match result:
        case Answered():
            await _record_answer(context, connection, claimed, content, sent, result)
        case NotSent():
            await _record_not_sent(context, connection, claimed, sent, result, failures)
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
                ids=[one.mail_id for one in sent],
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
    claimed: ClaimedWelcome,
    content: WelcomeContent,
    sent: Sequence[PreparedWelcome],
    answer: Answered,
) -> None:
    counts = {mail.id: mail.attempt_count for mail in claimed.mails}
    settled: list[SettledMail] = []
    suppressed: list[tuple[str, str]] = []
    for one, item in zip(sent, answer.items, strict=True):
        wait_s = retry_wait_s(counts[one.mail_id], context.random)
        back = partial(put_back, connection, ids=[one.mail_id], token=claimed.token)
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
            case StopIssue(reason):
                # An unknown sender, for example. It may be mended before the mail expires.
                await back(status="pending", wait_s=max(wait_s, PUT_OFF_S), reason=reason)
            case StopSending(reason):
                await pause_sending(connection, reason=reason)
                await back(status="pending", wait_s=0.0)
            case verdict:
                assert_never(verdict)
    await settle_mails(connection, settled=settled, attempt_id=claimed.attempt_id)
    await suppress(connection, context.address_hasher, stream=content.stream, addresses=suppressed, source="send")
    await insert_attempt_end(
        connection,
        attempt_id=claimed.attempt_id,
        verdict="answered",
        http_status=200,
        accepted_count=sum(isinstance(one.outcome, Accepted) for one in settled),
    )
    await note_answered(connection, token=claimed.token)
    for one_settled in settled:
        context.metrics.mails.labels("single", type(one_settled.outcome).__name__.lower()).inc()


async def _record_not_sent(
    context: DeliveryContext,
    connection: AsyncConnection,
    claimed: ClaimedWelcome,
    sent: Sequence[PreparedWelcome],
    result: NotSent,
    failures: int,
) -> None:
    ids = [one.mail_id for one in sent]
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
        case ErrorClass.CONFIGURATION:
            # It would pause an issue; here nothing else is stopped by it.
            await end_probe(connection, token=claimed.token)
            wait_s = max(wait_s, PUT_OFF_S)
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
