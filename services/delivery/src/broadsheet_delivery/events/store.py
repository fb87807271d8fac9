"""SQL of the provider's events: the inbox, the record of events, and the deliveries that they are about.

Every function takes the connection of its caller's transaction.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.events.provider_event import ProviderEvent
from broadsheet_delivery.queue.interface import ChunkRange


class InboxRow(msgspec.Struct, frozen=True):
    id: int
    body: str
    source: str
    received_at: datetime
    failure_count: int


async def read_inbox(connection: AsyncConnection, *, limit: int, ids: Sequence[int] | None = None) -> list[InboxRow]:
    """Due rows that nobody else holds, oldest first, locked until the transaction ends; with `ids`, only of those."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, body, source, received_at, failure_count
              FROM delivery.provider_event_inbox
             WHERE run_at <= now() AND (:ids IS NULL OR id = ANY (:ids))
             ORDER BY run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
        """).bindparams(sa.bindparam("ids", type_=pg.ARRAY(sa.BigInteger))),
        {"limit": limit, "ids": None if ids is None else list(ids)},
    )
    return [InboxRow(*row) for row in rows]


async def delete_inbox(connection: AsyncConnection, ids: Sequence[int]) -> None:
    await connection.execute(
        sa.text("DELETE FROM delivery.provider_event_inbox WHERE id = ANY (CAST(:ids AS bigint[]))"),
        {"ids": list(ids)},
    )


async def put_off_inbox(connection: AsyncConnection, *, row_id: int, wait_s: float) -> None:
    """A row that could not be applied is tried again later; no event from Postmark is dropped."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.provider_event_inbox
               SET run_at = now() + :wait, failure_count = failure_count + 1
             WHERE id = :id
        """).bindparams(sa.bindparam("wait", type_=sa.Interval)),
        {"id": row_id, "wait": timedelta(seconds=wait_s)},
    )


async def insert_fetched(connection: AsyncConnection, bodies: Sequence[str]) -> None:
    """Put fetched records into the inbox, next to pushed ones."""
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.provider_event_inbox (body, source)
            SELECT body, 'backstop' FROM unnest(CAST(:bodies AS text[])) AS body
        """),
        {"bodies": list(bodies)},
    )


