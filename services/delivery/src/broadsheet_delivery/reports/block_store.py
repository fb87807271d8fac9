"""SQL of a report's blocks: domain and variant of each delivery, and which are counted as accepted.

Variant 0 in a block: the delivery was waiting for the winner of its issue's A/B test when the block was made.

Every function takes the connection of its caller's transaction, which holds the one row of `report_pace`: so nobody
else writes blocks, domains or figures meanwhile.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.reports.tables import REPORT_BLOCK_SIZE

DOMAINS_MAX: Final = 5_000
"""Mail domains told apart in an issue; the others are counted together."""


class Cohort(msgspec.Struct, frozen=True):
    """What a delivery is counted under; `domain` 0: another domain, or one that is not known."""

    seq: int
    domain: int
    variant: int


class IssuePass(msgspec.Struct, frozen=True):
    """How far the acceptances of an issue are counted. `seq_end`: behind the last delivery."""

    finished_at: datetime | None
    seq_end: int
    pass_for: datetime | None
    next_seq: int


def block_of(seq: int) -> int:
    return (seq - 1) // REPORT_BLOCK_SIZE


async def fill_blocks(connection: AsyncConnection, issue_id: int, blocks: Sequence[int]) -> None:
    """Make those of these blocks that are missing, or that the fan-out has gone on with since, and count their
    recipients.

    An erased person has no address any more, and so no domain.
    """
    rows = await connection.execute(
        sa.text(f"""
            SELECT wanted.block, coalesce(cardinality(held.domains), 0) AS filled
              FROM unnest(CAST(:blocks AS integer[])) AS wanted (block)
              JOIN delivery.issue_run AS run ON run.issue_id = :issue_id
              LEFT JOIN delivery.report_block AS held ON held.issue_id = :issue_id AND held.block = wanted.block
             WHERE coalesce(cardinality(held.domains), 0)
                   < least({REPORT_BLOCK_SIZE}, run.next_seq - 1 - wanted.block * {REPORT_BLOCK_SIZE})
             ORDER BY wanted.block
        """),
        {"issue_id": issue_id, "blocks": sorted(set(blocks))},
    )
    for block, filled in rows.all():
        first_seq = block * REPORT_BLOCK_SIZE + filled + 1
        await _fill_block(connection, issue_id, block, first_seq=first_seq, last_seq=(block + 1) * REPORT_BLOCK_SIZE)


async def _fill_block(connection: AsyncConnection, issue_id: int, block: int, *, first_seq: int, last_seq: int) -> None:
    # One statement per delivery's look-up (LATERAL … LIMIT 1), so that the plan does not depend on fresh statistics.
    await connection.execute(
        sa.text(f"""
            WITH recipient AS MATERIALIZED (
                SELECT one.seq, coalesce(lower(split_part(person.email_key, '@', -1)), '') AS name,
                       coalesce(chunk.variant, 1) AS variant
                  FROM delivery.issue_run AS run
                 CROSS JOIN LATERAL (
                       SELECT d.seq, d.subscriber_id FROM delivery.delivery AS d
                        WHERE d.issue_id = :issue_id AND d.seq BETWEEN :first_seq AND :last_seq
                 ) AS one
                  LEFT JOIN LATERAL (
                       SELECT found.email_key FROM subscriptions.published_recipients AS found
                        WHERE found.newsletter_id = run.newsletter_id AND found.subscriber_id = one.subscriber_id
                        LIMIT 1
                  ) AS person ON true
                  LEFT JOIN LATERAL (
                       SELECT c.variant FROM delivery.delivery_chunk AS c
                        WHERE c.issue_id = :issue_id AND c.first_seq <= one.seq ORDER BY c.first_seq DESC LIMIT 1
                  ) AS chunk ON true
                 WHERE run.issue_id = :issue_id
            ), held AS MATERIALIZED (
                SELECT number, name FROM delivery.report_domain WHERE issue_id = :issue_id
            ), missing AS MATERIALIZED (
                SELECT name, row_number() OVER (ORDER BY count(*) DESC, name)
                             + coalesce((SELECT max(number) FROM held), 0) AS number
                  FROM recipient
                 WHERE name <> '' AND name NOT IN (SELECT held.name FROM held) GROUP BY name
            ), added AS (
                INSERT INTO delivery.report_domain (issue_id, number, name)
                SELECT :issue_id, number, name FROM missing WHERE number <= :domains_max
                RETURNING number, name
            ), numbered AS MATERIALIZED (
                SELECT recipient.seq, recipient.variant, coalesce(held.number, added.number, 0) AS domain
                  FROM recipient LEFT JOIN held USING (name) LEFT JOIN added USING (name)
            ), written AS (
                INSERT INTO delivery.report_block AS kept (issue_id, block, domains, variants, accepted)
                SELECT :issue_id, :block, array_agg(domain ORDER BY seq),
                       array_agg(CAST(variant AS smallint) ORDER BY seq),
                       CAST(repeat('0', {REPORT_BLOCK_SIZE}) AS bit({REPORT_BLOCK_SIZE}))
                  FROM numbered HAVING count(*) > 0
                ON CONFLICT (issue_id, block) DO UPDATE
                   SET domains = kept.domains || excluded.domains, variants = kept.variants || excluded.variants
            )
            INSERT INTO delivery.report_figure AS kept (issue_id, part, figure, key, count)
            SELECT :issue_id, 'domain', 'recipients', CAST(domain AS text), count(*) FROM numbered GROUP BY domain
            UNION ALL
            SELECT :issue_id, 'variant', 'recipients', CAST(variant AS text), count(*) FROM numbered GROUP BY variant
            ON CONFLICT (issue_id, part, figure, key) DO UPDATE SET count = kept.count + excluded.count
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger), sa.bindparam("block", type_=sa.Integer)),
        {
            "issue_id": issue_id,
            "block": block,
            "first_seq": first_seq,
            "last_seq": last_seq,
            "domains_max": DOMAINS_MAX,
        },
    )


