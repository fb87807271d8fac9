"""SQL of the single-mail lane. Every function takes the connection of its caller's transaction."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.queue.outcome import Outcome, outcome_columns
from broadsheet_delivery.queue.recipient import NOTHING_USED, Recipient, UsedValues
from broadsheet_delivery.queue.recipient_sql import (
    RECIPIENT_COLUMNS,
    join_merged,
    join_person,
    merged_columns,
    merged_parameters,
    to_recipient,
)

SinglePart = Literal["transactional", "newsletter"]


class LeasedMail(msgspec.Struct, frozen=True):
    """A single mail that this worker holds. A transactional mail carries its content, a newsletter mail its
    delivery.
    """

    id: int
    kind: str
    attempt_count: int
    to_email: str | None
    subject: str | None
    html_body: str | None
    text_body: str | None
    issue_id: int | None
    seq: int | None
    newsletter_id: int | None
    """Of a transactional mail to a reader: whose it is."""


class SettledMail(msgspec.Struct, frozen=True):
    id: int
    outcome: Outcome


_PART_FILTER = {
    "transactional": "mail.kind <> 'newsletter' AND mail.kind <> 'welcome'",
    # Newsletter mails follow their issue's state.
    "newsletter": """mail.kind = 'newsletter' AND EXISTS (
        SELECT 1 FROM delivery.issue_run AS run WHERE run.issue_id = mail.issue_id AND run.state = 'open'
                                                      AND run.preflight_at IS NOT NULL)""",
}


async def expire_mails(connection: AsyncConnection, *, limit: int) -> None:
    """Expired mails are not sent."""
    await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT id FROM delivery.single_mail
                 WHERE status = 'pending' AND kind <> 'newsletter' AND run_at <= now() AND expires_at <= now()
                 ORDER BY run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
            )
            UPDATE delivery.single_mail
               SET status = 'expired', settled_at = now(), html_body = NULL, text_body = NULL,
                   reason = coalesce(reason, 'It expired before it could be sent.')
             WHERE id = ANY (ARRAY (SELECT id FROM picked))
        """),
        {"limit": limit},
    )


async def lease_mails(
    connection: AsyncConnection, *, part: SinglePart, token: uuid.UUID, lease: timedelta, limit: int
) -> list[LeasedMail]:
    """Lease up to `limit` due mails of one part of the lane, the longest waiting first."""
    rows = await connection.execute(
        sa.text(f"""
            WITH picked AS MATERIALIZED (
                SELECT mail.id
                  FROM delivery.single_mail AS mail
                 WHERE mail.status = 'pending' AND mail.run_at <= now() AND {_PART_FILTER[part]}
                   AND EXISTS (SELECT 1 FROM delivery.sending_state
                                WHERE paused_at IS NULL AND back_off_until <= now())
                 ORDER BY mail.run_at, mail.id
                 LIMIT :limit
                   FOR UPDATE OF mail SKIP LOCKED
            )
            UPDATE delivery.single_mail AS mail
               SET status = 'leased', lease_token = :token, lease_until = now() + :lease
             WHERE mail.id = ANY (ARRAY (SELECT id FROM picked))
            RETURNING mail.id, mail.kind, mail.attempt_count, mail.to_email, mail.subject, mail.html_body,
                      mail.text_body, mail.issue_id, mail.seq, mail.newsletter_id
        """).bindparams(  # the filter is one of two constants above
            sa.bindparam("token", type_=pg.UUID), sa.bindparam("lease", type_=sa.Interval)
        ),
        {"token": token, "lease": lease, "limit": limit},
    )
    return sorted((LeasedMail(*row) for row in rows), key=lambda mail: mail.id)


