"""The SQL of signing up and confirming: plain functions that take the connection of the caller's transaction.

Lock order, so that no two use cases deadlock: mailbox quota, subscriber, subscription.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts, stored_texts
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.notice_frame import MailLook
from broadsheet_subscriptions.consent.evidence import Evidence, SignUpMail
from broadsheet_subscriptions.consent.interface import (
    EVIDENCE_ARRAY_PARAMETERS,
    EVIDENCE_ARRAYS,
    EVIDENCE_COLUMNS,
    EVIDENCE_VALUES,
    evidence_arrays,
    evidence_parameters,
)
from broadsheet_subscriptions.subscribers.interface import SubscriberRow
from broadsheet_subscriptions.subscribers.linked_subscription import (
    LINKED_COLUMNS,
    LinkedSubscription,
    linked_subscription,
)
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscribers.subscription import State


class Newsletter(msgspec.Struct, frozen=True, kw_only=True):
    """The part of publishing's newsletters that mails about a sign-up need."""

    id: int
    postal_address: str
    language: str
    look: MailLook
    texts: ReaderTexts = OUR_WORDS


NEWSLETTER_COLUMNS = """
    newsletter.newsletter_id, newsletter.name AS newsletter_name, newsletter.postal_address, newsletter.language,
    newsletter.accent_colour, newsletter.logo_url, newsletter.logo_alt, newsletter.texts
"""
"""Of `publishing.published_newsletters AS newsletter`, for `newsletter_of`."""


def newsletter_of(row: sa.Row[Any]) -> Newsletter:
    return Newsletter(
        id=row.newsletter_id,
        postal_address=row.postal_address,
        language=row.language,
        look=MailLook(row.newsletter_name, row.accent_colour, row.logo_url, row.logo_alt),
        texts=stored_texts(row.texts),
    )


class EnteredSignUp(msgspec.Struct, frozen=True):
    """The rows of a sign-up, locked. `mail_is_due`: neither the cool-down nor the mailbox quota holds the mail back."""

    newsletter: Newsletter
    subscriber: SubscriberRow
    subscriber_is_new: bool
    subscription_id: int
    state: State
    mail_is_due: bool


class MailBounds(msgspec.Struct, frozen=True):
    """How much mail sign-ups may cause: one per address and newsletter in `cool_down`, and at most
    `mailbox_mails_max` per mailbox, over all newsletters, in `mailbox_window`.
    """

    cool_down: timedelta
    mailbox_mails_max: int
    mailbox_window: timedelta


class NewSignUp(msgspec.Struct, frozen=True):
    """What `enter_sign_ups` needs of a sign-up. `newsletter` is an id, a slug, or None for the default one."""

    email: EmailAddress
    name: SubscriberName
    newsletter: int | str | None


# One statement for any number of sign-ups, because each costs a round trip. The updates change nothing (except to start
# a new quota window): they lock the rows, and wait for a transaction that is about to insert them. Each part sorts all
# that the one before has returned, which fixes the lock order: all quotas, then all subscribers, then all
# subscriptions, each in the order of their keys. A row that was just inserted has no locker yet (xmax 0).
_ENTER = sa.text(f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest(:newsletter_ids, :slugs, :mailbox_hashes, :emails, :email_keys, :names)
                 WITH ORDINALITY AS one (newsletter_id, slug, mailbox_hash, email, email_key, name, place)
    ), asked AS MATERIALIZED (
        SELECT given.place, given.mailbox_hash, given.email, given.email_key, given.name,
               {NEWSLETTER_COLUMNS}
          FROM given
          JOIN publishing.published_newsletters AS newsletter
            ON CASE WHEN given.newsletter_id IS NOT NULL THEN newsletter.newsletter_id = given.newsletter_id
                    WHEN given.slug IS NOT NULL THEN newsletter.slug = given.slug
                    ELSE newsletter.is_default END
           AND newsletter.archived_at IS NULL
    ), quota AS (
        INSERT INTO subscriptions.mailbox_quota AS kept (mailbox_hash)
        SELECT mailbox_hash FROM asked ORDER BY mailbox_hash
        ON CONFLICT (mailbox_hash) DO UPDATE
           SET mails = CASE WHEN kept.window_began_at <= now() - :window THEN 0 ELSE kept.mails END,
               window_began_at = CASE WHEN kept.window_began_at <= now() - :window THEN now()
                                      ELSE kept.window_began_at END
        RETURNING mailbox_hash, mails < :mails_max AS has_room
    ), person AS (
        INSERT INTO subscriptions.subscriber AS kept (email, email_key, name)
        SELECT asked.email, asked.email_key, asked.name FROM asked JOIN quota USING (mailbox_hash)
         ORDER BY asked.email_key
        ON CONFLICT (email_key) DO UPDATE SET email_key = kept.email_key
        RETURNING id, email, email_key, name, created_at, xmax = 0 AS is_new
    ), held AS (
        INSERT INTO subscriptions.subscription AS kept (newsletter_id, subscriber_id)
        SELECT asked.newsletter_id, person.id FROM asked JOIN person USING (email_key)
         ORDER BY person.id, asked.newsletter_id
        ON CONFLICT (newsletter_id, subscriber_id) DO UPDATE SET state = kept.state
        RETURNING id, subscriber_id, state, coalesce(confirmation_queued_at <= now() - :cool_down, true)
                  AS has_cooled_down
    )
    SELECT asked.place, asked.newsletter_id, asked.newsletter_name, asked.postal_address, asked.language,
           asked.accent_colour, asked.logo_url, asked.logo_alt, asked.texts,
           person.id AS subscriber_id, person.email, person.name, person.created_at, person.is_new,
           held.id AS subscription_id, held.state, held.has_cooled_down AND quota.has_room AS mail_is_due
      FROM asked
      JOIN quota USING (mailbox_hash)
      JOIN person USING (email_key)
      JOIN held ON held.subscriber_id = person.id