async def cohorts_of(connection: AsyncConnection, issue_id: int, seqs: Sequence[int]) -> list[Cohort]:
    """Of deliveries whose blocks are filled; one that is not in the issue is left out."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT wanted.seq, held.domains[(wanted.seq - 1) % {REPORT_BLOCK_SIZE} + 1] AS domain,
                   coalesce(nullif(held.variants[(wanted.seq - 1) % {REPORT_BLOCK_SIZE} + 1], 0), run.winner, 0)
                       AS variant
              FROM unnest(CAST(:seqs AS integer[])) AS wanted (seq)
              JOIN delivery.issue_run AS run ON run.issue_id = :issue_id
              JOIN delivery.report_block AS held
                ON held.issue_id = :issue_id AND held.block = (wanted.seq - 1) / {REPORT_BLOCK_SIZE}
             WHERE (wanted.seq - 1) % {REPORT_BLOCK_SIZE} < cardinality(held.domains)
        """),
        {"issue_id": issue_id, "seqs": list(seqs)},
    )
    return [Cohort(*row) for row in rows]


async def next_issue_to_pass(
    connection: AsyncConnection, *, after_issue_id: int, resting: Collection[int]
) -> int | None:
    """The next issue after this one, or from the beginning, that ended since its acceptances were counted, or that is
    under way and has done chunks that were not.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT run.issue_id
              FROM delivery.issue_run AS run
              LEFT JOIN delivery.report_issue AS report USING (issue_id)
             WHERE run.issue_id <> ALL (:resting)
               AND run.outcomes_removed_at IS NULL AND run.partition_stage IS DISTINCT FROM 'removed'
               AND CASE WHEN run.finished_at IS NOT NULL THEN report.complete_for IS DISTINCT FROM run.finished_at
                        ELSE EXISTS (SELECT FROM delivery.delivery_chunk AS chunk
                                      WHERE chunk.issue_id = run.issue_id AND chunk.status = 'done'
                                        AND NOT coalesce(int4range(chunk.first_seq, chunk.last_seq + 1)
                                                         <@ report.rolled, false))
                    END
             ORDER BY run.issue_id <= :after, run.issue_id LIMIT 1
        """).bindparams(
            sa.bindparam("after", type_=sa.BigInteger), sa.bindparam("resting", type_=pg.ARRAY(sa.BigInteger))
        ),
        {"after": after_issue_id, "resting": list(resting)},
    )
    found: int | None = rows.scalar_one_or_none()
    return found


async def find_pass(connection: AsyncConnection, issue_id: int) -> IssuePass:
    await connection.execute(
        sa.text("INSERT INTO delivery.report_issue (issue_id) VALUES (:issue_id) ON CONFLICT DO NOTHING"),
        {"issue_id": issue_id},
    )
    row = await connection.execute(
        sa.text("""
            SELECT run.finished_at, run.next_seq AS seq_end, report.pass_for, report.next_seq
              FROM delivery.report_issue AS report JOIN delivery.issue_run AS run USING (issue_id)
             WHERE report.issue_id = :issue_id
        """),
        {"issue_id": issue_id},
    )
    return IssuePass(*row.one())


