"""Compose the mails of one call: as many as fit, in slices between which the event loop runs other work."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from broadsheet_common.mail.template_work import Work
from broadsheet_delivery.composing.compose_mail import Unrenderable
from broadsheet_delivery.composing.compose_turns import MAIL_WORK, SLICE_WORK
from broadsheet_delivery.composing.issue_content import IssueContent
from broadsheet_delivery.composing.render_counts import IssueFailsError
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.postmark.message import NO_LINKS_TRACKED, Message, encode_message
from broadsheet_delivery.queue.outcome import Failed, Outcome
from broadsheet_delivery.queue.recipient import Recipient, sendability

BATCH_WORK_MAX: Final = 25_000_000
"""Units of work for one call's mails, about half a second: a lease must outlast it together with those of all other
calls.
"""
TOO_LARGE_ALONE: Final = "The message is too large for Postmark."


class Prepared(msgspec.Struct, frozen=True):
    """One mail of the batch: its delivery, and its bytes."""

    recipient: Recipient
    address: str
    encoded: bytes


class Composed(msgspec.Struct, frozen=True):
    """`settled`: recipients who get no mail, with their outcomes. The first `reached` recipients were composed: the
    others did not fit. `tracks_opens`, `tracks_links`: what some of the mails asks Postmark to track.
    """

    prepared: list[Prepared]
    settled: list[tuple[Recipient, Outcome]]
    reached: int
    tracks_opens: bool = False
    tracks_links: bool = False


async def compose_batch(
    context: DeliveryContext, content: IssueContent, recipients: Sequence[Recipient], attempt_id: UUID
) -> Composed:
    """At least one recipient is reached.

    Raises:
        IssueFailsError: with a sentence for the author. Nothing is to be recorded of the batch.
    """
    batch = _Batch(context, content, attempt_id)
    reached = 0
    while reached < len(recipients) and not batch.is_full:
        async with context.turns.turn(content.issue_id):
            reached += batch.compose_slice(recipients[reached:])
    try:
        context.render_counts.add(content, rendered=len(batch.prepared), failed=batch.failed)
    except IssueFailsError:
        raise IssueFailsError(f"Most mails of this issue cannot be rendered: {batch.fault}") from None
    return Composed(batch.prepared, batch.settled, reached, batch.tracks_opens, batch.tracks_links)


class _Batch:
    def __init__(self, context: DeliveryContext, content: IssueContent, attempt_id: UUID) -> None:
        self._context = context
        self._content = content
        self._attempt = str(attempt_id)
        self._bytes = 2
        self._work_used = 0
        self.prepared: list[Prepared] = []
        self.settled: list[tuple[Recipient, Outcome]] = []
        self.failed = 0
        self.fault = ""
        self.is_full = False
        self.tracks_opens = False
        self.tracks_links = False

    def compose_slice(self, recipients: Sequence[Recipient]) -> int:
        """How many were looked at, before the slice or the batch was used up."""
        slice_work = 0
        for count, recipient in enumerate(recipients):
            if slice_work >= SLICE_WORK:
                return count
            work = Work()
            if not self._compose(recipient, work):
                self.is_full = True
                return count
            slice_work += MAIL_WORK + work.used
            self._work_used += work.used
            if self._work_used >= BATCH_WORK_MAX:
                self.is_full = True
                return count + 1
        return len(recipients)

    def _compose(self, recipient: Recipient, work: Work) -> bool:
        """False: the mail does not fit into the call any more."""
        outcome = sendability(recipient.state, recipient.suppression_reason)
        if outcome is not None:
            self.settled.append((recipient, outcome))
            return True
        encoded = b""
        try:
            mail = self._context.composer.newsletter_mail(self._content, recipient, self._attempt, work)
            if isinstance(mail, Message):
                encoded = encode_message(mail)
        except Exception as error:  # noqa: BLE001  # it is this mail's fault alone, and the others go
            seq = f"{self._content.issue_id}-{recipient.seq}"
            self._context.set_asides.of("delivery.chunks").hold(f"delivery {seq}", error)
            mail = Unrenderable(f"an unexpected fault ({type(error).__name__}).")
        if isinstance(mail, Unrenderable):
            self.failed += 1
            self.fault = mail.fault
            self.settled.append((recipient, mail.outcome))
        elif isinstance(mail, Message):
            if len(encoded) > self._context.batch_bytes_max:
                self.settled.append((recipient, Failed(TOO_LARGE_ALONE)))
            elif self._bytes + len(encoded) + 1 > self._context.batch_bytes_max and self.prepared:
                return False
            else:
                self._bytes += len(encoded) + 1
                self.prepared.append(Prepared(recipient, mail.to, encoded))
                self.tracks_opens = self.tracks_opens or bool(mail.track_opens)
                self.tracks_links = self.tracks_links or mail.track_links not in {None, NO_LINKS_TRACKED}
        else:
            self.settled.append((recipient, mail))
        return True
