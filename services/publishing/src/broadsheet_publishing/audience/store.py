"""The SQL of audiences that are counted: plain functions that take the connection of the caller's transaction.

Who is in an audience is the fan-out's own statement (`whole_audience_sql`), so that what is counted is what is sent.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.audience.audience import AudienceCount, Excluded, Person, Trial
from broadsheet_publishing.fan_out.interface import whole_audience_sql

# Those who may not be mailed: few, as a rule, so they are looked up and the audience is walked by its index alone.
_SUPPRESSED_SQL = """
    SELECT person.subscriber_id
      FROM delivery.published_suppressed AS told
      JOIN subscriptions.published_recipients AS person
        ON person.email_key = told.email_key AND person.newsletter_id = :newsletter_id AND person.state = 'confirmed'
     WHERE told.message_stream = :stream
"""


async def find_trial(connection: AsyncConnection, trial_id: int) -> Trial | None:
    """None: its members are not found yet, or were released."""
    result = await connection.execute(
        sa.text("""
            SELECT issue_id, filter_digest, frozen_at FROM subscriptions.published_audience_requests
             WHERE issue_id = :trial_id AND completed_at IS NOT NULL AND released_at IS NULL
        """),
        {"trial_id": trial_id},
    )
    row = result.one_or_none()
    return None if row is None else Trial(*row)


async def find_filter_digest(connection: AsyncConnection, segment_id: int) -> str | None:
    """Of the segment as it is now; None: there is no such segment."""
    result = await connection.execute(
        sa.text("SELECT filter_digest FROM subscriptions.published_segments WHERE segment_id = :segment_id"),
        {"segment_id": segment_id},
    )
    digest: str | None = result.scalar_one_or_none()
    return digest


async def find_frozen_digest(connection: AsyncConnection, issue_id: int) -> str | None:
    """Of the filter that was frozen for the issue; None: it goes to no segment."""
    result = await connection.execute(
        sa.text("SELECT filter_digest FROM subscriptions.published_audience_requests WHERE issue_id = :issue_id"),
        {"issue_id": issue_id},
    )
    digest: str | None = result.scalar_one_or_none()
    return digest


async def count_audience(
    connection: AsyncConnection, *, newsletter_id: int, stream: str, as_of: datetime, trial: Trial | None
) -> AudienceCount:
    """In one statement, so that all numbers are of one snapshot. `trial`: of the issue's segment; `as_of` is its
    moment then.
    """
    result = await connection.execute(
        sa.text(f"""
            WITH suppressed AS MATERIALIZED ({_SUPPRESSED_SQL}),
                 audience AS (
                    SELECT count(*) AS members, count(suppressed.subscriber_id) AS suppressed
                      FROM ({whole_audience_sql(is_segmented=trial is not None)}) AS frozen
                      LEFT JOIN suppressed ON suppressed.subscriber_id = frozen.subscriber_id),
                 confirmed AS (
                    SELECT count(*) AS people, count(*) FILTER (WHERE confirmed_at <= :frozen_at) AS by_then
                      FROM subscriptions.published_audience WHERE newsletter_id = :newsletter_id)
            SELECT audience.members, audience.suppressed, confirmed.people, confirmed.by_then,
                   coalesce((SELECT subscriptions FROM subscriptions.published_unconfirmed_counts
                              WHERE newsletter_id = :newsletter_id AND state = 'pending'), 0) AS pending,
                   coalesce((SELECT subscriptions FROM subscriptions.published_unconfirmed_counts
                              WHERE newsletter_id = :newsletter_id AND state = 'unsubscribed'), 0) AS unsubscribed,
                   coalesce((SELECT people FROM subscriptions.published_erased_counts
                              WHERE newsletter_id = :newsletter_id), 0) AS erased
              FROM audience CROSS JOIN confirmed
        """).bindparams(sa.bindparam("frozen_at", type_=sa.DateTime(timezone=True))),  # constants
        _parameters(newsletter_id=newsletter_id, stream=stream, as_of=as_of, trial=trial),
    )
    row = result.one()
    return AudienceCount(
        count=row.members - row.suppressed,
        excluded=Excluded(
            # Whoever confirmed after that moment was pending at it.
            pending=row.pending + row.people - row.by_then,
            unsubscribed=row.unsubscribed,
            outside_segment=row.by_then - row.members,
            suppressed=row.suppressed,
            erased=row.erased,
        ),
        as_of=as_of,
    )


async def sample_audience(
    connection: AsyncConnection,
    *,
    newsletter_id: int,
    stream: str,
    as_of: datetime,
    trial: Trial | None,
    seed: int,
    size: int,
) -> list[Person]:
    """`size` people at most, from the whole of the audience: those whose hash is least. The same `seed` chooses the
    same people while they are in it.
    """
    result = await connection.execute(
        sa.text(f"""
            WITH suppressed AS MATERIALIZED ({_SUPPRESSED_SQL}),
                 chosen AS MATERIALIZED (
                    SELECT frozen.subscriber_id
                      FROM ({whole_audience_sql(is_segmented=trial is not None)}) AS frozen
                      LEFT JOIN suppressed ON suppressed.subscriber_id = frozen.subscriber_id
                     WHERE suppressed.subscriber_id IS NULL
                     ORDER BY hashint8extended(frozen.subscriber_id, :seed) LIMIT :size)
            SELECT person.subscriber_id, person.email, person.name
              FROM chosen
              JOIN subscriptions.published_recipients AS person
                ON person.newsletter_id = :newsletter_id AND person.subscriber_id = chosen.subscriber_id
             ORDER BY person.subscriber_id
        """).bindparams(  # constants
            sa.bindparam("frozen_at", type_=sa.DateTime(timezone=True)),
            sa.bindparam("seed", type_=sa.BigInteger),
            sa.bindparam("size", type_=sa.BigInteger),
        ),
        _parameters(newsletter_id=newsletter_id, stream=stream, as_of=as_of, trial=trial)
        | {"seed": seed, "size": size},
    )
    return [Person(*row) for row in result]


def _parameters(*, newsletter_id: int, stream: str, as_of: datetime, trial: Trial | None) -> dict[str, object]:
    # A trial stands where an issue would.
    return {
        "newsletter_id": newsletter_id,
        "stream": stream,
        "frozen_at": as_of,
        "cursor_subscriber_id": 0,
    } | ({} if trial is None else {"issue_id": trial.trial_id})