""").bindparams(
    sa.bindparam("newsletter_ids", type_=pg.ARRAY(sa.BigInteger)),
    sa.bindparam("slugs", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("mailbox_hashes", type_=pg.ARRAY(sa.LargeBinary)),
    sa.bindparam("emails", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("email_keys", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("names", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("cool_down", type_=sa.Interval),
    sa.bindparam("window", type_=sa.Interval),
)


async def find_newsletter(connection: AsyncConnection, newsletter_id: int) -> Newsletter | None:
    """An archived one too."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {NEWSLETTER_COLUMNS} FROM publishing.published_newsletters AS newsletter
             WHERE newsletter.newsletter_id = :newsletter_id
        """),  # constant columns
        {"newsletter_id": newsletter_id},
    )
    row = result.one_or_none()
    return None if row is None else newsletter_of(row)


async def enter_sign_ups(
    connection: AsyncConnection, sign_ups: Sequence[NewSignUp], bounds: MailBounds
) -> list[EnteredSignUp | None]:
    """Find or create the subscriber and the subscription of each. None, and nothing created, where there is no such
    newsletter.

    A new subscription is pending. An existing subscriber keeps address and name as they are: anybody can fill in the
    form for anybody. No two may be of one mailbox: the second one's quota would depend on the first one's mail.
    """
    result = await connection.execute(
        _ENTER,
        {
            "newsletter_ids": [one.newsletter if isinstance(one.newsletter, int) else None for one in sign_ups],
            "slugs": [one.newsletter if isinstance(one.newsletter, str) else None for one in sign_ups],
            "mailbox_hashes": [hash_mailbox(one.email) for one in sign_ups],
            "emails": [one.email for one in sign_ups],
            "email_keys": [one.email.key for one in sign_ups],
            "names": [one.name for one in sign_ups],
            "mails_max": bounds.mailbox_mails_max,
            "window": bounds.mailbox_window,
            "cool_down": bounds.cool_down,
        },
    )
    entered: list[EnteredSignUp | None] = [None] * len(sign_ups)
    for row in result:
        entered[row.place - 1] = EnteredSignUp(
            newsletter=newsletter_of(row),
            subscriber=SubscriberRow(row.subscriber_id, EmailAddress(row.email), row.name, row.created_at),
            subscriber_is_new=row.is_new,
            subscription_id=row.subscription_id,
            state=row.state,
            mail_is_due=row.mail_is_due,
        )
    return entered


def hash_mailbox(email: EmailAddress) -> bytes:
    return hashlib.sha256(email.mailbox_key.encode()).digest()


class SignUpRequest(msgspec.Struct, frozen=True):
    """A sign-up whose mail is queued. `counts_for`: the address whose mailbox quota, locked by `enter_sign_ups`, counts
    the mail; None for no quota.
    """

    subscription_id: int
    counts_for: EmailAddress | None
    mail: SignUpMail
    mail_key: str
    token_hash: bytes
    evidence: Evidence


_RECORD = sa.text(f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest(:subscription_ids, :token_hashes, :mailbox_hashes, :mails, :mail_keys,
                             {EVIDENCE_ARRAYS})
                   AS one (subscription_id, token_hash, mailbox_hash, mail, mail_key, {EVIDENCE_COLUMNS})
    ), held AS (
        UPDATE subscriptions.subscription AS kept
           SET state = CASE WHEN kept.state = 'confirmed' THEN kept.state ELSE 'pending' END,
               confirmation_queued_at = now()
          FROM given WHERE kept.id = given.subscription_id
        RETURNING kept.id, kept.subscriber_id, kept.newsletter_id
    ), token AS (
        INSERT INTO subscriptions.confirmation_token (token_hash, subscription_id, expires_at)
        SELECT given.token_hash, held.id, now() + :lifetime
          FROM held JOIN given ON given.subscription_id = held.id
    ), counted AS (
        UPDATE subscriptions.mailbox_quota AS kept SET mails = kept.mails + 1
          FROM given WHERE kept.mailbox_hash = given.mailbox_hash
    ), noted AS (
        INSERT INTO subscriptions.consent_event
               (subscriber_id, newsletter_id, kind, mail, mail_key, {EVIDENCE_COLUMNS})
        SELECT held.subscriber_id, held.newsletter_id, 'requested', given.mail, given.mail_key,
               given.source, given.actor, CAST(given.ip AS inet), given.user_agent, given.form_url,
               given.wording_version
          FROM held JOIN given ON given.subscription_id = held.id
        RETURNING id
    )
    INSERT INTO subscriptions.unsettled_mail (consent_event_id) SELECT id FROM noted
""").bindparams(  # constants
    sa.bindparam("subscription_ids", type_=pg.ARRAY(sa.BigInteger)),
    sa.bindparam("token_hashes", type_=pg.ARRAY(sa.LargeBinary)),
    sa.bindparam("mailbox_hashes", type_=pg.ARRAY(sa.LargeBinary)),
    sa.bindparam("mails", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("mail_keys", type_=pg.ARRAY(sa.Text)),
    sa.bindparam("lifetime", type_=sa.Interval),
    *EVIDENCE_ARRAY_PARAMETERS,
)


async def record_requests(
    connection: AsyncConnection, requests: Sequence[SignUpRequest], *, lifetime: timedelta
) -> None:
    """Record sign-ups whose mails are queued: for each the token, the counts, and the consent entry.

    A confirmed subscription stays confirmed. A token is stored for it too, although nobody is sent its text: the
    work must be the same in both cases (timing side channel).
    """
    await connection.execute(
        _RECORD,
        {
            "subscription_ids": [one.subscription_id for one in requests],
            "token_hashes": [one.token_hash for one in requests],
            "mailbox_hashes": [None if one.counts_for is None else hash_mailbox(one.counts_for) for one in requests],
            "lifetime": lifetime,
            "mails": [one.mail for one in requests],
            "mail_keys": [one.mail_key for one in requests],
            **evidence_arrays([one.evidence for one in requests]),
        },
    )


class AskableSubscription(msgspec.Struct, frozen=True):
    """A subscription, locked, with its person and newsletter. `is_archived`: the newsletter takes no sign-ups.
    `next_mail_at`: when the cool-down is over, if it is not.
    """

    id: int
    state: State
    email: EmailAddress
    newsletter: Newsletter
    is_archived: bool
    next_mail_at: datetime | None


async def hold_quota(connection: AsyncConnection, email: EmailAddress, bounds: MailBounds) -> datetime | None:
    """Lock the quota of the address's mailbox, which comes first in the lock order. When it is open again; None: it
    has room.
    """
    result = await connection.execute(
        sa.text("""
            INSERT INTO subscriptions.mailbox_quota AS kept (mailbox_hash) VALUES (:mailbox_hash)
            ON CONFLICT (mailbox_hash) DO UPDATE
               SET mails = CASE WHEN kept.window_began_at <= now() - :window THEN 0 ELSE kept.mails END,
                   window_began_at = CASE WHEN kept.window_began_at <= now() - :window THEN now()
                                          ELSE kept.window_began_at END
            RETURNING CASE WHEN mails >= :mails_max THEN window_began_at + :window END
        """).bindparams(sa.bindparam("window", type_=sa.Interval)),
        {
            "mailbox_hash": hash_mailbox(email),
            "window": bounds.mailbox_window,
            "mails_max": bounds.mailbox_mails_max,
        },
    )
    found: datetime | None = result.scalar_one()
    return found


async def hold_subscription(
    connection: AsyncConnection, *, subscriber_id: int, newsletter_id: int, bounds: MailBounds
) -> AskableSubscription | None:
    """Locks the person and then the subscription. None: there is no such one."""
    result = await connection.execute(
        sa.text(f"""
            WITH person AS MATERIALIZED (
                SELECT id, email FROM subscriptions.subscriber WHERE id = :subscriber_id FOR UPDATE
            )
            SELECT subscription.id, subscription.state, person.email, {NEWSLETTER_COLUMNS},
                   newsletter.archived_at IS NOT NULL AS is_archived,
                   CASE WHEN subscription.confirmation_queued_at > now() - :cool_down
                        THEN subscription.confirmation_queued_at + :cool_down END AS next_mail_at
              FROM person
              JOIN subscriptions.subscription ON subscription.subscriber_id = person.id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
             WHERE subscription.newsletter_id = :newsletter_id
               FOR UPDATE OF subscription
        """).bindparams(sa.bindparam("cool_down", type_=sa.Interval)),  # constant columns
        {"subscriber_id": subscriber_id, "newsletter_id": newsletter_id, "cool_down": bounds.cool_down},
    )
    row = result.one_or_none()
    if row is None:
        return None
    return AskableSubscription(
        id=row.id,
        state=row.state,
        email=EmailAddress(row.email),
        newsletter=newsletter_of(row),
        is_archived=row.is_archived,
        next_mail_at=row.next_mail_at,
    )


async def find_block(connection: AsyncConnection, email: EmailAddress) -> SuppressionKind | None:
    """Why mail to the address is held back on some stream, except that they left: who comes back may be asked again."""
    result = await connection.execute(
        sa.text("""
            SELECT kind FROM delivery.published_suppressed
             WHERE email_key = :email_key AND kind <> 'unsubscribe' ORDER BY changed_at LIMIT 1
        """),
        {"email_key": email.key},
    )
    found: SuppressionKind | None = result.scalar_one_or_none()
    return found


async def find_by_token(connection: AsyncConnection, token_hash: bytes, *, lock: bool) -> LinkedSubscription | None:
    """What an unexpired confirmation token refers to. Locks the subscriber first, in the common lock order."""
    result = await connection.execute(
        sa.text(f"""
            WITH linked AS MATERIALIZED (
                SELECT subscription.id
                  FROM subscriptions.confirmation_token AS token
                  JOIN subscriptions.subscription ON subscription.id = token.subscription_id
                  JOIN subscriptions.subscriber ON subscriber.id = subscription.subscriber_id
                 WHERE token.token_hash = :token_hash AND token.expires_at > now()
                {"FOR KEY SHARE OF subscriber" if lock else ""}
            )
            SELECT {LINKED_COLUMNS}
              FROM linked
              JOIN subscriptions.subscription ON subscription.id = linked.id
              JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
            {"FOR UPDATE OF subscription" if lock else ""}
        """),  # constant texts
        {"token_hash": token_hash},
    )
    return linked_subscription(result.one_or_none())


async def set_confirmed(
    connection: AsyncConnection, *, subscription_id: int, token_hash: bytes, evidence: Evidence
) -> bool:
    """Whether this person was never confirmed on this newsletter before, in whatever way."""
    result = await connection.execute(
        # All parts see the rows as they were before this statement.
        sa.text(f"""
            WITH before AS MATERIALIZED (
                -- An import that was undone may have taken `confirmed_at` back. Not `EXISTS`: for that, Postgres may
                -- read the whole table, and keep to it when the table has grown.
                SELECT held.confirmed_at IS NULL AND (
                           SELECT earlier.id FROM subscriptions.consent_event AS earlier
                            WHERE earlier.subscriber_id = held.subscriber_id
                              AND earlier.newsletter_id = held.newsletter_id AND earlier.kind = 'confirmed'
                            LIMIT 1) IS NULL AS is_first
                  FROM subscriptions.subscription AS held WHERE held.id = :subscription_id
            ), used AS (
                UPDATE subscriptions.confirmation_token SET used_at = now()
                 WHERE token_hash = :token_hash AND used_at IS NULL
            ), held AS (
                UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now()
                 WHERE id = :subscription_id
                RETURNING subscriber_id, newsletter_id
            )
            INSERT INTO subscriptions.consent_event (subscriber_id, newsletter_id, kind, {EVIDENCE_COLUMNS})
            SELECT subscriber_id, newsletter_id, 'confirmed', {EVIDENCE_VALUES} FROM held
            RETURNING (SELECT is_first FROM before)
        """),  # constants
        {
            "subscription_id": subscription_id,
            "token_hash": token_hash,
            **evidence_parameters(evidence),
        },
    )
    return bool(result.scalar_one())
