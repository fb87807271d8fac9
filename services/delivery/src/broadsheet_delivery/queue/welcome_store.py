"""SQL of welcome mails in the single-mail lane. Every function takes the connection of its caller's transaction."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.recipient import Recipient, UsedValues
from broadsheet_delivery.queue.recipient_sql import (
    RECIPIENT_COLUMNS,
    join_merged,
    join_person,
    merged_columns,
    merged_parameters,
    to_recipient,
)


class LeasedWelcome(msgspec.Struct, frozen=True):
    """A welcome mail that this worker holds."""

    id: int
    attempt_count: int
    newsletter_id: int
    subscriber_id: int


async def lease_welcome_mails(
    connection: AsyncConnection, *, token: uuid.UUID, lease: timedelta, limit: int
) -> list[LeasedWelcome]:
    """Lease up to `limit` due welcome mails of one newsletter: the one whose mail waits longest."""
    rows = await connection.execute(
        sa.text("""
            WITH longest AS MATERIALIZED (
                SELECT newsletter_id FROM delivery.single_mail
                 WHERE status = 'pending' AND kind = 'welcome' AND run_at <= now()
                 ORDER BY run_at, id LIMIT 1
            ), picked AS MATERIALIZED (
                SELECT mail.id
                  FROM delivery.single_mail AS mail
                 WHERE mail.status = 'pending' AND mail.kind = 'welcome' AND mail.run_at <= now()
                   AND mail.newsletter_id = (SELECT newsletter_id FROM longest)
                   AND EXISTS (SELECT 1 FROM delivery.sending_state
                                WHERE paused_at IS NULL AND back_off_until <= now())
                 ORDER BY mail.run_at, mail.id
                 LIMIT :limit
                   FOR UPDATE OF mail SKIP LOCKED
            )
            UPDATE delivery.single_mail AS mail
               SET status = 'leased', lease_token = :token, lease_until = now() + :lease
             WHERE mail.id = ANY (ARRAY (SELECT id FROM picked))
            RETURNING mail.id, mail.attempt_count, mail.newsletter_id, mail.subscriber_id
        """).bindparams(sa.bindparam("token", type_=pg.UUID), sa.bindparam("lease", type_=sa.Interval)),
        {"token": token, "lease": lease, "limit": limit},
    )
    return sorted((LeasedWelcome(*row) for row in rows), key=lambda mail: mail.id)


async def welcome_recipients(
    connection: AsyncConnection,
    mails: Sequence[LeasedWelcome],
    *,
    newsletter_id: int,
    stream: str,
    used: UsedValues,
) -> dict[int, Recipient]:
    """By the mail's id, which is also their `seq`."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {RECIPIENT_COLUMNS}{merged_columns(used)}
              FROM unnest(CAST(:ids AS bigint[]), CAST(:subscriber_ids AS bigint[])) AS d (seq, subscriber_id)
               {join_person("d.subscriber_id")}{join_merged("d.subscriber_id", used)}
       """),
        {
            "ids": [mail.id for mail in mails],
            "subscriber_ids": [mail.subscriber_id for mail in mails],
            "newsletter_id": newsletter_id,
            "stream": stream,
            **merged_parameters(used),
        },
    )
    found = [to_recipient(row, used) for row in rows]
    return {recipient.seq: recipient for recipient in found}


async def note_addresses(
    connection: AsyncConnection, *, token: uuid.UUID, ids: Sequence[int], addresses: Sequence[str]
) -> None:
    """Mails of people who have another address since they were queued go to that one, and say so."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail AS mail SET to_email = given.address
              FROM unnest(CAST(:ids AS bigint[]), CAST(:addresses AS text[])) AS given (id, address)
             WHERE mail.id = given.id AND mail.lease_token = :token AND mail.to_email <> given.address
        """).bindparams(sa.bindparam("token", type_=pg.UUID)),
        {"token": token, "ids": list(ids), "addresses": list(addresses)},
    )


async def give_up_welcome_mails(connection: AsyncConnection, *, attempt_id: uuid.UUID, reason: str) -> int:
    """Welcome mails of which Postmark has not shown in time whether they were sent are not sent again. Returns how
    many.
    """
    rows = await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail SET status = 'failed', settled_at = now(), reason = :reason
             WHERE status = 'uncertain' AND kind = 'welcome' AND attempt_id = :attempt_id
            RETURNING 1
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID)),
        {"attempt_id": attempt_id, "reason": reason},
    )
    return len(rows.all())
