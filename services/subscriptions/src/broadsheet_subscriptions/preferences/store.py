"""The SQL of the preference pages: plain functions that take the connection of the caller's transaction.

Lock order: subscriber before subscription, link or address change.
"""

from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.suppression import SuppressionKind
from broadsheet_common.languages.language import FALLBACK, Language, language_of
from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.notice_frame import INSTALLATION, MailLook
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscribers.subscription import State

PRUNE_BATCH_ROWS = 1_000


class LinkOwner(msgspec.Struct, frozen=True):
    """The subscriber of a link that still works; `subscriber_id` None if that subscriber has been erased."""

    subscriber_id: int | None


class Person(msgspec.Struct, frozen=True):
    id: int
    email: EmailAddress
    name: str


class Membership(msgspec.Struct, frozen=True):
    """A subscription, with its newsletter's name. `suppressed`: why no issue is sent to the address."""

    subscription_id: int
    newsletter_id: int
    newsletter_name: str
    state: State
    suppressed: SuppressionKind | None


class AddressChange(msgspec.Struct, frozen=True):
    """An address change whose link still works."""

    id: int
    subscriber_id: int
    old_email: EmailAddress
    new_email: EmailAddress
    is_confirmed: bool


async def find_subscriber_of(connection: AsyncConnection, subscription_id: int) -> int | None:
    row = await connection.execute(
        sa.text("SELECT subscriber_id FROM subscriptions.subscription WHERE id = :id"), {"id": subscription_id}
    )
    found: int | None = row.scalar_one_or_none()
    return found


async def find_person(connection: AsyncConnection, subscriber_id: int, *, lock: bool) -> Person | None:
    row = await connection.execute(
        sa.text(f"""
            SELECT id, email, name FROM subscriptions.subscriber WHERE id = :id {"FOR UPDATE" if lock else ""}
        """),  # two constant texts
        {"id": subscriber_id},
    )
    found = row.one_or_none()
    return None if found is None else Person(found.id, EmailAddress(found.email), found.name)


class Voice(msgspec.Struct, frozen=True):
    """Who writes to a person about their own data, and in what: a newsletter, or None for the installation."""

    newsletter_id: int | None
    language: Language
    look: MailLook


async def find_voice(connection: AsyncConnection, subscriber_id: int) -> Voice:
    """The newsletter that mails and pages about a subscriber's own data come from: the one that they confirmed last;
    one that they left, if they have no other. The installation, in English, if they have none.
    """
    result = await connection.execute(
        sa.text("""
            SELECT newsletter_id, newsletter.language, newsletter.name, newsletter.accent_colour, newsletter.logo_url,
                   newsletter.logo_alt
              FROM subscriptions.subscription
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
             WHERE subscription.subscriber_id = :subscriber_id
             ORDER BY subscription.state = 'confirmed' DESC, subscription.state = 'pending' DESC,
                      coalesce(subscription.confirmed_at, subscription.created_at) DESC, subscription.id DESC
             LIMIT 1
        """),
        {"subscriber_id": subscriber_id},
    )
    row = result.one_or_none()
    if row is None:
        return Voice(None, FALLBACK, INSTALLATION)
    look = MailLook(row.name, row.accent_colour, row.logo_url, row.logo_alt)
    return Voice(row.newsletter_id, language_of(row.language), look)


async def find_language(connection: AsyncConnection, subscriber_id: int) -> Language:
    """What pages about a subscriber's own data are in: see `find_voice`."""
    return (await find_voice(connection, subscriber_id)).language


async def list_memberships(connection: AsyncConnection, subscriber_id: int) -> list[Membership]:
    rows = await connection.execute(
        sa.text("""
            SELECT subscription.id, newsletter.newsletter_id, newsletter.name, subscription.state, suppressed.kind
              FROM subscriptions.subscription
              JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
              LEFT JOIN delivery.published_suppressed AS suppressed
                ON suppressed.message_stream = newsletter.message_stream AND suppressed.email_key = person.email_key
             WHERE subscription.subscriber_id = :subscriber_id
             ORDER BY newsletter.name, newsletter.newsletter_id
        """),
        {"subscriber_id": subscriber_id},
    )
    return [Membership(*row) for row in rows]


