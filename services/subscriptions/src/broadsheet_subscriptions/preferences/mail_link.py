"""Mail a subscriber a link to their preference page, requested with an unsubscribe link.

An unsubscribe link may have been forwarded, so it must not open a page with personal data. The link that does is
sent to the subscriber's address, works for a short time, and is sent at most once per cool-down.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.contracts.queue import ReaderMail, enqueue_reader_mail
from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_subscriptions.preferences import store
from broadsheet_subscriptions.preferences.mails import write_link_mail
from broadsheet_subscriptions.preferences.policy import MAILS_A_DAY_MAX, PreferencesPolicy
from broadsheet_subscriptions.sign_up.confirmation_token import hash_token


async def mail_preferences_link(
    connection: AsyncConnection, signer: LinkSigner, policy: PreferencesPolicy, unsubscribe_token: str
) -> bool:
    """In the caller's transaction. Returns whether a mail was queued. An unknown token gets the same answer as a
    valid one.
    """
    subscription_id = signer.verify("unsubscribe", unsubscribe_token)
    if subscription_id is None or subscription_id > RECORD_ID_MAX:
        return False
    subscriber_id = await store.find_subscriber_of(connection, subscription_id)
    # The lock serialises two presses of the button.
    person = await store.find_person(connection, subscriber_id, lock=True) if subscriber_id is not None else None
    if person is None or not await store.may_mail_link(
        connection, person.id, cool_down=policy.cool_down, day_max=MAILS_A_DAY_MAX
    ):
        return False
    token = policy.token_source()
    token_hash = hash_token(token)
    await store.insert_link(connection, subscriber_id=person.id, token_hash=token_hash, lifetime=policy.link_lifetime)
    voice = await store.find_voice(connection, person.id)
    mail = write_link_mail(
        public_url=policy.public_url,
        token=token,
        lifetime_s=int(policy.link_lifetime.total_seconds()),
        language=voice.language,
        look=voice.look,
    )
    await enqueue_reader_mail(
        connection,
        ReaderMail(
            kind="preferences_link",
            newsletter_id=voice.newsletter_id,
            to=person.email,
            subject=mail.subject,
            html_body=mail.html_body,
            text_body=mail.text_body,
            dedupe_key=f"preferences_link:{token_hash.hex()}",
            expires_in=policy.link_lifetime,
        ),
    )
    return True
