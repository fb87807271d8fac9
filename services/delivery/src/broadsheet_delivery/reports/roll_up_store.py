"""SQL of rolling up: whose turn it is, what waits, the events of recipients, and the figures.

Every function takes the connection of its caller's transaction, which holds the one row of `report_pace`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.reports.link_name import LINKS_MAX
from broadsheet_delivery.reports.recipient_figures import Cell

EVENTS_OF_A_RECIPIENT_MAX: Final = 500
"""The first ones: a program that opens a mail every second would otherwise make each step longer than the last."""


class Pace(msgspec.Struct, frozen=True):
    """`is_sending`: mails are being sent or wait to be sent, so that the roll-up must not take their time."""

    last_issue_id: int
    backfill_next_id: int
    backfill_end_id: int
    is_sending: bool


class StoredEvent(msgspec.Struct, frozen=True):
    """An event of a recipient of whom something waits. `machine`: the rule that its user agent matched."""

    id: int
    seq: int
    record_type: str
    occurred_at: datetime
    machine: str | None
    bounce_type: str | None
    shared_link: str | None
    link: str | None
    leaves: bool


async def take_turn(connection: AsyncConnection) -> Pace | None:
    """None: another replica has the turn, or the roll-up rests. Held until the transaction ends."""
    row = (
        await connection.execute(
            sa.text("""
                SELECT last_issue_id, backfill_next_id, backfill_end_id,
                       EXISTS (SELECT FROM delivery.issue_run AS run
                                WHERE run.state = 'open'
                                  AND EXISTS (SELECT FROM delivery.delivery_chunk AS chunk
                                               WHERE chunk.issue_id = run.issue_id
                                                 AND chunk.status IN ('pending', 'leased', 'attempting'))) AS is_sending
                  FROM delivery.report_pace WHERE next_at <= now() FOR UPDATE OF report_pace SKIP LOCKED
            """)
        )
    ).one_or_none()
    return None if row is None else Pace(*row)


async def end_turn(connection: AsyncConnection, *, issue_id: int | None, rest: timedelta) -> None:
    """`issue_id`: the issue that had this turn. By the clock, not by the transaction's beginning."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.report_pace
               SET last_issue_id = coalesce(:issue_id, last_issue_id), next_at = clock_timestamp() + :rest
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger), sa.bindparam("rest", type_=sa.Interval)),
        {"issue_id": issue_id, "rest": rest},
    )


async def queue_older_events(connection: AsyncConnection, pace: Pace, *, limit: int) -> None:
    """Put the next of the events from before the queue into it."""
    behind = min(pace.backfill_next_id + limit, pace.backfill_end_id + 1)
    await connection.execute(
        sa.text("""
            WITH moved AS (
                UPDATE delivery.report_pace SET backfill_next_id = :behind
            )
            INSERT INTO delivery.report_queue (issue_id, item)
            SELECT issue_id, id FROM delivery.provider_event
             WHERE id >= :first AND id < :behind AND issue_id IS NOT NULL
               AND record_type IN ('Delivery', 'Bounce', 'SpamComplaint', 'Open', 'Click', 'SubscriptionChange')
            ON CONFLICT DO NOTHING
        """).bindparams(sa.bindparam("first", type_=sa.BigInteger), sa.bindparam("behind", type_=sa.BigInteger)),
        {"first": pace.backfill_next_id, "behind": behind},
    )


async def next_issue_with_events(
    connection: AsyncConnection, *, after_issue_id: int, resting: Collection[int]
) -> int | None:
    """Of the issues something waits of, the next after this one, and then from the beginning; none that rests."""
    row = await connection.execute(
        sa.text("""
            SELECT coalesce((SELECT min(issue_id) FROM delivery.report_queue
                              WHERE issue_id > :after AND issue_id <> ALL (:resting)),
                            (SELECT min(issue_id) FROM delivery.report_queue WHERE issue_id <> ALL (:resting)))
        """).bindparams(
            sa.bindparam("after", type_=sa.BigInteger), sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))
        ),
        {"after": after_issue_id, "resting": list(resting)},
    )
    found: int | None = row.scalar_one()
    return found


async def published_at(connection: AsyncConnection, issue_id: int) -> datetime | None:
    """None: there is no such issue here, although an event names it."""
    row = await connection.execute(
        sa.text("SELECT opened_at FROM delivery.issue_run WHERE issue_id = :issue_id"), {"issue_id": issue_id}
    )
    found: datetime | None = row.scalar_one_or_none()
    return found


async def take_waiting(connection: AsyncConnection, issue_id: int, *, limit: int) -> list[int]:
    """The oldest items of the issue's queue, deleted with the commit."""
    rows = await connection.execute(
        sa.text("""
            DELETE FROM delivery.report_queue
             WHERE issue_id = :issue_id AND item = ANY (ARRAY (
                   SELECT item FROM delivery.report_queue WHERE issue_id = :issue_id ORDER BY item LIMIT :limit))
            RETURNING item
        """),
        {"issue_id": issue_id, "limit": limit},
    )
    return list(rows.scalars())


async def seqs_of_events(connection: AsyncConnection, event_ids: Sequence[int]) -> set[int]:
    rows = await connection.execute(
        sa.text("SELECT DISTINCT seq FROM delivery.provider_event WHERE id = ANY (CAST(:ids AS bigint[]))"),
        {"ids": list(event_ids)},
    )
    return set(rows.scalars())