async def may_mail_link(connection: AsyncConnection, subscriber_id: int, *, cool_down: timedelta, day_max: int) -> bool:
    """Whether the cool-down since the last link is over and the daily limit is not reached."""
    row = await connection.execute(
        sa.text("""
            SELECT count(*) FILTER (WHERE created_at > now() - :cool_down) = 0 AND count(*) < :day_max
              FROM subscriptions.preferences_link
             WHERE subscriber_id = :subscriber_id AND created_at > now() - greatest(:cool_down, interval '1 day')
        """).bindparams(sa.bindparam("cool_down", type_=sa.Interval)),
        {"subscriber_id": subscriber_id, "cool_down": cool_down, "day_max": day_max},
    )
    return bool(row.scalar_one())


async def insert_link(
    connection: AsyncConnection, *, subscriber_id: int, token_hash: bytes, lifetime: timedelta
) -> None:
    await connection.execute(
        sa.text("""
            INSERT INTO subscriptions.preferences_link (token_hash, subscriber_id, expires_at)
            VALUES (:token_hash, :subscriber_id, now() + :lifetime)
        """).bindparams(sa.bindparam("token_hash", type_=sa.LargeBinary), sa.bindparam("lifetime", type_=sa.Interval)),
        {"token_hash": token_hash, "subscriber_id": subscriber_id, "lifetime": lifetime},
    )


async def find_link(connection: AsyncConnection, token_hash: bytes) -> LinkOwner | None:
    row = await connection.execute(
        sa.text("""
            SELECT subscriber_id FROM subscriptions.preferences_link
             WHERE token_hash = :token_hash AND expires_at > now()
        """).bindparams(sa.bindparam("token_hash", type_=sa.LargeBinary)),
        {"token_hash": token_hash},
    )
    found = row.one_or_none()
    return None if found is None else LinkOwner(found.subscriber_id)


async def set_name(connection: AsyncConnection, subscriber_id: int, name: SubscriberName) -> None:
    await connection.execute(
        sa.text("UPDATE subscriptions.subscriber SET name = :name WHERE id = :id AND name <> :name"),
        {"id": subscriber_id, "name": name},
    )


async def may_ask_for_address(
    connection: AsyncConnection, subscriber_id: int, *, new_email_key: str, cool_down: timedelta, day_max: int
) -> bool:
    """Whether a confirmation mail may be sent to the new address: neither this subscriber nor anybody else has
    reached the limit for it.
    """
    row = await connection.execute(
        sa.text("""
            SELECT NOT EXISTS (
                       SELECT FROM subscriptions.address_change
                        WHERE (subscriber_id = :subscriber_id OR new_email_key = :new_email_key)
                          AND requested_at > now() - :cool_down)
                   AND (SELECT count(*) FROM subscriptions.address_change
                         WHERE subscriber_id = :subscriber_id AND requested_at > now() - interval '1 day') < :day_max
                   AND (SELECT count(*) FROM subscriptions.address_change
                         WHERE new_email_key = :new_email_key AND requested_at > now() - interval '1 day') < :day_max
        """).bindparams(sa.bindparam("cool_down", type_=sa.Interval)),
        {
            "subscriber_id": subscriber_id,
            "new_email_key": new_email_key,
            "cool_down": cool_down,
            "day_max": day_max,
        },
    )
    return bool(row.scalar_one())


async def insert_change(
    connection: AsyncConnection, person: Person, *, new_email: EmailAddress, token_hash: bytes, lifetime: timedelta
) -> None:
    """Replaces an earlier request that has not been confirmed."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.address_change SET expires_at = now()
             WHERE subscriber_id = :subscriber_id AND confirmed_at IS NULL AND expires_at > now()
        """),
        {"subscriber_id": person.id},
    )
    await connection.execute(
        sa.text("""
            INSERT INTO subscriptions.address_change
                   (subscriber_id, old_email, old_email_key, new_email, new_email_key, token_hash, expires_at)
            VALUES (:subscriber_id, :old_email, :old_email_key, :new_email, :new_email_key, :token_hash,
                    now() + :lifetime)
        """).bindparams(sa.bindparam("token_hash", type_=sa.LargeBinary), sa.bindparam("lifetime", type_=sa.Interval)),
        {
            "subscriber_id": person.id,
            "old_email": person.email,
            "old_email_key": person.email.key,
            "new_email": new_email,
            "new_email_key": new_email.key,
            "token_hash": token_hash,
            "lifetime": lifetime,
        },
    )


