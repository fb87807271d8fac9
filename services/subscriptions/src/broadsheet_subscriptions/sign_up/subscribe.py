"""Sign somebody up: one transaction from the address to the queued confirmation mail.

What the caller of the public form learns is the same for a new, a pending, a confirmed and a departed address, and so
is the work: the mail is written and enqueued in a savepoint every time, and taken back when none is due.
"""

from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress
from broadsheet_common.problems import FieldProblem, InvalidInputError
from broadsheet_common.queue import SingleMail, enqueue_single_mail
from broadsheet_subscriptions.people.store import SubscriberRow
from broadsheet_subscriptions.people.subscriber_name import SubscriberName
from broadsheet_subscriptions.people.subscription import state_after_sign_up
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.confirmation_mail import write_confirmation_mail
from broadsheet_subscriptions.sign_up.confirmation_token import TokenSource, hash_token


class SignUp(msgspec.Struct, frozen=True):
    """A sign-up whose fields are valid; `newsletter_id` None is the default newsletter."""

    email: EmailAddress
    name: SubscriberName
    newsletter_id: int | None


class ConfirmationPolicy(msgspec.Struct, frozen=True):
    """How sign-ups are confirmed: link host, lifetime, cool-down, and where tokens come from."""

    public_url: str
    lifetime: timedelta
    cool_down: timedelta
    token_source: TokenSource


class SignedUp(msgspec.Struct, frozen=True):
    """`is_new`: the address was not known before; `mail_queued`: a confirmation mail is on its way."""

    subscriber: SubscriberRow
    is_new: bool
    mail_queued: bool


def parse_sign_up(*, email: str, name: str, newsletter_id: int | None) -> SignUp:
    """Raises `InvalidInputError` that names every field at fault."""
    problems: list[FieldProblem] = []
    address: EmailAddress | None = None
    parsed_name: SubscriberName | None = None
    try:
        address = EmailAddress.parse(email)
    except ValueError as error:
        problems.append(FieldProblem(pointer="/email", detail=str(error)))
    try:
        parsed_name = SubscriberName.parse(name)
    except ValueError as error:
        problems.append(FieldProblem(pointer="/name", detail=str(error)))
    if address is None or parsed_name is None:
        raise InvalidInputError(errors=tuple(problems))
    return SignUp(address, parsed_name, newsletter_id)


async def subscribe(connection: AsyncConnection, sign_up: SignUp, policy: ConfirmationPolicy) -> SignedUp:
    """In the caller's transaction: subscriber, subscription, token and mail, or none of them.

    Raises:
        InvalidInputError: there is no such newsletter.
    """
    entered = await store.enter_sign_up(
        connection,
        email=sign_up.email,
        name=sign_up.name,
        newsletter_id=sign_up.newsletter_id,
        cool_down=policy.cool_down,
    )
    if entered is None:
        raise InvalidInputError(errors=(FieldProblem(pointer="/newsletter_id", detail="There is no such newsletter."),))
    mail_queued = state_after_sign_up(entered.state) == "pending" and entered.mail_is_due
    async with connection.begin_nested() as savepoint:
        await _queue_confirmation(connection, entered, policy)
        if not mail_queued:
            await savepoint.rollback()
    return SignedUp(entered.subscriber, entered.subscriber_is_new, mail_queued)


async def _queue_confirmation(
    connection: AsyncConnection, entered: store.EnteredSignUp, policy: ConfirmationPolicy
) -> None:
    token = policy.token_source()
    token_hash = hash_token(token)
    mail = write_confirmation_mail(
        newsletter_name=entered.newsletter.name,
        postal_address=entered.newsletter.postal_address,
        public_url=policy.public_url,
        token=token,
        lifetime_s=int(policy.lifetime.total_seconds()),
    )
    await store.set_pending_with_token(
        connection, subscription_id=entered.subscription_id, token_hash=token_hash, lifetime=policy.lifetime
    )
    await enqueue_single_mail(
        connection,
        SingleMail(
            kind="confirmation",
            to=entered.subscriber.email,
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"confirmation:{token_hash.hex()}",
            expires_in=policy.lifetime,
        ),
    )