async def known_attempts(connection: AsyncConnection, attempt_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these attempts that are ours: another installation may share the Postmark server and use the same
    numbers.
    """
    rows = await connection.execute(
        sa.text("SELECT id FROM delivery.send_attempt WHERE id = ANY (:ids)").bindparams(
            sa.bindparam("ids", type_=pg.ARRAY(pg.UUID))
        ),
        {"ids": list(set(attempt_ids))},
    )
    return set(rows.scalars())


async def insert_events(
    connection: AsyncConnection, events: Sequence[tuple[ProviderEvent, InboxRow]], ours: set[uuid.UUID]
) -> set[str]:
    """Record events. Returns the dedupe keys of those that were new. In the order of keys, so that two replicas with
    copies of the same events cannot deadlock.
    """
    ordered = sorted(events, key=lambda one: one[0].dedupe_key)
    values = []
    for event, row in ordered:
        is_ours = event.attempt_id in ours
        issue_id, seq = event.delivery if is_ours and event.delivery is not None else (None, None)
        values.append(
            {
                "record_type": event.record_type,
                "message_stream": event.stream,
                "message_id": event.message_id,
                "issue_id": issue_id,
                "seq": seq,
                "single_mail_id": event.mail_id if is_ours else None,
                "email_key": event.email_key if event.effect is not None else None,
                "source": row.source,
                "occurred_at": event.occurred_at,
                "received_at": row.received_at,
                "dedupe_key": event.dedupe_key,
                "detail": msgspec.json.encode(event.detail).decode(),
            }
        )
    rows = await connection.execute(
        sa.text("""
            INSERT INTO delivery.provider_event
                   (record_type, message_stream, message_id, issue_id, seq, single_mail_id, email_key, source,
                    occurred_at, received_at, dedupe_key, detail)
            SELECT record_type, message_stream, message_id, issue_id, seq, single_mail_id, email_key, source,
                   occurred_at, received_at, dedupe_key, CAST(detail AS jsonb)
              FROM unnest(CAST(:record_type AS text[]), CAST(:message_stream AS text[]), CAST(:message_id AS uuid[]),
                          CAST(:issue_id AS bigint[]), CAST(:seq AS integer[]), CAST(:single_mail_id AS bigint[]),
                          CAST(:email_key AS text[]), CAST(:source AS text[]), CAST(:occurred_at AS timestamptz[]),
                          CAST(:received_at AS timestamptz[]), CAST(:dedupe_key AS text[]), CAST(:detail AS text[]))
                   WITH ORDINALITY AS one (record_type, message_stream, message_id, issue_id, seq, single_mail_id,
                                           email_key, source, occurred_at, received_at, dedupe_key, detail, position)
             ORDER BY position
            ON CONFLICT (dedupe_key) DO NOTHING
            RETURNING dedupe_key
        """),
        {name: [value[name] for value in values] for name in values[0]},
    )
    return set(rows.scalars())


async def links_in_issues(connection: AsyncConnection, wanted: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those of these links, each with its issue, that stand in the issue's content as they are."""
    rows = await connection.execute(
        sa.text("""
            SELECT DISTINCT wanted.issue_id, wanted.link
              FROM unnest(CAST(:issue_ids AS bigint[]), CAST(:links AS text[])) AS wanted (issue_id, link)
              JOIN publishing.published_contents AS issue USING (issue_id)
             WHERE strpos(issue.html_content, wanted.link) > 0
                OR strpos(issue.html_content, replace(wanted.link, '&', '&amp;')) > 0
                OR strpos(issue.text_content, wanted.link) > 0
        """),
        {"issue_ids": [one[0] for one in wanted], "links": [one[1] for one in wanted]},
    )
    return {(row.issue_id, row.link) for row in rows}


class OpenDelivery(msgspec.Struct, frozen=True):
    """A delivery without an outcome. It is counted by its chunk, or by the single mail it was handed over to."""

    issue_id: int
    seq: int
    attempt_id: uuid.UUID
    message_id: uuid.UUID
    single_mail_id: int | None
    chunk: ChunkRange | None
    chunk_attempt_id: uuid.UUID | None


async def open_deliveries(connection: AsyncConnection, events: Sequence[ProviderEvent]) -> list[OpenDelivery]:
    """The deliveries named by these events that have no outcome yet, in order.

    Each is looked up separately (LATERAL … LIMIT 1), so that the plan does not depend on fresh statistics.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT wanted.issue_id, wanted.seq, wanted.attempt_id, wanted.message_id, alone.id AS single_mail_id,
                   chunk.id AS chunk_id, chunk.first_seq, chunk.last_seq, chunk.attempt_id AS chunk_attempt_id
              FROM unnest(CAST(:issue_ids AS bigint[]), CAST(:seqs AS integer[]), CAST(:attempt_ids AS uuid[]),
                          CAST(:message_ids AS uuid[])) AS wanted (issue_id, seq, attempt_id, message_id)
              JOIN LATERAL (
                   SELECT 1 FROM delivery.delivery AS d
                    WHERE d.issue_id = wanted.issue_id AND d.seq = wanted.seq LIMIT 1
              ) AS there ON true
              JOIN LATERAL (
                   SELECT 1 FROM delivery.send_attempt AS attempt
                    WHERE attempt.id = wanted.attempt_id AND attempt.issue_id = wanted.issue_id LIMIT 1
              ) AS ours ON true
              LEFT JOIN LATERAL (
                   SELECT true AS settled FROM delivery.delivery_outcome AS outcome
                    WHERE outcome.issue_id = wanted.issue_id AND outcome.seq = wanted.seq LIMIT 1
              ) AS outcome ON true
              LEFT JOIN LATERAL (
                   SELECT mail.id FROM delivery.single_mail AS mail
                    WHERE mail.dedupe_key = 'newsletter:' || wanted.issue_id || ':' || wanted.seq LIMIT 1
              ) AS alone ON true
              LEFT JOIN LATERAL (
                   SELECT c.id, c.first_seq, c.last_seq, c.attempt_id FROM delivery.delivery_chunk AS c
                    WHERE c.issue_id = wanted.issue_id AND c.first_seq <= wanted.seq
                    ORDER BY c.first_seq DESC LIMIT 1
              ) AS chunk ON true
             WHERE outcome.settled IS NULL
             ORDER BY wanted.issue_id, wanted.seq
        """),
        {
            "issue_ids": [event.delivery[0] for event in events if event.delivery],
            "seqs": [event.delivery[1] for event in events if event.delivery],
            "attempt_ids": [event.attempt_id for event in events if event.delivery],
            "message_ids": [event.message_id for event in events if event.delivery],
        },
    )
    return [
        OpenDelivery(
            issue_id=row.issue_id,
            seq=row.seq,
            attempt_id=row.attempt_id,
            message_id=row.message_id,
            single_mail_id=row.single_mail_id,
            chunk=None if row.chunk_id is None else ChunkRange(row.chunk_id, row.issue_id, row.first_seq, row.last_seq),
            chunk_attempt_id=row.chunk_attempt_id,
        )
        for row in rows
    ]