async def find_pending_address(connection: AsyncConnection, subscriber_id: int) -> EmailAddress | None:
    """The new address that has not been confirmed yet."""
    row = await connection.execute(
        sa.text("""
            SELECT new_email FROM subscriptions.address_change
             WHERE subscriber_id = :subscriber_id AND confirmed_at IS NULL AND expires_at > now()
             ORDER BY id DESC LIMIT 1
        """),
        {"subscriber_id": subscriber_id},
    )
    found: str | None = row.scalar_one_or_none()
    return None if found is None else EmailAddress(found)


async def find_change(connection: AsyncConnection, token_hash: bytes) -> AddressChange | None:
    row = await connection.execute(
        sa.text("""
            SELECT id, subscriber_id, old_email, new_email, confirmed_at IS NOT NULL AS is_confirmed
              FROM subscriptions.address_change WHERE token_hash = :token_hash AND expires_at > now()
        """).bindparams(sa.bindparam("token_hash", type_=sa.LargeBinary)),
        {"token_hash": token_hash},
    )
    found = row.one_or_none()
    if found is None:
        return None
    return AddressChange(
        found.id, found.subscriber_id, EmailAddress(found.old_email), EmailAddress(found.new_email), found.is_confirmed
    )


async def make_change(connection: AsyncConnection, change: AddressChange) -> bool:
    """Move the subscriber to the new address, and end links that were mailed to the old one: its mailbox may belong
    to somebody else by now. Returns False if the new address is taken.

    The caller holds the subscriber's lock. Waits for a concurrent insert of the same address.
    """
    moved = await connection.execute(
        sa.text("""
            UPDATE subscriptions.subscriber SET email = :email, email_key = :email_key
             WHERE id = :id AND NOT EXISTS (
                   SELECT FROM subscriptions.subscriber AS other WHERE other.email_key = :email_key AND other.id <> :id)
        """),
        {"id": change.subscriber_id, "email": change.new_email, "email_key": change.new_email.key},
    )
    if moved.rowcount == 0:
        return False
    await connection.execute(
        sa.text("UPDATE subscriptions.address_change SET confirmed_at = now() WHERE id = :id"), {"id": change.id}
    )
    await connection.execute(
        sa.text("""
            WITH links AS (DELETE FROM subscriptions.preferences_link WHERE subscriber_id = :id)
            DELETE FROM subscriptions.confirmation_token WHERE used_at IS NULL AND subscription_id IN (
                SELECT id FROM subscriptions.subscription WHERE subscriber_id = :id)
        """),
        {"id": change.subscriber_id},
    )
    return True


async def prune_links(connection: AsyncConnection) -> int:
    """Delete one batch of expired links and of address changes that were not confirmed in time. Returns how many
    rows were deleted.

    Rows that the daily limits count are kept for a day.
    """
    links = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.preferences_link WHERE token_hash = ANY (ARRAY (
                SELECT token_hash FROM subscriptions.preferences_link
                 WHERE expires_at < now() AND created_at < now() - interval '1 day'
                 LIMIT :rows FOR UPDATE SKIP LOCKED))
        """),
        {"rows": PRUNE_BATCH_ROWS},
    )
    changes = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.address_change WHERE id = ANY (ARRAY (
                SELECT id FROM subscriptions.address_change
                 WHERE confirmed_at IS NULL AND expires_at < now() AND requested_at < now() - interval '1 day'
                 LIMIT :rows FOR UPDATE SKIP LOCKED))
        """),
        {"rows": PRUNE_BATCH_ROWS},
    )
    return links.rowcount + changes.rowcount
