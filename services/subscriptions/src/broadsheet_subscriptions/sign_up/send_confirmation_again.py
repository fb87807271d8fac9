"""Send somebody the mail that asks to confirm once more, because an operator says so.

It is the sign-up's mail with a link of its own, within the limits that sign-ups have. A sign-up that is held back looks
like any other from outside; an operator is told why nothing was sent.
"""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.suppression import REASONS
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy, SignUpMailing, queue_mails
from broadsheet_subscriptions.subscribers.change_source import begin_change
from broadsheet_subscriptions.subscribers.interface import find_subscriber


class NotPendingError(ConflictError):
    slug, title = "not-pending", "There is nothing to confirm"


class AddressBlockedError(ConflictError):
    slug, title = "address-blocked", "Mail to this address is held back"


class SentLatelyError(ConflictError):
    """Its detail, and `Retry-After`, say how long to wait. A time of day would need a zone, and who reads it has one
    that is not known here.
    """

    slug, title = "sent-lately", "A mail of this kind was sent a moment ago"

    def __init__(self, cause: str, *, again_at: datetime) -> None:
        wait_s = max(1, int((again_at - datetime.now(UTC)).total_seconds()) + 1)
        super().__init__(
            f"{cause} It can be sent again in {wait_in_words(wait_s)}.", headers={"Retry-After": str(wait_s)}
        )


async def send_confirmation_again(
    connection: AsyncConnection,
    *,
    subscriber_id: int,
    newsletter_id: int,
    policy: ConfirmationPolicy,
    evidence: Evidence,
) -> None:
    """In the caller's transaction: token, entry in the consent record, and mail.

    Raises:
        NotFoundError: there is no such subscriber, or not any more.
        InvalidInputError: they have no subscription to the newsletter.
        NotPendingError: it is confirmed, they left, or the newsletter is archived.
        AddressBlockedError: the address bounced, complained, or was suppressed by hand.
        SentLatelyError: within the cool-down, or the mailbox has had its share of such mails.
    """
    await begin_change(connection, "operator")
    known = await find_subscriber(connection, subscriber_id)
    if known is None:
        raise NotFoundError("There is no such subscriber.")
    quota_opens_at = await store.hold_quota(connection, known.email, policy.bounds)
    held = await store.hold_subscription(
        connection, subscriber_id=subscriber_id, newsletter_id=newsletter_id, bounds=policy.bounds
    )
    if held is None:
        fault = FieldProblem(pointer="/newsletter_id", detail="The subscriber has no subscription to it.")
        raise InvalidInputError(errors=(fault,))
    _require_pending(held)
    if held.email != known.email:
        raise ConflictError("The address was changed at this moment. Try again.")
    if (kind := await store.find_block(connection, held.email)) is not None:
        raise AddressBlockedError(f"Mail to this address is held back: {REASONS[kind]}")
    if held.next_mail_at is not None:
        raise SentLatelyError("They were sent one a moment ago.", again_at=held.next_mail_at)
    if quota_opens_at is not None:
        raise SentLatelyError("This mailbox has had as many sign-up mails as one may get.", again_at=quota_opens_at)
    mailing = SignUpMailing(
        subscription_id=held.id,
        to=held.email,
        counts_for=held.email,
        newsletter=held.newsletter,
        asks_to_confirm=True,
        evidence=evidence,
    )
    await queue_mails(connection, [mailing], policy)


def _require_pending(held: store.AskableSubscription) -> None:
    if held.state == "confirmed":
        raise NotPendingError("They have confirmed already.")
    if held.state == "unsubscribed":
        raise NotPendingError("They left, and can be asked again only after they sign up again themselves.")
    if held.is_archived:
        raise NotPendingError("The newsletter is archived, and takes no sign-ups.")


def wait_in_words(wait_s: int) -> str:
    """In whole seconds, minutes or hours, rounded up: when it is over, the mail can be sent."""
    unit_s = next(unit_s for unit_s in (3_600, 60, 1) if wait_s >= unit_s)
    return duration_in_words(-(-wait_s // unit_s) * unit_s)
