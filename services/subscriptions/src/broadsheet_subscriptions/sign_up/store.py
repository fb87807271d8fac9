"""The SQL of signing up and confirming: plain functions that take the connection of the caller's transaction.

Lock order, so that no two use cases deadlock: mailbox quota, subscriber, subscription.
"""

import hashlib
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.consent.evidence import Evidence, SignUpMail
from broadsheet_subscriptions.consent.interface import EVIDENCE_COLUMNS, EVIDENCE_VALUES, evidence_parameters
from broadsheet_subscriptions.subscribers.interface import SubscriberRow
from broadsheet_subscriptions.subscribers.linked_subscription import (
    LINKED_COLUMNS,
    LinkedSubscription,
    linked_subscription,
)
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscribers.subscription import State


class Newsletter(msgspec.Struct, frozen=True):
    """The part of publishing's newsletters that this service needs."""

    id: int
    name: str
    postal_address: str


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


async def enter_sign_up(
    connection: AsyncConnection,
    *,
    email: EmailAddress,
    name: SubscriberName,
    newsletter: int | str | None,
    bounds: MailBounds,
) -> EnteredSignUp | None:
    """Find or create the subscriber and the subscription. Returns None, and creates nothing, if there is no such
    newsletter.

    `newsletter` is an id, a slug, or None for the default one. A new subscription is pending. An existing
    subscriber keeps address and name as they are: anybody can fill in the form for anybody.
    """
    result = await connection.execute(
        # One statement, because each costs a round trip. The updates change nothing (except to start a new quota
        # window): they lock the rows, and wait for a transaction that is about to insert them. Each reads the one
        # before, which fixes the lock order. A row that was just inserted has no locker yet (xmax 0).
        sa.text("""
            WITH newsletter AS MATERIALIZED (
                SELECT newsletter_id, name, postal_address
                  FROM publishing.published_newsletters
                 WHERE CASE WHEN :newsletter_id IS NOT NULL THEN newsletter_id = :newsletter_id
                            WHEN :slug IS NOT NULL THEN slug = :slug
                            ELSE is_default END
                   AND archived_at IS NULL
            ), quota AS (
                INSERT INTO subscriptions.mailbox_quota AS kept (mailbox_hash)
                SELECT :mailbox_hash FROM newsletter
                ON CONFLICT (mailbox_hash) DO UPDATE
                   SET mails = CASE WHEN kept.window_began_at <= now() - :window THEN 0 ELSE kept.mails END,
                       window_began_at = CASE WHEN kept.window_began_at <= now() - :window THEN now()
                                              ELSE kept.window_began_at END
                RETURNING mails < :mails_max AS has_room
            ), person AS (
                INSERT INTO subscriptions.subscriber AS kept (email, email_key, name)
                SELECT :email, :email_key, :name FROM quota
                ON CONFLICT (email_key) DO UPDATE SET email_key = kept.email_key
                RETURNING id, email, name, created_at, xmax = 0 AS is_new
            ), held AS (
                INSERT INTO subscriptions.subscription AS kept (newsletter_id, subscriber_id)
                SELECT newsletter.newsletter_id, person.id FROM newsletter, person
                ON CONFLICT (newsletter_id, subscriber_id) DO UPDATE SET state = kept.state
                RETURNING id, state, coalesce(confirmation_queued_at <= now() - :cool_down, true) AS has_cooled_down
            )
            SELECT newsletter.newsletter_id, newsletter.name AS newsletter_name, newsletter.postal_address,
                   person.id AS subscriber_id, person.email, person.name, person.created_at, person.is_new,
                   held.id AS subscription_id, held.state, held.has_cooled_down AND quota.has_room AS mail_is_due
              FROM newsletter, quota, person, held
        """).bindparams(
            sa.bindparam("newsletter_id", type_=sa.BigInteger),
            sa.bindparam("slug", type_=sa.Text),
            sa.bindparam("mailbox_hash", type_=sa.LargeBinary),
            sa.bindparam("email", type_=sa.Text),
            sa.bindparam("email_key", type_=sa.Text),
            sa.bindparam("name", type_=sa.Text),
            sa.bindparam("cool_down", type_=sa.Interval),
            sa.bindparam("window", type_=sa.Interval),
        ),
        {
            "newsletter_id": newsletter if isinstance(newsletter, int) else None,
            "slug": newsletter if isinstance(newsletter, str) else None,
            "mailbox_hash": hash_mailbox(email),
            "mails_max": bounds.mailbox_mails_max,
            "window": bounds.mailbox_window,
            "email": email,
            "email_key": email.key,
            "name": name,
            "cool_down": bounds.cool_down,
        },
    )
    row = result.one_or_none()
    if row is None:
        return None
    return EnteredSignUp(
        newsletter=Newsletter(row.newsletter_id, row.newsletter_name, row.postal_address),
        subscriber=SubscriberRow(row.subscriber_id, EmailAddress(row.email), row.name, row.created_at),
        subscriber_is_new=row.is_new,
        subscription_id=row.subscription_id,
        state=row.state,
        mail_is_due=row.mail_is_due,
    )