async def events_of_recipients(
    connection: AsyncConnection, issue_id: int, *, seqs: Sequence[int], pace: Pace
) -> list[StoredEvent]:
    """What is in the figures, or comes into them now: not what waits for a later step.

    A change of subscription `leaves` if the recipient made it: what bounces caused is not theirs.

    Each recipient is looked up separately (LATERAL … LIMIT), so that the plan does not depend on fresh statistics.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT event.id, event.seq, event.record_type, event.occurred_at, event.detail ->> 'machine' AS machine,
                   event.detail ->> 'type' AS bounce_type, event.detail ->> 'shared_link' AS shared_link,
                   event.detail ->> 'link' AS link,
                   event.record_type = 'SubscriptionChange' AND event.detail @> '{"suppress_sending": true}'
                   AND coalesce(event.detail ->> 'origin' = 'Recipient', false)
                   AND coalesce(event.detail ->> 'reason' <> 'HardBounce', true) AS leaves
              FROM unnest(CAST(:seqs AS integer[])) AS wanted (seq)
             CROSS JOIN LATERAL (
                   -- OFFSET 0: by the index of deliveries, and not through the table in the order of ids.
                   SELECT one.* FROM (
                       SELECT held.id, held.seq, held.record_type, held.occurred_at, held.detail
                         FROM delivery.provider_event AS held
                        WHERE held.issue_id = :issue_id AND held.seq = wanted.seq OFFSET 0
                   ) AS one
                    WHERE one.record_type IN
                          ('Delivery', 'Bounce', 'SpamComplaint', 'Open', 'Click', 'SubscriptionChange')
                      AND NOT one.id BETWEEN :backfill_next_id AND :backfill_end_id
                      AND (SELECT true FROM delivery.report_queue AS waiting
                            WHERE waiting.issue_id = :issue_id AND waiting.item = one.id LIMIT 1) IS NULL
                    ORDER BY one.id LIMIT :events_max
             ) AS event
        """).bindparams(
            sa.bindparam("issue_id", type_=sa.BigInteger),
            sa.bindparam("backfill_next_id", type_=sa.BigInteger),
            sa.bindparam("backfill_end_id", type_=sa.BigInteger),
        ),
        {
            "issue_id": issue_id,
            "seqs": list(seqs),
            "backfill_next_id": pace.backfill_next_id,
            "backfill_end_id": pace.backfill_end_id,
            "events_max": EVENTS_OF_A_RECIPIENT_MAX,
        },
    )
    return [StoredEvent(*row) for row in rows]


async def departures_of(connection: AsyncConnection, issue_id: int, *, seqs: Sequence[int]) -> set[int]:
    """Of these recipients, those whose departure by the mail's link is in the figures, or comes into them now."""
    rows = await connection.execute(
        sa.text("""
            SELECT gone.seq FROM delivery.departure AS gone
             WHERE gone.issue_id = :issue_id AND gone.seq = ANY (CAST(:seqs AS integer[]))
               AND NOT EXISTS (SELECT FROM delivery.report_queue AS waiting
                                WHERE waiting.issue_id = :issue_id AND waiting.item = -gone.seq)
        """),
        {"issue_id": issue_id, "seqs": list(seqs)},
    )
    return set(rows.scalars())


async def number_links(connection: AsyncConnection, issue_id: int, names: Sequence[str]) -> dict[str, int]:
    """The number of each link; 0 for one that the issue has no room for."""
    rows = await connection.execute(
        sa.text("""
            WITH held AS MATERIALIZED (
                SELECT number, url FROM delivery.report_link WHERE issue_id = :issue_id
            ), missing AS MATERIALIZED (
                SELECT wanted.url, row_number() OVER (ORDER BY wanted.position)
                                   + coalesce((SELECT max(number) FROM held), 0) AS number
                  FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS wanted (url, position)
                 WHERE NOT EXISTS (SELECT FROM held WHERE held.url = wanted.url)
            ), added AS (
                INSERT INTO delivery.report_link (issue_id, number, url)
                SELECT :issue_id, number, url FROM missing WHERE number <= :links_max
                RETURNING number, url
            )
            SELECT url, number FROM held WHERE url = ANY (CAST(:names AS text[]))
            UNION ALL
            SELECT url, number FROM added
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {"issue_id": issue_id, "names": list(dict.fromkeys(names)), "links_max": LINKS_MAX},
    )
    found = {row.url: row.number for row in rows}
    return {name: found.get(name, 0) for name in names}


async def add_figures(connection: AsyncConnection, issue_id: int, differences: Mapping[Cell, int]) -> None:
    cells = [cell for cell, difference in differences.items() if difference != 0]
    if cells:
        await connection.execute(
            sa.text("""
                INSERT INTO delivery.report_figure AS kept (issue_id, part, figure, key, count)
                SELECT :issue_id, part, figure, key, count
                  FROM unnest(CAST(:parts AS text[]), CAST(:figures AS text[]), CAST(:keys AS text[]),
                              CAST(:counts AS bigint[])) AS one (part, figure, key, count)
                ON CONFLICT (issue_id, part, figure, key) DO UPDATE SET count = kept.count + excluded.count
            """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
            {
                "issue_id": issue_id,
                "parts": [cell.part for cell in cells],
                "figures": [cell.figure for cell in cells],
                "keys": [cell.key for cell in cells],
                "counts": [differences[cell] for cell in cells],
            },
        )


async def note_rolled(connection: AsyncConnection, issue_id: int) -> None:
    """The moment that the issue's figures are of: the snapshot may be a little older than the commit."""
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.report_issue (issue_id, rolled_at) VALUES (:issue_id, now())
            ON CONFLICT (issue_id) DO UPDATE SET rolled_at = excluded.rolled_at
        """),
        {"issue_id": issue_id},
    )
