"""Sign somebody up: one transaction from the address to the queued confirmation mail.

The public form's answer is the same for a new, pending, confirmed, suppressed or unsubscribed address, and so is
the work: a mail is written, recorded and enqueued in a savepoint every time, and rolled back if none is due. A
confirmed subscriber is told so by mail, within the same limits. Whether an address is suppressed is known to
delivery only: the mail is enqueued like any other, and not sent.

Sign-ups that arrive together share a transaction and its statements (docs/decisions/0024-sign-up-batches.md).
"""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.erasure import enter_addresses
from broadsheet_common.contracts.queue import ReaderMail, enqueue_reader_mails
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.consent.evidence import Evidence
from broadsheet_subscriptions.sign_up import store
from broadsheet_subscriptions.sign_up.confirmation_mail import (
    ConfirmationMail,
    write_already_subscribed_mail,
    write_confirmation_mail,
)
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
    """A sign-up whose fields are valid; `newsletter` is an id, a slug, or None for the default one. `traceparent`: the
    trace that its mail belongs to; None is the current one.
    """

    email: EmailAddress
    name: SubscriberName
    newsletter: int | str | None
    evidence: Evidence
    traceparent: str | None = None


class ConfirmationPolicy(msgspec.Struct, frozen=True):
    """How sign-ups are confirmed: host and lifetime of the link, limits on mail, the source of tokens, and the keys
    by which erased addresses are recognised.
    """

    public_url: str
    lifetime: timedelta
    bounds: store.MailBounds
    token_source: TokenSource
    address_hasher: AddressHasher


class SignUpMailing(msgspec.Struct, frozen=True, kw_only=True):
    """A mail about a subscription, and what asked for it. `asks_to_confirm`: with a link; else it says that they are
    subscribed already. `counts_for`: the address whose mailbox quota, locked before, counts it; None for no quota.
    """

    subscription_id: int
    to: EmailAddress
    counts_for: EmailAddress | None
    newsletter: store.Newsletter
    asks_to_confirm: bool
    evidence: Evidence
    traceparent: str | None = None


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
    traceparent: str | None = None,
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
    return SignUp(address, parsed_name, newsletter, evidence, traceparent)


async def subscribe(connection: AsyncConnection, sign_up: SignUp, policy: ConfirmationPolicy) -> SignedUp:
    """In the caller's transaction: subscriber, subscription, token and mail, or none of them.

    Raises:
        InvalidInputError: there is no such newsletter.
    """
    [signed_up] = await subscribe_all(connection, [sign_up], policy)
    if isinstance(signed_up, InvalidInputError):
        raise signed_up
    return signed_up


async def subscribe_all(
    connection: AsyncConnection, sign_ups: Sequence[SignUp], policy: ConfirmationPolicy
) -> list[SignedUp | InvalidInputError]:
    """As `subscribe`, for sign-ups of different mailboxes in one transaction, with as many statements as for one. The
    result of each, in order; one for which there is no such newsletter changes nothing.

    Raises ValueError if two are of one mailbox: what the second one gets depends on the first one.
    """
    if len({one.email.mailbox_key for one in sign_ups}) != len(sign_ups):
        raise ValueError("two sign-ups of one mailbox cannot be written together")
    wanted = [store.NewSignUp(one.email, one.name, one.newsletter) for one in sign_ups]
    rows = await store.enter_sign_ups(connection, wanted, policy.bounds)
    entered = [(one, row) for one, row in zip(sign_ups, rows, strict=True) if row is not None]
    if entered:
        # For every address, under its row's lock: an address that was suppressed when it was erased stays suppressed.
        await enter_addresses(connection, policy.address_hasher, [one.email.key for one, _ in entered])
    for is_due in (True, False):
        mailed = [(one, row) for one, row in entered if row.mail_is_due == is_due]
        if not mailed:
            continue
        async with connection.begin_nested() as savepoint:
            await queue_mails(connection, [_mail_of(one, row) for one, row in mailed], policy)
            if not is_due:
                await savepoint.rollback()
    return [_result(one, row) for one, row in zip(sign_ups, rows, strict=True)]


def _result(sign_up: SignUp, entered: store.EnteredSignUp | None) -> SignedUp | InvalidInputError:
    if entered is None:
        pointer = "/newsletter" if isinstance(sign_up.newsletter, str) else "/newsletter_id"
        return InvalidInputError(errors=(FieldProblem(pointer=pointer, detail="There is no such newsletter."),))
    return SignedUp(entered.subscriber, entered.subscriber_is_new, entered.mail_is_due)


def _mail_of(sign_up: SignUp, row: store.EnteredSignUp) -> SignUpMailing:
    return SignUpMailing(
        subscription_id=row.subscription_id,
        to=row.subscriber.email,
        counts_for=sign_up.email,
        newsletter=row.newsletter,
        asks_to_confirm=state_after_sign_up(row.state) == "pending",
        evidence=sign_up.evidence,
        traceparent=sign_up.traceparent,
    )


async def queue_mails(
    connection: AsyncConnection, mailings: Sequence[SignUpMailing], policy: ConfirmationPolicy
) -> None:
    """In the caller's transaction, which has locked the subscriptions: tokens, entries in the consent record, and
    mails.
    """
    requests: list[store.SignUpRequest] = []
    mails: list[ReaderMail] = []
    for one in mailings:
        token = policy.token_source()
        token_hash = hash_token(token)
        mail_key = f"confirmation:{token_hash.hex()}"
        mail = write_mail(one.newsletter, token, policy) if one.asks_to_confirm else write_already(one.newsletter)
        requests.append(
            store.SignUpRequest(
                subscription_id=one.subscription_id,
                counts_for=one.counts_for,
                mail="confirmation" if one.asks_to_confirm else "already_subscribed",
                mail_key=mail_key,
                token_hash=token_hash,
                evidence=one.evidence,
            )
        )
        mails.append(
            ReaderMail(
                kind="confirmation",
                newsletter_id=one.newsletter.id,
                to=one.to,
                subject=mail.subject,
                html_body=mail.html_body,
                text_body=mail.text_body,
                dedupe_key=mail_key,
                expires_in=policy.lifetime,
                traceparent=one.traceparent,
            )
        )
    await store.record_requests(connection, requests, lifetime=policy.lifetime)
    await enqueue_reader_mails(connection, mails)


def write_mail(newsletter: store.Newsletter, token: str, policy: ConfirmationPolicy) -> ConfirmationMail:
    """The one that asks to confirm."""
    return write_confirmation_mail(
        look=newsletter.look,
        postal_address=newsletter.postal_address,
        language=newsletter.language,
        texts=newsletter.texts,
        public_url=policy.public_url,
        token=token,
        lifetime_s=int(policy.lifetime.total_seconds()),
    )


def write_already(newsletter: store.Newsletter) -> ConfirmationMail:
    """The one that says that they are subscribed already."""
    return write_already_subscribed_mail(
        look=newsletter.look,
        postal_address=newsletter.postal_address,
        language=newsletter.language,
        texts=newsletter.texts,
    )
