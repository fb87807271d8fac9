"""Change a subscriber's address: requested with a link sent to the old address, confirmed with a link sent to the
new one.

Consent that was recorded under the old address stays with the subscriber, and the change gets a record of its
own. The old address is notified when the change is requested and when it is made.
"""

from datetime import timedelta
from typing import Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.erasure import enter_addresses
from broadsheet_common.contracts.queue import ReaderMail, enqueue_reader_mail
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.notice_mail import Mail
from broadsheet_subscriptions.preferences import store
from broadsheet_subscriptions.preferences.mails import write_change_mail, write_notice_mail
from broadsheet_subscriptions.preferences.open_link import UnknownPreferencesTokenError, open_change, open_link
from broadsheet_subscriptions.preferences.policy import MAILS_A_DAY_MAX, PreferencesPolicy
from broadsheet_subscriptions.preferences.store import AddressChange, Voice
from broadsheet_subscriptions.sign_up.confirmation_token import hash_token

_NOTICE_LIFETIME = timedelta(days=7)


class AddressTakenError(ConflictError):
    """Shown only to somebody who can read the mailbox of that address."""

    slug, title = "address-taken", "This address has subscriptions of its own"


async def ask_for_address(
    connection: AsyncConnection, hasher: AddressHasher, policy: PreferencesPolicy, token: str, email: str
) -> None:
    """In the caller's transaction: queues a confirmation mail to the new address and a notice to the old one.

    The answer is the same whether or not the cool-down holds the mail back, and whether or not the address is in
    use.

    Raises:
        UnknownPreferencesTokenError, PersonErasedError
        InvalidInputError: the address is invalid, or is the current one.
    """
    try:
        new_email = EmailAddress.parse(email)
    except ValueError as error:
        raise InvalidInputError(errors=(FieldProblem(pointer="/email", detail=str(error)),)) from error
    person = await open_link(connection, token, lock=True)
    if new_email == person.email:
        raise InvalidInputError(errors=(FieldProblem(pointer="/email", detail="This is your address already."),))
    if not await store.may_ask_for_address(
        connection, person.id, new_email_key=new_email.key, cool_down=policy.cool_down, day_max=MAILS_A_DAY_MAX
    ):
        return
    # Checked before the mail is queued: an address that was suppressed when it was erased gets no mail.
    await enter_addresses(connection, hasher, [new_email.key])
    change_token = policy.token_source()
    token_hash = hash_token(change_token)
    await store.insert_change(
        connection, person, new_email=new_email, token_hash=token_hash, lifetime=policy.change_lifetime
    )
    voice = await store.find_voice(connection, person.id)
    question = write_change_mail(
        public_url=policy.public_url,
        token=change_token,
        lifetime_s=int(policy.change_lifetime.total_seconds()),
        language=voice.language,
        look=voice.look,
    )
    await _enqueue(connection, voice, "address_change", new_email, question, token_hash, policy.change_lifetime)
    notice = write_notice_mail(moved=False, language=voice.language, look=voice.look)
    await _enqueue(connection, voice, "address_notice", person.email, notice, token_hash, _NOTICE_LIFETIME)


async def look_up_change(connection: AsyncConnection, token: str) -> AddressChange:
    """What the link refers to. Changes nothing. Raises UnknownPreferencesTokenError."""
    return await open_change(connection, token)


async def confirm_address(connection: AsyncConnection, hasher: AddressHasher, token: str) -> AddressChange:
    """In the caller's transaction. Repeating it succeeds.

    Raises:
        UnknownPreferencesTokenError
        AddressTakenError: another subscriber has it.
    """
    change = await open_change(connection, token)
    person = await store.find_person(connection, change.subscriber_id, lock=True)
    # Read again under the lock: it may have been confirmed, replaced or erased since.
    change = await open_change(connection, token)
    if change.is_confirmed:
        return change
    if person is None or person.email.key != change.old_email.key:
        raise UnknownPreferencesTokenError
    try:
        async with connection.begin_nested():
            is_moved = await store.make_change(connection, change)
    except IntegrityError as error:
        # Another subscriber took the address just now.
        raise AddressTakenError from error
    if not is_moved:
        raise AddressTakenError
    await enter_addresses(connection, hasher, [change.new_email.key])
    voice = await store.find_voice(connection, person.id)
    notice = write_notice_mail(moved=True, language=voice.language, look=voice.look)
    token_hash = hash_token(token)
    await _enqueue(connection, voice, "address_notice", change.old_email, notice, token_hash, _NOTICE_LIFETIME, "moved")
    return await open_change(connection, token)


async def _enqueue(
    connection: AsyncConnection,
    voice: Voice,
    kind: Literal["address_change", "address_notice"],
    to: EmailAddress,
    mail: Mail,
    token_hash: bytes,
    expires_in: timedelta,
    step: str = "asked",
) -> None:
    await enqueue_reader_mail(
        connection,
        ReaderMail(
            kind=kind,
            newsletter_id=voice.newsletter_id,
            to=to,
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"{kind}:{step}:{token_hash.hex()}",
            expires_in=expires_in,
        ),
    )
