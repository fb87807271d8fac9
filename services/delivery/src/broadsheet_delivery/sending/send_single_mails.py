"""The single-mail lane, one batch at a time: claim, compose, commit to the call, call, store the outcomes.

Transactional mails (confirmations, password resets, tests) go first, on the transactional stream. Newsletter
mails that were handed over follow, on their newsletter's stream and under their issue's state.
"""

import uuid
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.compose_batch import TOO_LARGE_ALONE, compose_batch
from broadsheet_delivery.composing.issue_content import IssueContent, UnusableIssueError
from broadsheet_delivery.composing.load_senders import load_senders
from broadsheet_delivery.composing.mail_sender import MailSender
from broadsheet_delivery.composing.render_counts import IssueFailsError
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.postmark.message import Message, encode_message
from broadsheet_delivery.queue.interface import (
    LeasedMail,
    SettledMail,
    SinglePart,
    expire_mails,
    lease_mails,
    newsletter_recipients,
    no_longer_sendable,
    put_back,
    suppressed_mails,
    variants_of,
)
from broadsheet_delivery.queue.outcome import (
    Failed,
    Outcome,
    Suppressed,
)
from broadsheet_delivery.queue.recipient import Recipient
from broadsheet_delivery.sending.persist import persist
from broadsheet_delivery.sending.place import Place
from broadsheet_delivery.sending.send_batch import send_batch
from broadsheet_delivery.sending.single_mail_call import (
    ComposedMails,
    ReadyMail,
    SingleMailCall,
    StopPolicy,
    begin_call,
    record_call,
)
from broadsheet_delivery.throttle.interface import (
    PROBE_MARGIN_S,
    Denied,
    ask_permit,
    end_probe,
    is_restrained,
    left_when_slow,
    pause_issue,
    pause_sending,
    spend,
)

MAILS_A_CALL_MAX = 100


class ClaimedMails(msgspec.Struct, frozen=True):
    """Mails of one stream, leased under one token. `content` and `recipients` for newsletter mails, in `mails`' order
    of sequence numbers; `senders` for transactional ones, by their newsletter.
    """

    token: uuid.UUID
    attempt_id: uuid.UUID
    stream: str
    mails: list[LeasedMail]
    content: IssueContent | None = None
    recipients: list[Recipient] = []
    senders: Mapping[int, MailSender] = {}

    @property
    def first_id(self) -> int:
        """The smallest id of its mails, which names it in logs."""
        return min(mail.id for mail in self.mails)


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
        senders = await load_senders(
            connection,
            {mail.newsletter_id for mail in mails if mail.newsletter_id is not None},
            default_sender=context.composer.own_sender.from_,
        )
    return ClaimedMails(token, attempt_id, context.transactional_stream, mails, senders=senders)


def _compose_transactional(context: DeliveryContext, claimed: ClaimedMails) -> ComposedMails:
    composed = ComposedMails()
    total = 2
    held = context.set_asides.of("delivery.transactional_mails")
    own = context.composer.own_sender
    for mail in claimed.mails:
        # A newsletter that is gone has no sender of its own.
        sender = own if mail.newsletter_id is None else claimed.senders.get(mail.newsletter_id, own)
        try:
            message = context.composer.single_mail(
                mail_id=mail.id,
                sender=sender,
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
            composed.ready.append(
                ReadyMail(
                    mail_id=mail.id,
                    attempt_count=mail.attempt_count,
                    address=message.to,
                    encoded=encoded,
                    sender_of=sender.newsletter_id,
                )
            )
    return composed


async def _compose_newsletter(context: DeliveryContext, claimed: ClaimedMails, content: IssueContent) -> ComposedMails:
    """Raises `IssueFailsError`."""
    by_seq = {mail.seq: mail for mail in claimed.mails}
    found = await compose_batch(context, content, claimed.recipients, claimed.attempt_id)
    return ComposedMails(
        ready=[
            ReadyMail(
                mail_id=by_seq[one.recipient.seq].id,
                attempt_count=by_seq[one.recipient.seq].attempt_count,
                address=one.address,
                encoded=one.encoded,
                subscriber_id=one.recipient.subscriber_id,
                seq=one.recipient.seq,
            )
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
    call = SingleMailCall(
        token=claimed.token,
        attempt_id=claimed.attempt_id,
        stream=claimed.stream,
        issue_id=claimed.content.issue_id if claimed.content else None,
    )
    began_s = boot_time_s()
    async with context.engine.begin() as connection:
        gone = await _gone(connection, claimed, composed.ready)
        going = await begin_call(context, connection, call, composed, gone=gone)
    if not going:
        return
    result = await send_batch(
        context,
        [one.encoded for one in going],
        lease_began_s=began_s,
        token=claimed.token,
        place=place,
    )
    policy = _stop_policy(call.issue_id)
    await persist(context, lambda connection: record_call(context, connection, call, going, result, policy=policy))


def _stop_policy(issue_id: int | None) -> StopPolicy:
    """The issue stops. A transactional mail has none to stop: what it ran into would meet the next one too, unless
    it is about the sender of the mail's newsletter, which `record_call` knows.
    """

    async def stop(connection: AsyncConnection, reason: str) -> None:
        if issue_id is None:
            await pause_sending(connection, reason=reason)
        else:
            await pause_issue(connection, issue_id=issue_id, reason=reason)

    return StopPolicy(mail=stop, call=stop)


async def _pause(context: DeliveryContext, claimed: ClaimedMails, issue_id: int, *, reason: str) -> None:
    """Nothing is recorded: the mails are tried again when the issue is resumed."""
    async with context.engine.begin() as connection:
        await end_probe(connection, token=claimed.token)
        if not await pause_issue(connection, issue_id=issue_id, reason=reason):
            # The issue is already paused or cancelled.
            ids = [mail.id for mail in claimed.mails]
            await put_back(connection, ids=ids, token=claimed.token, status="pending", wait_s=0.0)
    context.log.error("delivery.issue_fails", issue_id=issue_id)


async def _gone(connection: AsyncConnection, claimed: ClaimedMails, mails: Sequence[ReadyMail]) -> dict[int, Outcome]:
    """Newsletter mails whose subscriber unsubscribed since the claim, and transactional mails to an address that is
    suppressed on the stream.
    """
    if not mails:
        return {}
    if claimed.content is None:
        reasons = await suppressed_mails(connection, ids=[one.mail_id for one in mails], stream=claimed.stream)
        return {mail_id: Suppressed(reason) for mail_id, reason in reasons.items()}
    by_subscriber = {one.subscriber_id: one.mail_id for one in mails if one.subscriber_id is not None}
    found = await no_longer_sendable(
        connection,
        newsletter_id=claimed.content.newsletter_id,
        stream=claimed.stream,
        subscriber_ids=list(by_subscriber),
    )
    return {by_subscriber[subscriber_id]: outcome for subscriber_id, outcome in found.items()}
