"""Welcome mails, one call at a time: claim, compose, commit to the call, call, store the outcomes.

They are single mails on their newsletter's own stream, so that its suppressions and its way of unsubscribing hold for
them. No issue has them: what would pause an issue puts them off until they expire. One whose outcome stays unknown is
never sent again.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.compose_welcome import compose_welcome
from broadsheet_delivery.composing.issue_content import UnusableIssueError, WelcomeContent
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.boot_clock import boot_time_s
from broadsheet_delivery.preflight.fit_stream import why_not_on
from broadsheet_delivery.queue.interface import (
    LeasedWelcome,
    SettledMail,
    lease_welcome_mails,
    no_longer_sendable,
    note_addresses,
    put_back,
    settle_mails,
    welcome_recipients,
)
from broadsheet_delivery.queue.outcome import (
    Excluded,
    Outcome,
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
    call = SingleMailCall(token=claimed.token, attempt_id=claimed.attempt_id, stream=content.stream)
    composed = await _compose(context, content, claimed)
    began_s = boot_time_s()
    async with context.engine.begin() as connection:
        gone = await _gone(context, connection, content, composed.ready)
        staying = [one for one in composed.ready if one.mail_id not in gone]
        await note_addresses(
            connection,
            token=claimed.token,
            ids=[one.mail_id for one in staying],
            addresses=[one.address for one in staying],
        )
        going = await begin_call(context, connection, call, composed, gone=gone)
    if not going:
        return
    result = await send_batch(
        context, [one.encoded for one in going], lease_began_s=began_s, token=claimed.token, place=place
    )
    policy = _stop_policy(claimed.token)
    await persist(context, lambda connection: record_call(context, connection, call, going, result, policy=policy))


async def _compose(context: DeliveryContext, content: WelcomeContent, claimed: ClaimedWelcome) -> ComposedMails:
    counts = {mail.id: mail.attempt_count for mail in claimed.mails}
    found = await compose_welcome(context, content, claimed.recipients, claimed.attempt_id)
    return ComposedMails(
        ready=[
            ReadyMail(
                mail_id=one.mail_id,
                attempt_count=counts[one.mail_id],
                address=one.address,
                encoded=one.encoded,
                subscriber_id=one.subscriber_id,
            )
            for one in found.prepared
        ],
        settled=[SettledMail(mail_id, outcome) for mail_id, outcome in found.settled.items()],
        left_over=found.left_over,
        faulty=found.faulty,
    )


def _stop_policy(token: uuid.UUID) -> StopPolicy:
    """Nothing else is stopped by a welcome mail: the cause may be mended before it expires."""

    async def of_mail(_connection: AsyncConnection, _reason: str) -> None:
        """The answer itself ends the probe."""

    async def of_call(connection: AsyncConnection, _reason: str) -> None:
        await end_probe(connection, token=token)

    return StopPolicy(mail=of_mail, call=of_call, put_off_s=PUT_OFF_S)


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


async def _gone(
    context: DeliveryContext, connection: AsyncConnection, content: WelcomeContent, mails: Sequence[ReadyMail]
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
        subscriber_ids=[one.subscriber_id for one in mails if one.subscriber_id is not None],
    )
    return {one.mail_id: found[one.subscriber_id] for one in mails if one.subscriber_id in found}
