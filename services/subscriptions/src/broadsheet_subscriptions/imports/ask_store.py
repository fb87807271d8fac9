"""The SQL of asking imported people to confirm: plain functions that take the connection of the caller's
transaction.
"""

from collections.abc import Collection
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.sign_up.interface import NEWSLETTER_COLUMNS, Newsletter, newsletter_of


class PersonToAsk(msgspec.Struct, frozen=True):
    import_id: int
    subscription_id: int
    email: EmailAddress
    newsletter: Newsletter


async def take_turn(connection: AsyncConnection) -> bool:
    """Whether it is time for the next mails and no other replica sends them. The pace stays locked until the
    transaction ends.
    """
    result = await connection.execute(
        sa.text("""
            SELECT true FROM subscriptions.import_mail_pace WHERE next_at <= now() FOR UPDATE SKIP LOCKED
        """)
    )
    return result.scalar_one_or_none() is not None


async def pick_people(connection: AsyncConnection, *, limit: int, resting: Collection[int]) -> list[PersonToAsk]:
    """People who came pending with an import that is done, and have not been asked, oldest first; locked. An import
    that still runs is left out, since a later row may say that somebody left. So are the subscriptions in
    `resting` (set aside).

    It waits for no lock. It also locks the person, since the entry in the consent record refers to them. So it
    cannot deadlock with a sign-up, which holds the person and waits for the subscription.
    """
    result = await connection.execute(
        sa.text(f"""
            SELECT job.id AS import_id, picked.id AS subscription_id, picked.email, {NEWSLETTER_COLUMNS}
              FROM subscriptions.import_job AS job
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
              CROSS JOIN LATERAL (
                  SELECT subscription.id, person.email
                    FROM subscriptions.subscription
                    JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
                   WHERE subscription.import_id = job.id AND subscription.import_id IS NOT NULL
                     AND subscription.state = 'pending' AND subscription.confirmation_queued_at IS NULL
                     AND subscription.id <> ALL (:resting)
                   ORDER BY subscription.id LIMIT :limit
                     FOR KEY SHARE OF person SKIP LOCKED FOR UPDATE OF subscription SKIP LOCKED
              ) AS picked
             WHERE job.status = 'done'
             ORDER BY job.id, picked.id LIMIT :limit
        """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))),  # constant columns
        {"limit": limit, "resting": list(resting)},
    )
    return [
        PersonToAsk(
            import_id=row.import_id,
            subscription_id=row.subscription_id,
            email=EmailAddress(row.email),
            newsletter=newsletter_of(row),
        )
        for row in result
    ]


async def wait(connection: AsyncConnection, interval: timedelta) -> None:
    await connection.execute(
        sa.text("UPDATE subscriptions.import_mail_pace SET next_at = now() + :interval").bindparams(
            sa.bindparam("interval", type_=sa.Interval)
        ),
        {"interval": interval},
    )
