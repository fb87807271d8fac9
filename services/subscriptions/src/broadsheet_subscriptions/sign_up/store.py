"""The SQL of signing up and confirming: plain functions that take the connection of the caller's transaction.

Row locks are always taken in the same order, subscriber before subscription, so that no two use cases deadlock.
"""

from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.email_address import EmailAddress
from broadsheet_subscriptions.people.linked_subscription import LinkedSubscription, linked_subscription
from broadsheet_subscriptions.people.store import SubscriberRow
from broadsheet_subscriptions.people.subscriber_name import SubscriberName
from broadsheet_subscriptions.people.subscription import State


class Newsletter(msgspec.Struct, frozen=True):
    """What this service needs to know of publishing's newsletters."""

    id: int
    name: str
    postal_address: str


class EnteredSignUp(msgspec.Struct, frozen=True):
    """A sign-up's rows, locked. `mail_is_due`: the cool-down since the last confirmation mail is over."""

    newsletter: Newsletter
    subscriber: SubscriberRow
    subscriber_is_new: bool
    subscription_id: int
    state: State
    mail_is_due: bool


async def enter_sign_up(
    connection: AsyncConnection,
    *,
    email: EmailAddress,
    name: SubscriberName,
    newsletter_id: int | None,
    cool_down: timedelta,
) -> EnteredSignUp | None:
    """Subscriber and subscription, made where they are missing; None, and nothing, without such a newsletter.

    `newsletter_id` None is the default newsletter. A new subscription is pending. Who is there already keeps address
    and name as first given: anybody can fill the form in for anybody.
    """
    result = await connection.execute(
        # One statement, as each costs a round trip. The updates change nothing: they lock the rows, waiting for a
        # transaction that is about to insert them. A row that was just inserted has no locker yet (xmax 0).
        sa.text("""
            WITH newsletter AS MATERIALIZED (
                SELECT newsletter_id, name, postal_address
                  FROM publishing.published_newsletters
                 WHERE newsletter_id = :newsletter_id OR (:newsletter_id IS NULL AND is_default)
            ), person AS (
                INSERT INTO subscriptions.subscriber AS kept (email, email_key, name)
                SELECT :email, :email_key, :name FROM newsletter
                ON CONFLICT (email_key) DO UPDATE SET email_key = kept.email_key
                RETURNING id, email, name, created_at, xmax = 0 AS is_new
            ), held AS (
                INSERT INTO subscriptions.subscription AS kept (newsletter_id, subscriber_id)
                SELECT newsletter.newsletter_id, person.id FROM newsletter, person
                ON CONFLICT (newsletter_id, subscriber_id) DO UPDATE SET state = kept.state
                RETURNING id, state, coalesce(confirmation_queued_at <= now() - :cool_down, true) AS mail_is_due
            )
            SELECT newsletter.newsletter_id, newsletter.name AS newsletter_name, newsletter.postal_address,
                   person.id AS subscriber_id, person.email, person.name, person.created_at, person.is_new,
                   held.id AS subscription_id, held.state, held.mail_is_due
              FROM newsletter, person, held
        """).bindparams(
            sa.bindparam("newsletter_id", type_=sa.BigInteger),
            sa.bindparam("email", type_=sa.Text),
            sa.bindparam("email_key", type_=sa.Text),
            sa.bindparam("name", type_=sa.Text),
            sa.bindparam("cool_down", type_=sa.Interval),
        ),
        {
            "newsletter_id": newsletter_id,
            "email": email,
            "email_key": email.key,
            "name": name,
            "cool_down": cool_down,
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


async def set_pending_with_token(
    connection: AsyncConnection, *, subscription_id: int, token_hash: bytes, lifetime: timedelta
) -> None:
    """Wait for a confirmation by this token; the cool-down begins."""
    await connection.execute(
        sa.text("""
            WITH pending AS (
                UPDATE subscriptions.subscription SET state = 'pending', confirmation_queued_at = now()
                 WHERE id = :subscription_id
                RETURNING id)
            INSERT INTO subscriptions.confirmation_token (token_hash, subscription_id, expires_at)
            SELECT :token_hash, id, now() + :lifetime FROM pending
        """).bindparams(sa.bindparam("token_hash", type_=sa.LargeBinary), sa.bindparam("lifetime", type_=sa.Interval)),
        {"subscription_id": subscription_id, "token_hash": token_hash, "lifetime": lifetime},
    )


async def find_by_token(connection: AsyncConnection, token_hash: bytes, *, lock: bool) -> LinkedSubscription | None:
    """What an unexpired confirmation token leads to."""
    result = await connection.execute(
        sa.text(f"""
            SELECT subscription.id, subscription.state, newsletter.newsletter_id, newsletter.name
              FROM subscriptions.confirmation_token AS token
              JOIN subscriptions.subscription ON subscription.id = token.subscription_id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
             WHERE token.token_hash = :token_hash AND token.expires_at > now()
            {"FOR UPDATE OF subscription" if lock else ""}
        """),  # two constant texts
        {"token_hash": token_hash},
    )
    return linked_subscription(result.one_or_none())


async def set_confirmed(connection: AsyncConnection, *, subscription_id: int, token_hash: bytes) -> None:
    await connection.execute(
        sa.text("""
            WITH used AS (
                UPDATE subscriptions.confirmation_token SET used_at = now()
                 WHERE token_hash = :token_hash AND used_at IS NULL)
            UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now()
             WHERE id = :subscription_id
        """),
        {"subscription_id": subscription_id, "token_hash": token_hash},
    )
