"""Sign somebody up: one transaction from the address to the queued confirmation mail.

The public form's answer is the same for a new, pending, confirmed, suppressed or unsubscribed address, and so is
the work: a mail is written, recorded and enqueued in a savepoint every time, and rolled back if none is due. A
confirmed subscriber is told so by mail, within the same limits. Whether an address is suppressed is known to
delivery only: the mail is enqueued like any other, and not sent.
"""

from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.erasure import enter_addresses
from broadsheet_common.contracts.queue import SingleMail, enqueue_single_mail
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.confirmation_mail import write_already_subscribed_mail, write_confirmation_mail
from broadsheet_subscriptions.sign_up.confirmation_token import TokenSource, hash_token
from broadsheet_subscriptions.subscribers.address_flags import AddressFlag, flags_of
from broadsheet_subscriptions.subscribers.interface import SubscriberRow
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscribers.subscription import state_after_sign_up

_REFUSALS: dict[AddressFlag, str] = {
    "role": "This address belongs to an office, not to a person: please use one of your own.",
    "disposable": "Addresses that are only for a while are not taken here: please use another.",
}


class SignUp(msgspec.Struct, frozen=True):
    """A sign-up whose fields are valid; `newsletter` is an id, a slug, or None for the default one."""

    email: EmailAddress
    name: SubscriberName
    newsletter: int | str | None
    evidence: Evidence


class ConfirmationPolicy(msgspec.Struct, frozen=True):
    """How sign-ups are confirmed: host and lifetime of the link, limits on mail, the source of tokens, and the keys
    by which erased addresses are recognised.
    """

    public_url: str
    lifetime: timedelta
    bounds: store.MailBounds
    token_source: TokenSource
    address_hasher: AddressHasher


class SignedUp(msgspec.Struct, frozen=True):
    """`is_new`: the address was unknown before; `mail_queued`: a mail was queued."""

    subscriber: SubscriberRow
    is_new: bool
    mail_queued: bool


def parse_sign_up(
    *,
    email: str,
    name: str,
    newsletter: int | str | None,
    evidence: Evidence,
    refused: frozenset[AddressFlag] = frozenset(),
) -> SignUp:
    """`refused`: addresses with one of these flags are refused. Raises `InvalidInputError` with every fault."""
    problems: list[FieldProblem] = []
    address: EmailAddress | None = None
    parsed_name: SubscriberName | None = None
    try:
        address = EmailAddress.parse(email)
    except ValueError as error:
        problems.append(FieldProblem(pointer="/email", detail=str(error)))
    else:
        problems += [FieldProblem(pointer="/email", detail=_REFUSALS[f]) for f in flags_of(address) if f in refused]
    try:
        parsed_name = SubscriberName.parse(name)
    except ValueError as error:
        problems.append(FieldProblem(pointer="/name", detail=str(error)))
    if address is None or parsed_name is None or problems:
        raise InvalidInputError(errors=tuple(problems))
    return SignUp(address, parsed_name, newsletter, evidence)


async def subscribe(connection: AsyncConnection, sign_up: SignUp, policy: ConfirmationPolicy) -> SignedUp:
    """In the caller's transaction: subscriber, subscription, token and mail, or none of them.

    Raises:
        InvalidInputError: there is no such newsletter.
    """
    entered = await store.enter_sign_up(
        connection, email=sign_up.email, name=sign_up.name, newsletter=sign_up.newsletter, bounds=policy.bounds
    )
    if entered is None:
        pointer = "/newsletter" if isinstance(sign_up.newsletter, str) else "/newsletter_id"
        raise InvalidInputError(errors=(FieldProblem(pointer=pointer, detail="There is no such newsletter."),))
    # For every address, under its row's lock: an address that was suppressed when it was erased stays suppressed.
    await enter_addresses(connection, policy.address_hasher, [sign_up.email.key])
    async with connection.begin_nested() as savepoint:
        await _queue_mail(connection, entered, sign_up, policy)
        if not entered.mail_is_due:
            await savepoint.rollback()
    return SignedUp(entered.subscriber, entered.subscriber_is_new, entered.mail_is_due)


async def _queue_mail(
    connection: AsyncConnection, entered: store.EnteredSignUp, sign_up: SignUp, policy: ConfirmationPolicy
) -> None:
    token = policy.token_source()
    token_hash = hash_token(token)
    mail_key = f"confirmation:{token_hash.hex()}"
    newsletter = entered.newsletter
    asks_to_confirm = state_after_sign_up(entered.state) == "pending"
    if asks_to_confirm:
        mail = write_confirmation_mail(
            newsletter_name=newsletter.name,
            postal_address=newsletter.postal_address,
            public_url=policy.public_url,
            token=token,
            lifetime_s=int(policy.lifetime.total_seconds()),
        )
    else:
        mail = write_already_subscribed_mail(newsletter_name=newsletter.name, postal_address=newsletter.postal_address)
    await store.record_request(
        connection,
        entered.subscription_id,
        counts_for=sign_up.email,
        mail="confirmation" if asks_to_confirm else "already_subscribed",
        mail_key=mail_key,
        token_hash=token_hash,
        lifetime=policy.lifetime,
        evidence=sign_up.evidence,
    )
    await enqueue_single_mail(
        connection,
        SingleMail(
            kind="confirmation",
            to=entered.subscriber.email,
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=mail_key,
            expires_in=policy.lifetime,
        ),
    )