async def newsletter_recipients(
    connection: AsyncConnection,
    *,
    issue_id: int,
    newsletter_id: int,
    stream: str,
    seqs: Sequence[int],
    used: UsedValues = NOTHING_USED,
) -> list[Recipient]:
    """The recipients of newsletter mails in this lane."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {RECIPIENT_COLUMNS}{merged_columns(used)}
              FROM unnest(CAST(:seqs AS integer[])) AS wanted (seq)
              JOIN LATERAL (
                   SELECT found.seq, found.subscriber_id FROM delivery.delivery AS found
                    WHERE found.issue_id = :issue_id AND found.seq = wanted.seq
                    LIMIT 1
              ) AS d ON true
               {join_person("d.subscriber_id")}{join_merged("d.subscriber_id", used)}
       """),
        {
            "issue_id": issue_id,
            "newsletter_id": newsletter_id,
            "stream": stream,
            "seqs": list(seqs),
            **merged_parameters(used),
        },
    )
    return [to_recipient(row, used) for row in rows]


async def variants_of(connection: AsyncConnection, *, issue_id: int, seqs: Sequence[int]) -> dict[int, int]:
    """The variant of the issue that each of these deliveries gets, by `seq`: that of the chunk they came from."""
    rows = await connection.execute(
        sa.text("""
            SELECT wanted.seq, chunk.variant
              FROM unnest(CAST(:seqs AS integer[])) AS wanted (seq)
             CROSS JOIN LATERAL (
                   SELECT one.variant FROM delivery.delivery_chunk AS one
                    WHERE one.issue_id = :issue_id AND one.first_seq <= wanted.seq
                    ORDER BY one.first_seq DESC LIMIT 1
             ) AS chunk
        """),
        {"issue_id": issue_id, "seqs": list(seqs)},
    )
    return {row.seq: row.variant for row in rows}


async def suppressed_mails(connection: AsyncConnection, *, ids: Sequence[int], stream: str) -> dict[int, str]:
    """Those of the mails whose address is suppressed on the stream, with the reason.

    A mail's address was parsed, so its lower-case form is its key (broadsheet_common.mail.email_address).
    """
    rows = await connection.execute(
        sa.text("""
            SELECT mail.id, suppression.reason
              FROM delivery.single_mail AS mail
              JOIN delivery.suppression
                ON suppression.email_key = lower(mail.to_email) AND suppression.message_stream = :stream
             WHERE mail.id = ANY (CAST(:ids AS bigint[])) AND suppression.active
        """),
        {"ids": list(ids), "stream": stream},
    )
    return {row.id: row.reason for row in rows}


async def start_mails(
    connection: AsyncConnection,
    *,
    ids: Sequence[int],
    token: uuid.UUID,
    attempt_id: uuid.UUID,
    lease: timedelta,
) -> set[int]:
    """Commit to a call with these mails. Returns those that are still held and may be sent."""
    rows = await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail AS mail
               SET status = 'attempting', attempt_id = :attempt_id, attempt_count = mail.attempt_count + 1,
                   reconcile_count = 0, lease_until = now() + :lease
              FROM delivery.sending_state AS sending
             WHERE mail.id = ANY (CAST(:ids AS bigint[])) AND mail.status = 'leased' AND mail.lease_token = :token
               AND mail.lease_until > now()
               AND sending.paused_at IS NULL AND sending.back_off_until <= now()
               AND (sending.back_off_count = 0 OR sending.probe_token = mail.lease_token)
               AND (mail.issue_id IS NULL OR EXISTS (
                        SELECT 1 FROM delivery.issue_run AS run
                         WHERE run.issue_id = mail.issue_id AND run.state = 'open' AND run.preflight_at IS NOT NULL))
            RETURNING mail.id
        """).bindparams(
            sa.bindparam("token", type_=pg.UUID),
            sa.bindparam("attempt_id", type_=pg.UUID),
            sa.bindparam("lease", type_=sa.Interval),
        ),
        {"ids": list(ids), "token": token, "attempt_id": attempt_id, "lease": lease},
    )
    return set(rows.scalars())


async def settle_mails(
    connection: AsyncConnection, *, settled: Sequence[SettledMail], attempt_id: uuid.UUID | None
) -> None:
    """Store the outcomes of mails, and of their deliveries. A mail that has an outcome keeps it.

    Not fenced by the lease: a late answer is still true, because that mail was sent.
    """
    if not settled:
        return
    columns = [outcome_columns(one.outcome) for one in settled]
    await connection.execute(
        sa.text("""
            WITH given AS (
                SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:statuses AS text[]), CAST(:message_ids AS uuid[]),
                                     CAST(:error_codes AS integer[]), CAST(:reasons AS text[]))
                         AS given (id, status, message_id, error_code, reason)
            ), settled AS (
                UPDATE delivery.single_mail AS mail
                   SET status = given.status, message_id = given.message_id, error_code = given.error_code,
                       reason = given.reason, settled_at = now(), html_body = NULL, text_body = NULL,
                       lease_token = NULL, lease_until = NULL, parked_at = NULL
                  FROM given
                 WHERE mail.id = given.id AND mail.settled_at IS NULL
                RETURNING mail.issue_id, mail.seq, given.*
            )
            INSERT INTO delivery.delivery_outcome (issue_id, seq, outcome, attempt_id, message_id, error_code, reason)
            SELECT issue_id, seq, status, :attempt_id, message_id, error_code, reason
              FROM settled WHERE issue_id IS NOT NULL
            ON CONFLICT DO NOTHING
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID)),
        {
            "ids": [one.id for one in settled],
            "statuses": [column[0] for column in columns],
            "message_ids": [column[1] for column in columns],
            "error_codes": [column[2] for column in columns],
            "reasons": [column[3] for column in columns],
            "attempt_id": attempt_id,
        },
    )