async def take_done_chunks(connection: AsyncConnection, issue_id: int, *, limit: int) -> list[tuple[int, int]]:
    """First and last delivery of done chunks of an issue under way that are not counted, noted as counted."""
    rows = await connection.execute(
        sa.text("""
            WITH span AS MATERIALIZED (
                SELECT chunk.first_seq, chunk.last_seq
                  FROM delivery.delivery_chunk AS chunk, delivery.report_issue AS report
                 WHERE chunk.issue_id = :issue_id AND report.issue_id = :issue_id AND chunk.status = 'done'
                   AND NOT int4range(chunk.first_seq, chunk.last_seq + 1) <@ report.rolled
                 ORDER BY chunk.first_seq LIMIT :limit
            ), noted AS (
                UPDATE delivery.report_issue
                   SET rolled = rolled + (SELECT coalesce(range_agg(int4range(first_seq, last_seq + 1)),
                                                          CAST('{}' AS int4multirange)) FROM span)
                 WHERE issue_id = :issue_id
            )
            SELECT first_seq, last_seq FROM span
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {"issue_id": issue_id, "limit": limit},
    )
    return [(row.first_seq, row.last_seq) for row in rows]


async def count_accepted(connection: AsyncConnection, issue_id: int, spans: Sequence[tuple[int, int]]) -> None:
    """Count the accepted deliveries of these spans that are not counted yet. Their blocks must be filled."""
    await connection.execute(
        sa.text(f"""
            WITH found AS MATERIALIZED (
                SELECT outcome.seq, (outcome.seq - 1) / {REPORT_BLOCK_SIZE} AS block,
                       (outcome.seq - 1) % {REPORT_BLOCK_SIZE} AS position
                  FROM unnest(CAST(:firsts AS integer[]), CAST(:lasts AS integer[])) AS span (first_seq, last_seq)
                 CROSS JOIN LATERAL (
                       SELECT said.seq FROM delivery.delivery_outcome AS said
                        WHERE said.issue_id = :issue_id AND said.seq BETWEEN span.first_seq AND span.last_seq
                          AND said.outcome = 'accepted'
                 ) AS outcome
            ), fresh AS MATERIALIZED (
                SELECT found.block, found.position, held.domains[found.position + 1] AS domain,
                       coalesce(nullif(held.variants[found.position + 1], 0), run.winner, 0) AS variant
                  FROM found
                  JOIN delivery.issue_run AS run ON run.issue_id = :issue_id
                  JOIN delivery.report_block AS held ON held.issue_id = :issue_id AND held.block = found.block
                 WHERE get_bit(held.accepted, found.position) = 0
            ), marked AS (
                UPDATE delivery.report_block AS kept SET accepted = kept.accepted | bits.members
                  FROM (SELECT block, bit_or(set_bit(CAST(repeat('0', {REPORT_BLOCK_SIZE}) AS bit({REPORT_BLOCK_SIZE})),
                                                     position, 1)) AS members
                          FROM fresh GROUP BY block) AS bits
                 WHERE kept.issue_id = :issue_id AND kept.block = bits.block
            )
            INSERT INTO delivery.report_figure AS kept (issue_id, part, figure, key, count)
            SELECT :issue_id, 'domain', 'accepted', CAST(domain AS text), count(*) FROM fresh GROUP BY domain
            UNION ALL
            SELECT :issue_id, 'variant', 'accepted', CAST(variant AS text), count(*) FROM fresh GROUP BY variant
            ON CONFLICT (issue_id, part, figure, key) DO UPDATE SET count = kept.count + excluded.count
        """).bindparams(sa.bindparam("issue_id", type_=sa.BigInteger)),
        {"issue_id": issue_id, "firsts": [first for first, _ in spans], "lasts": [last for _, last in spans]},
    )


async def note_pass(
    connection: AsyncConnection, issue_id: int, *, pass_for: datetime, next_seq: int, complete: bool
) -> None:
    """How far the pass through an ended issue has come. If the issue ends again after a retry, a new one begins."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.report_issue
               SET pass_for = :pass_for, next_seq = :next_seq, rolled = '{}', rolled_at = now(),
                   complete_for = CASE WHEN :complete THEN :pass_for ELSE complete_for END
             WHERE issue_id = :issue_id
        """).bindparams(
            sa.bindparam("pass_for", type_=sa.DateTime(timezone=True)), sa.bindparam("complete", type_=sa.Boolean)
        ),
        {"issue_id": issue_id, "pass_for": pass_for, "next_seq": next_seq, "complete": complete},
    )
