"""SQL of what is known of newsletters and streams at Postmark.

Every function takes the connection of its caller's transaction.
"""

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class RequestedFact(msgspec.Struct, frozen=True):
    """A newsletter that somebody asked about. `sender` is empty for the service's own."""

    newsletter_id: int
    stream: str
    handling: str
    sender: str


async def due_facts(connection: AsyncConnection, *, limit: int) -> list[RequestedFact]:
    """Oldest requests first."""
    rows = await connection.execute(
        sa.text("""
            SELECT letter.newsletter_id, letter.message_stream, letter.unsubscribe_handling,
                   coalesce(letter.from_email, '')
              FROM delivery.preflight_fact AS fact
              JOIN publishing.published_newsletters AS letter ON letter.newsletter_id = fact.newsletter_id
             WHERE fact.checked_at IS NULL OR fact.checked_at < fact.requested_at
             ORDER BY fact.requested_at, fact.newsletter_id
             LIMIT :limit
        """),
        {"limit": limit},
    )
    return [RequestedFact(*row) for row in rows]


async def store_fact(
    connection: AsyncConnection, asked: RequestedFact, *, stream_state: str, stream_reason: str | None
) -> None:
    """With what is known of the sender: refused while a single mail of the newsletter waits for code 400 or 401, or its
    newest issue is paused for one; accepted once a mail of an issue that was opened under this sender was.
    """
    await connection.execute(
        sa.text("""
            WITH seen AS (
                SELECT newsletter_id,
                       CASE WHEN sender = :sender THEN sender_since ELSE now() END AS since
                  FROM delivery.preflight_fact WHERE newsletter_id = :newsletter_id
            ), newest AS (
                SELECT run.issue_id, run.state, run.pause_reason
                  FROM delivery.issue_run AS run JOIN seen USING (newsletter_id)
                 WHERE run.opened_at >= seen.since
                 ORDER BY run.issue_id DESC LIMIT 1
            ), refused_mail AS (
                SELECT mail.reason FROM delivery.single_mail AS mail
                 WHERE mail.status = 'pending' AND mail.kind <> 'newsletter' AND mail.newsletter_id = :newsletter_id
                   AND :sender <> '' AND mail.reason ~ '(^|[^0-9])40[01]: '
                 LIMIT 1
            ), judged AS (
                SELECT CASE WHEN newest.state = 'paused' AND newest.pause_reason ~ '(^|[^0-9])40[01]: '
                            THEN 'refused' ELSE 'accepted' END AS state,
                       newest.pause_reason AS reason
                  FROM newest
                 WHERE (newest.state = 'paused' AND newest.pause_reason ~ '(^|[^0-9])40[01]: ')
                    OR EXISTS (SELECT 1 FROM delivery.delivery_chunk AS chunk
                                WHERE chunk.issue_id = newest.issue_id AND chunk.accepted_count > 0)
            )
            UPDATE delivery.preflight_fact AS fact
               SET checked_at = now(), message_stream = :stream, unsubscribe_handling = :handling,
                   stream_state = :stream_state, stream_reason = :stream_reason,
                   sender = :sender, sender_since = seen.since,
                   sender_state = CASE WHEN EXISTS (SELECT FROM refused_mail) THEN 'refused'
                                       ELSE coalesce((SELECT state FROM judged), 'unknown') END,
                   sender_reason = coalesce((SELECT reason FROM refused_mail), (SELECT reason FROM judged))
              FROM seen
             WHERE fact.newsletter_id = seen.newsletter_id
        """),
        {
            "newsletter_id": asked.newsletter_id,
            "stream": asked.stream,
            "handling": asked.handling,
            "sender": asked.sender,
            "stream_state": stream_state,
            "stream_reason": stream_reason,
        },
    )


class RequestedStream(msgspec.Struct, frozen=True):
    """A stream that somebody wants to set, with the way of handling unsubscribes that it has to fit."""

    stream: str
    handling: str


async def due_streams(connection: AsyncConnection, *, limit: int) -> list[RequestedStream]:
    """Oldest requests first."""
    rows = await connection.execute(
        sa.text("""
            SELECT message_stream, unsubscribe_handling FROM delivery.stream_check
             WHERE checked_at IS NULL OR checked_at < requested_at
             ORDER BY requested_at, message_stream LIMIT :limit
        """),
        {"limit": limit},
    )
    return [RequestedStream(*row) for row in rows]


async def store_stream(connection: AsyncConnection, asked: RequestedStream, *, state: str, reason: str | None) -> None:
    """With it, answers of last week about streams that no newsletter has are forgotten."""
    await connection.execute(
        sa.text("""
            WITH forgotten AS (
                DELETE FROM delivery.stream_check AS old
                 WHERE old.requested_at < now() - interval '7 days'
                   AND NOT EXISTS (SELECT FROM publishing.published_newsletters AS letter
                                    WHERE letter.message_stream = old.message_stream
                                      AND letter.unsubscribe_handling = old.unsubscribe_handling)
                   AND (old.message_stream, old.unsubscribe_handling) <> (:stream, :handling)
            )
            UPDATE delivery.stream_check SET checked_at = now(), state = :state, reason = :reason
             WHERE message_stream = :stream AND unsubscribe_handling = :handling
        """).bindparams(
            sa.bindparam("stream", type_=sa.Text),
            sa.bindparam("handling", type_=sa.Text),
            sa.bindparam("reason", type_=sa.Text),
        ),
        {"stream": asked.stream, "handling": asked.handling, "state": state, "reason": reason},
    )
