"""The SQL of audiences that are counted: plain functions that take the connection of the caller's transaction.

Who is in an audience is the fan-out's own condition (`whole_audience_sql`), so that what is counted is what is sent.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.audience.audience import AudienceCount, Excluded, Person, Trial
from broadsheet_publishing.fan_out.interface import whole_audience_sql


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
        sa.text("SELECT filter_digest FROM subscriptions.published_segment_versions WHERE segment_id = :segment_id"),
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
    connection: AsyncConnection,
    *,
    newsletter_id: int,
    stream: str,
    as_of: datetime,
    trial: Trial | None,
    sample_size: int = 0,
    sample_seed: int = 0,
) -> tuple[AudienceCount, list[Person]]:
    """In one statement, so that everything is of one snapshot. `trial`: of the issue's segment; `as_of` is its moment
    then.

    The sample is from the whole audience: those whose hash is least. The same seed chooses the same people while they
    are in it.
    """
    # Planned for this newsletter each time: the plan that Postgres keeps after five would be for one of any size.
    await connection.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
    is_segmented = trial is not None
    # Without a segment, everybody who was confirmed by then is a member; another scan would count the same again.
    confirmed_sql = (
        """
        SELECT count(*) AS people, count(*) FILTER (WHERE confirmed_at <= :frozen_at) AS by_then
          FROM subscriptions.published_audience WHERE newsletter_id = :newsletter_id
        """
        if is_segmented
        else "SELECT members AS people, members AS by_then FROM audience"
    )
    members_sql = whole_audience_sql(is_segmented=is_segmented)
    result = await connection.execute(
        sa.text(f"""
            WITH suppressed AS MATERIALIZED (
                    SELECT person.subscriber_id
                      FROM delivery.published_suppressed AS told
                      JOIN subscriptions.published_recipients AS person
                        ON person.email_key = told.email_key AND person.newsletter_id = :newsletter_id
                       AND person.state = 'confirmed'
                     WHERE told.message_stream = :stream),
                 audience AS (
                    SELECT count(*) AS members, count(suppressed.subscriber_id) AS suppressed
                      FROM ({members_sql}) AS frozen
                      LEFT JOIN suppressed ON suppressed.subscriber_id = frozen.subscriber_id),
                 confirmed AS ({confirmed_sql}),
                 others AS (
                    SELECT coalesce(sum(subscriptions) FILTER (WHERE state = 'pending'), 0) AS pending,
                           coalesce(sum(subscriptions) FILTER (WHERE state = 'unsubscribed'), 0) AS unsubscribed
                      FROM subscriptions.published_unconfirmed_counts WHERE newsletter_id = :newsletter_id),
                 chosen AS MATERIALIZED (
                    SELECT frozen.subscriber_id
                      FROM ({members_sql}) AS frozen
                      LEFT JOIN suppressed ON suppressed.subscriber_id = frozen.subscriber_id
                     WHERE suppressed.subscriber_id IS NULL
                     ORDER BY hashint8extended(frozen.subscriber_id, :sample_seed) LIMIT :sample_size)
            SELECT audience.members, audience.suppressed, confirmed.people, confirmed.by_then, others.pending,
                   others.unsubscribed,
                   coalesce((SELECT people FROM subscriptions.published_erased_counts
                              WHERE newsletter_id = :newsletter_id), 0) AS erased,
                   ARRAY (SELECT jsonb_build_array(person.subscriber_id, person.email, person.name)
                            FROM chosen
                            JOIN subscriptions.published_recipients AS person
                              ON person.newsletter_id = :newsletter_id AND person.subscriber_id = chosen.subscriber_id
                           ORDER BY person.subscriber_id) AS sample
              FROM audience CROSS JOIN confirmed CROSS JOIN others
        """).bindparams(  # constants
            sa.bindparam("frozen_at", type_=sa.DateTime(timezone=True)),
            sa.bindparam("sample_seed", type_=sa.BigInteger),
            sa.bindparam("sample_size", type_=sa.BigInteger),
        ),
        {
            "newsletter_id": newsletter_id,
            "stream": stream,
            "frozen_at": as_of,
            "sample_seed": sample_seed,
            "sample_size": sample_size,
        }
        # A trial stands where an issue would.
        | ({} if trial is None else {"issue_id": trial.trial_id}),
    )
    row = result.one()
    count = AudienceCount(
        count=row.members - row.suppressed,
        excluded=Excluded(
            # Whoever confirmed after that moment was pending at it.
            pending=int(row.pending) + row.people - row.by_then,
            unsubscribed=int(row.unsubscribed),
            outside_segment=row.by_then - row.members,
            suppressed=row.suppressed,
            erased=row.erased,
        ),
        as_of=as_of,
    )
    return count, [Person(*person) for person in row.sample]
