"""SQL of the preflight. Every function takes the connection of its caller's transaction."""

from datetime import timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class UncheckedIssue(msgspec.Struct, frozen=True):
    """`stream` and `handling` are None for an issue that is not published."""

    issue_id: int
    stream: str | None
    handling: str | None
    tries: int


class WaitingIssue(msgspec.Struct, frozen=True):
    """An open issue that has not started; `reason` says why Postmark could not be asked, after the first try."""

    issue_id: int
    reason: str | None


async def due_issues(connection: AsyncConnection, *, limit: int) -> list[UncheckedIssue]:
    rows = await connection.execute(
        sa.text("""
            SELECT run.issue_id, letter.message_stream, letter.unsubscribe_handling, run.preflight_count
              FROM delivery.issue_run AS run
              LEFT JOIN publishing.published_issues AS issue ON issue.issue_id = run.issue_id
              LEFT JOIN publishing.published_newsletters AS letter ON letter.newsletter_id = issue.newsletter_id
             WHERE run.state = 'open' AND run.preflight_at IS NULL AND run.preflight_due_at <= now()
               AND EXISTS (SELECT 1 FROM delivery.sending_state WHERE paused_at IS NULL)
             ORDER BY run.issue_id
             LIMIT :limit
        """),
        {"limit": limit},
    )
    return [UncheckedIssue(*row) for row in rows]


async def set_passed(connection: AsyncConnection, issue_id: int) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run SET preflight_at = now(), preflight_error = NULL, preflight_count = 0
             WHERE issue_id = :issue_id AND state = 'open' AND preflight_at IS NULL
        """),
        {"issue_id": issue_id},
    )


async def put_off(connection: AsyncConnection, issue_id: int, *, reason: str, wait_s: float) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run
               SET preflight_error = :reason, preflight_count = preflight_count + 1, preflight_due_at = now() + :wait
             WHERE issue_id = :issue_id AND state = 'open' AND preflight_at IS NULL AND preflight_due_at <= now()
        """).bindparams(sa.bindparam("wait", type_=sa.Interval)),
        {"issue_id": issue_id, "reason": reason, "wait": timedelta(seconds=wait_s)},
    )


async def unchecked_issues(connection: AsyncConnection, *, limit: int) -> list[WaitingIssue]:
    """Open issues that wait for their preflight, in order."""
    rows = await connection.execute(
        sa.text("""
            SELECT issue_id, preflight_error FROM delivery.issue_run
             WHERE state = 'open' AND preflight_at IS NULL
             ORDER BY issue_id LIMIT :limit
        """),
        {"limit": limit},
    )
    return [WaitingIssue(*row) for row in rows]


async def count_unchecked_issues(connection: AsyncConnection) -> int:
    """Open issues that wait for their preflight."""
    count = await connection.execute(
        sa.text("SELECT count(*) FROM delivery.issue_run WHERE state = 'open' AND preflight_at IS NULL")
    )
    return int(count.scalar_one())
