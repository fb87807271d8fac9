"""SQL of the checks. Every function takes the connection of its caller's transaction."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.checks.checked_issue import RecentIssue
from broadsheet_publishing.checks.postmark_facts import Preflight


async def find_preflight(connection: AsyncConnection, newsletter_id: int) -> tuple[Preflight | None, datetime]:
    """What delivery last learned of the newsletter, and the database's time."""
    row = (
        await connection.execute(
            sa.text("""
                SELECT now(), fact.checked_at, fact.message_stream, fact.unsubscribe_handling, fact.stream_state,
                       fact.stream_reason, fact.sender, fact.sender_state, fact.sender_reason
                  FROM (SELECT) AS always
                  LEFT JOIN delivery.published_preflight AS fact ON fact.newsletter_id = :newsletter_id
            """),
            {"newsletter_id": newsletter_id},
        )
    ).one()
    now, checked_at, *rest = row
    return (None if checked_at is None else Preflight(checked_at, *rest)), now


async def list_recent(connection: AsyncConnection, newsletter_id: int, *, other_than: int) -> tuple[RecentIssue, ...]:
    """Issues of the newsletter that were published in the last 24 hours; at most 50."""
    result = await connection.execute(
        sa.text("""
            SELECT issue.id, issue.title, compiled.digest
              FROM publishing.issue
              JOIN publishing.compiled_content AS compiled ON compiled.issue_id = issue.id
             WHERE issue.newsletter_id = :newsletter_id AND issue.id <> :other_than AND issue.status = 'published'
               AND issue.published_at > now() - interval '24 hours' AND compiled.digest <> ''
             ORDER BY issue.id DESC LIMIT 50
        """),
        {"newsletter_id": newsletter_id, "other_than": other_than},
    )
    return tuple(RecentIssue(issue_id=row.id, title=row.title, digest=row.digest) for row in result)


async def read_missing_shares(connection: AsyncConnection, newsletter_id: int) -> dict[str, float] | None:
    """For each merge field, the share of readers without a value, of the 500 who were added last. None: no readers."""
    result = await connection.execute(
        sa.text("""
            WITH readers AS MATERIALIZED (
                SELECT coalesce(person.name, '') AS name, merged.tags, merged.attributes
                  FROM (SELECT subscriber_id FROM subscriptions.published_audience
                         WHERE newsletter_id = :newsletter_id ORDER BY subscriber_id DESC LIMIT 500) AS newest
                  JOIN subscriptions.published_recipients AS person
                    ON person.newsletter_id = :newsletter_id AND person.subscriber_id = newest.subscriber_id
                  JOIN subscriptions.published_merge_values AS merged ON merged.subscriber_id = newest.subscriber_id
            ), total AS (SELECT count(*) AS readers FROM readers)
            SELECT 'subscriber.name' AS field, (SELECT count(*) FROM readers WHERE name = '') AS missing, total.readers
              FROM total
            UNION ALL
            SELECT 'subscriber.tags', (SELECT count(*) FROM readers WHERE tags = '{}'), total.readers FROM total
            UNION ALL
            SELECT 'subscriber.attributes.' || attribute.name,
                   (SELECT count(*) FROM readers WHERE NOT jsonb_exists(readers.attributes, attribute.name)),
                   total.readers
              FROM subscriptions.published_attributes AS attribute CROSS JOIN total
        """),
        {"newsletter_id": newsletter_id},
    )
    rows = result.all()
    if rows[0].readers == 0:
        return None
    return {row.field: row.missing / row.readers for row in rows if row.missing}
