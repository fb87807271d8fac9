"""Compose the welcome mails of one call, one mail a turn, so that the event loop runs other work between two."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from broadsheet_common.mail.template_work import Work
from broadsheet_delivery.composing.compose_batch import TOO_LARGE_ALONE
from broadsheet_delivery.composing.compose_mail import Unrenderable
from broadsheet_delivery.composing.issue_content import WelcomeContent
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.message import Message, encode_message
from broadsheet_delivery.queue.outcome import Failed, Outcome
from broadsheet_delivery.queue.recipient import Recipient, sendability

SET_ASIDE: Final = "delivery.welcome_mails"


class PreparedWelcome(msgspec.Struct, frozen=True):
    mail_id: int
    subscriber_id: int
    address: str
    encoded: bytes


class ComposedWelcome(msgspec.Struct):
    """By the mails' ids: those that get no mail, with their outcomes; those that did not fit into the call; and those
    that could not be made by a fault of ours.
    """

    prepared: list[PreparedWelcome] = []
    settled: dict[int, Outcome] = {}
    left_over: list[int] = []
    faulty: list[int] = []


async def compose_welcome(
    context: DeliveryContext, content: WelcomeContent, recipients: Mapping[int, Recipient], attempt_id: UUID
) -> ComposedWelcome:
    """`recipients` by the mail's id."""
    composed = ComposedWelcome()
    total = 2
    for mail_id, recipient in recipients.items():
        outcome = sendability(recipient.state, recipient.suppression_reason)
        if outcome is not None:
            composed.settled[mail_id] = outcome
            continue
        # Issues have their own numbers; a newsletter's is below them.
        async with context.turns.turn(-content.newsletter_id):
            try:
                message = context.composer.welcome_mail(
                    content, recipient, mail_id=mail_id, attempt_id=attempt_id, work=Work()
                )
                encoded = encode_message(message) if isinstance(message, Message) else b""
            except Exception as error:  # noqa: BLE001  # it is this mail's fault alone, and the others go
                context.set_asides.of(SET_ASIDE).hold(f"mail {mail_id}", error)
                composed.faulty.append(mail_id)
                continue
        if isinstance(message, Unrenderable):
            fault = f"The welcome mail could not be rendered for this recipient: {message.fault}"
            composed.settled[mail_id] = Failed(fault)
        elif not isinstance(message, Message):
            composed.settled[mail_id] = message
        elif len(encoded) > context.batch_bytes_max:
            composed.settled[mail_id] = Failed(TOO_LARGE_ALONE)
        elif total + len(encoded) + 1 > context.batch_bytes_max:
            composed.left_over.append(mail_id)
        else:
            total += len(encoded) + 1
            composed.prepared.append(PreparedWelcome(mail_id, recipient.subscriber_id, message.to, encoded))
    return composed