def hash_mailbox(email: EmailAddress) -> bytes:
    return hashlib.sha256(email.mailbox_key.encode()).digest()


async def record_request(
    connection: AsyncConnection,
    subscription_id: int,
    *,
    counts_for: EmailAddress | None,
    mail: SignUpMail,
    mail_key: str,
    token_hash: bytes,
    lifetime: timedelta,
    evidence: Evidence,
) -> None:
    """Record a sign-up whose mail is queued: the token, the counts, and the consent entry.

    `counts_for`: the address whose mailbox quota, locked by `enter_sign_up`, counts the mail; None for no quota.

    A confirmed subscription stays confirmed. A token is stored for it too, although nobody is sent its text: the
    work must be the same in both cases (timing side channel).
    """
    await connection.execute(
        sa.text(f"""
            WITH held AS (
                UPDATE subscriptions.subscription
                   SET state = CASE WHEN state = 'confirmed' THEN state ELSE 'pending' END,
                       confirmation_queued_at = now()
                 WHERE id = :subscription_id
                RETURNING id, subscriber_id, newsletter_id
            ), token AS (
                INSERT INTO subscriptions.confirmation_token (token_hash, subscription_id, expires_at)
                SELECT :token_hash, id, now() + :lifetime FROM held
            ), counted AS (
                UPDATE subscriptions.mailbox_quota SET mails = mails + 1 WHERE mailbox_hash = :mailbox_hash
            ), noted AS (
                INSERT INTO subscriptions.consent_event
                       (subscriber_id, newsletter_id, kind, mail, mail_key, {EVIDENCE_COLUMNS})
                SELECT subscriber_id, newsletter_id, 'requested', :mail, :mail_key, {EVIDENCE_VALUES} FROM held
                RETURNING id
            )
            INSERT INTO subscriptions.unsettled_mail (consent_event_id) SELECT id FROM noted
        """).bindparams(  # constants
            sa.bindparam("token_hash", type_=sa.LargeBinary),
            sa.bindparam("mailbox_hash", type_=sa.LargeBinary),
            sa.bindparam("lifetime", type_=sa.Interval),
            sa.bindparam("mail", type_=sa.Text),
            sa.bindparam("mail_key", type_=sa.Text),
        ),
        {
            "subscription_id": subscription_id,
            "token_hash": token_hash,
            "mailbox_hash": None if counts_for is None else hash_mailbox(counts_for),
            "lifetime": lifetime,
            "mail": mail,
            "mail_key": mail_key,
            **evidence_parameters(evidence),
        },
    )


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
                SELECT held.confirmed_at IS NULL AND NOT EXISTS (
                           -- An import that was undone may have taken `confirmed_at` back.
                           SELECT FROM subscriptions.consent_event AS earlier
                            WHERE earlier.subscriber_id = held.subscriber_id
                              AND earlier.newsletter_id = held.newsletter_id AND earlier.kind = 'confirmed')
                       AS is_first
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