async def open_mails(connection: AsyncConnection, mail_ids: Sequence[int]) -> set[int]:
    """Of these transactional mails, those that are not settled."""
    rows = await connection.execute(
        sa.text("""
            SELECT id FROM delivery.single_mail
             WHERE id = ANY (CAST(:ids AS bigint[])) AND settled_at IS NULL AND kind <> 'newsletter'
        """),
        {"ids": list(mail_ids)},
    )
    return set(rows.scalars())


async def recipient_keys(connection: AsyncConnection, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """The address keys of deliveries, for events that do not say whom they are about."""
    rows = await connection.execute(
        sa.text("""
            SELECT wanted.issue_id, wanted.seq, person.email_key
              FROM unnest(CAST(:issue_ids AS bigint[]), CAST(:seqs AS integer[])) AS wanted (issue_id, seq)
              JOIN LATERAL (
                   SELECT d.subscriber_id FROM delivery.delivery AS d
                    WHERE d.issue_id = wanted.issue_id AND d.seq = wanted.seq LIMIT 1
              ) AS d ON true
              JOIN LATERAL (
                   SELECT run.newsletter_id FROM delivery.issue_run AS run WHERE run.issue_id = wanted.issue_id LIMIT 1
              ) AS run ON true
              JOIN LATERAL (
                   SELECT found.email_key FROM subscriptions.published_recipients AS found
                    WHERE found.newsletter_id = run.newsletter_id AND found.subscriber_id = d.subscriber_id LIMIT 1
              ) AS person ON true
        """),
        {"issue_ids": [one[0] for one in wanted], "seqs": [one[1] for one in wanted]},
    )
    return {(row.issue_id, row.seq): row.email_key for row in rows}


async def mail_keys(connection: AsyncConnection, mail_ids: Sequence[int]) -> dict[int, str]:
    """Addresses of single mails, as they were given."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, to_email FROM delivery.single_mail
             WHERE id = ANY (CAST(:ids AS bigint[])) AND to_email IS NOT NULL
        """),
        {"ids": list(mail_ids)},
    )
    return {row.id: row.to_email for row in rows}


async def deliveries_of_messages(
    connection: AsyncConnection, message_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, int]]:
    """Deliveries by MessageID, as far as an earlier event told us of both."""
    rows = await connection.execute(
        sa.text("""
            SELECT wanted.message_id, earlier.issue_id, earlier.seq
              FROM unnest(:message_ids) AS wanted (message_id)
              JOIN LATERAL (
                   SELECT event.issue_id, event.seq FROM delivery.provider_event AS event
                    WHERE event.message_id = wanted.message_id AND event.issue_id IS NOT NULL LIMIT 1
              ) AS earlier ON true
        """).bindparams(sa.bindparam("message_ids", type_=pg.ARRAY(pg.UUID))),
        {"message_ids": list(message_ids)},
    )
    return {row.message_id: (row.issue_id, row.seq) for row in rows}
