"""SQL of the backstop: which replica runs it, and which of Postmark's records are new here.

Every function takes the connection of its caller's transaction. The lease is set and compared by the database's
clock.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection


class Turn(msgspec.Struct, frozen=True):
    """A replica's turn. `began_at`, by the database's clock: what Postmark shows is at least as new."""

    token: uuid.UUID
    began_at: datetime
    bounces_read_to: datetime | None


async def take_turn(connection: AsyncConnection, *, token: uuid.UUID, lease: timedelta) -> Turn | None:
    """None: it is not due, or another replica has it."""
    await connection.execute(sa.text("INSERT INTO delivery.backstop_state DEFAULT VALUES ON CONFLICT DO NOTHING"))
    row = await connection.execute(
        sa.text("""
            UPDATE delivery.backstop_state
               SET lease_token = :token, lease_until = now() + :lease
             WHERE run_at <= now() AND (lease_until IS NULL OR lease_until < now())
            RETURNING now() AS began_at, bounces_read_to
        """).bindparams(sa.bindparam("token", type_=pg.UUID), sa.bindparam("lease", type_=sa.Interval)),
        {"token": token, "lease": lease},
    )
    found = row.one_or_none()
    return None if found is None else Turn(token, found.began_at, found.bounces_read_to)


async def is_due(connection: AsyncConnection) -> bool:
    """A check that writes nothing."""
    row = await connection.execute(
        sa.text("""
            SELECT NOT EXISTS (SELECT 1 FROM delivery.backstop_state
                                WHERE run_at > now() OR lease_until >= now())
        """)
    )
    return bool(row.scalar_one())


async def end_turn(connection: AsyncConnection, turn: Turn, *, wait_s: float, bounces_read_to: datetime | None) -> None:
    """The next run is due after `wait_s`; `bounces_read_to` None: this run did not succeed."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.backstop_state
               SET run_at = now() + :wait, lease_token = NULL, lease_until = NULL,
                   bounces_read_to = coalesce(:read_to, bounces_read_to),
                   finished_at = CASE WHEN :read_to IS NULL THEN finished_at ELSE now() END
             WHERE lease_token = :token
        """).bindparams(
            sa.bindparam("token", type_=pg.UUID),
            sa.bindparam("wait", type_=sa.Interval),
            sa.bindparam("read_to", type_=sa.DateTime(timezone=True)),
        ),
        {"token": turn.token, "wait": timedelta(seconds=wait_s), "read_to": bounces_read_to},
    )


async def streams_in_use(connection: AsyncConnection, *, transactional: str, limit: int) -> list[str]:
    """The newsletters' streams and the transactional one."""
    rows = await connection.execute(
        sa.text("""
            SELECT DISTINCT message_stream
              FROM (SELECT message_stream FROM publishing.published_newsletters
                    UNION ALL SELECT CAST(:transactional AS text)) AS used
             ORDER BY message_stream LIMIT :limit
        """),
        {"transactional": transactional, "limit": limit},
    )
    return list(rows.scalars())


async def news_of_dump(
    connection: AsyncConnection,
    *,
    stream: str,
    keys: Sequence[str],
    times: Sequence[datetime],
    complaints: Sequence[bool],
) -> set[str]:
    """Those of these suppressions at Postmark that are not in effect here: missing, lifted before, or a complaint
    not known as one.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT shown.email_key
              FROM unnest(CAST(:keys AS text[]), CAST(:times AS timestamptz[]), CAST(:complaints AS boolean[]))
                   AS shown (email_key, since, complained)
              LEFT JOIN LATERAL (
                   SELECT known.active, known.kind, known.changed_at FROM delivery.suppression AS known
                    WHERE known.message_stream = :stream AND known.email_key = shown.email_key LIMIT 1
              ) AS known ON true
             WHERE known.kind IS NULL OR (NOT known.active AND known.changed_at < shown.since)
                OR (shown.complained AND known.kind <> 'complaint')
        """),
        {"stream": stream, "keys": list(keys), "times": list(times), "complaints": list(complaints)},
    )
    return set(rows.scalars())


async def provider_suppressions(
    connection: AsyncConnection, *, stream: str, before: datetime, after_key: str, limit: int
) -> list[str]:
    """Addresses that Postmark reported as suppressed and should still show: not suppressed by us, no complaint, not
    too new.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT email_key FROM delivery.suppression
             WHERE message_stream = :stream AND email_key > :after_key
               AND active AND source NOT IN ('operator', 'rule') AND kind <> 'complaint' AND tell_run_at IS NULL
               AND changed_at < :before
             ORDER BY email_key LIMIT :limit
        """).bindparams(sa.bindparam("before", type_=sa.DateTime(timezone=True))),
        {"stream": stream, "after_key": after_key, "before": before, "limit": limit},
    )
    return list(rows.scalars())


async def unknown_keys(connection: AsyncConnection, dedupe_keys: Sequence[str]) -> set[str]:
    """Those of these events that were never recorded."""
    rows = await connection.execute(
        sa.text("""
            SELECT wanted FROM unnest(CAST(:keys AS text[])) AS wanted
             WHERE NOT EXISTS (SELECT 1 FROM delivery.provider_event AS event WHERE event.dedupe_key = wanted)
        """),
        {"keys": list(dedupe_keys)},
    )
    return set(rows.scalars())