async def put_back(
    connection: AsyncConnection,
    *,
    ids: Sequence[int],
    token: uuid.UUID,
    status: Literal["pending", "uncertain"],
    wait_s: float,
    reason: str | None = None,
) -> None:
    """Mails that this worker holds become pending again, or uncertain."""
    if not ids:
        return
    await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail
               SET status = CAST(:status AS text), run_at = now() + :wait, reason = coalesce(:reason, reason),
                   lease_token = NULL, lease_until = NULL
             WHERE id = ANY (CAST(:ids AS bigint[])) AND lease_token = :token AND status IN ('leased', 'attempting')
               AND (CAST(:status AS text) = 'pending' OR attempt_id IS NOT NULL)
        """).bindparams(
            sa.bindparam("token", type_=pg.UUID),
            sa.bindparam("wait", type_=sa.Interval),
            sa.bindparam("reason", type_=sa.Text),
        ),
        {
            "ids": list(ids),
            "token": token,
            "status": status,
            "wait": timedelta(seconds=wait_s),
            "reason": reason,
        },
    )


class UncertainMail(msgspec.Struct, frozen=True):
    id: int
    kind: str
    issue_id: int | None
    seq: int | None


async def uncertain_mails(connection: AsyncConnection, *, attempt_id: uuid.UUID) -> list[UncertainMail]:
    rows = await connection.execute(
        sa.text("""
            SELECT id, kind, issue_id, seq FROM delivery.single_mail
             WHERE status = 'uncertain' AND attempt_id = :attempt_id
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID)),
        {"attempt_id": attempt_id},
    )
    return [UncertainMail(*row) for row in rows]


async def requeue_uncertain(
    connection: AsyncConnection, *, ids: Sequence[int], attempt_id: uuid.UUID, still_uncertain: bool, wait_s: float
) -> None:
    """After asking the search: still uncertain, or pending again because they were shown not to be sent."""
    if not ids:
        return
    await connection.execute(
        sa.text("""
            UPDATE delivery.single_mail
               SET status = CAST(:status AS text), run_at = now() + :wait, reconcile_count = reconcile_count + 1,
                   parked_at = CASE WHEN CAST(:status AS text) = 'uncertain' THEN parked_at END
             WHERE id = ANY (CAST(:ids AS bigint[])) AND status = 'uncertain' AND attempt_id = :attempt_id
        """).bindparams(sa.bindparam("attempt_id", type_=pg.UUID), sa.bindparam("wait", type_=sa.Interval)),
        {
            "ids": list(ids),
            "attempt_id": attempt_id,
            "status": "uncertain" if still_uncertain else "pending",
            "wait": timedelta(seconds=wait_s),
        },
    )
