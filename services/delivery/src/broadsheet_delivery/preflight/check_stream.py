"""Preflight: before anything of an issue is sent, Postmark is asked whether the issue's stream fits its newsletter.

Nothing of an open issue is claimed while `issue_run.preflight_at` is NULL. A stream that does not fit pauses the issue
with the reason; a refused token or account pauses all sending; when Postmark cannot be asked, it is asked again after
a wait that grows, and nothing starts meanwhile. Resuming an issue has it checked again.
"""

from datetime import timedelta
from typing import assert_never

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, mismatch
from broadsheet_delivery.suppressions.store import extend_to_stream
from broadsheet_delivery.throttle.back_off import shared_wait_s
from broadsheet_delivery.throttle.sending_state import pause_issue, pause_sending

ISSUES_A_ROUND_MAX = 100


class UncheckedIssue(msgspec.Struct, frozen=True):
    """`stream` and `handling` are None for an issue that is not published."""

    issue_id: int
    stream: str | None
    handling: str | None
    tries: int


class WaitingIssue(msgspec.Struct, frozen=True):
    """An open issue of which nothing starts yet; `reason` says why Postmark could not be asked, once it was tried."""

    issue_id: int
    reason: str | None


async def preflight_issues(context: DeliveryContext) -> int:
    """One bounded round; answers how many issues may start."""
    async with context.engine.connect() as connection:
        due = await _due(connection)
    held = context.set_asides.of("delivery.preflight")
    passed = 0
    for issue in due:
        try:
            passed += await _look_at(context, issue)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            # It waits, with its reason shown, and the others have their turn.
            held.hold(issue.issue_id, error)
            async with context.engine.begin() as connection:
                await _put_off(
                    connection,
                    issue.issue_id,
                    reason=f"The check itself failed ({type(error).__name__}); the log says more.",
                    wait_s=shared_wait_s(issue.tries, context.random),
                )
        else:
            held.forget(issue.issue_id)
    return passed


async def _look_at(context: DeliveryContext, issue: UncheckedIssue) -> bool:
    """Whether it may start."""
    if issue.stream is None or issue.handling is None:
        async with context.engine.begin() as connection:
            await pause_issue(connection, issue_id=issue.issue_id, reason="The issue is not published.")
        return False
    return await _check(context, issue, issue.stream, issue.handling)


async def _check(context: DeliveryContext, issue: UncheckedIssue, stream: str, handling: str) -> bool:
    if context.preflights.stands(stream, handling):
        async with context.engine.begin() as connection:
            await _pass(connection, issue.issue_id, stream)
        return True
    answer = await context.postmark.read_stream(stream)
    async with context.engine.begin() as connection:
        match answer:
            case Stream():
                reason = mismatch(answer, handling)
                if reason is None:
                    context.preflights.passed(stream, handling)
                    await _pass(connection, issue.issue_id, stream)
                    return True
                await pause_issue(connection, issue_id=issue.issue_id, reason=reason)
                context.log.warning("delivery.preflight_refused", issue_id=issue.issue_id, stream=stream)
            case NoSuchStream(reason):
                text = f"Postmark does not show the stream '{stream}': {reason}"
                await pause_issue(connection, issue_id=issue.issue_id, reason=text)
                context.log.warning("delivery.preflight_refused", issue_id=issue.issue_id, stream=stream)
            case AccountRefused(reason):
                await pause_sending(connection, reason=reason)
                context.log.error("delivery.preflight_account_refused", issue_id=issue.issue_id)
            case NotAsked(reason):
                wait_s = shared_wait_s(issue.tries, context.random)
                await _put_off(connection, issue.issue_id, reason=reason, wait_s=wait_s)
                context.log.warning("delivery.preflight_put_off", issue_id=issue.issue_id, tries=issue.tries + 1)
            case _:
                assert_never(answer)
    return False


async def _due(connection: AsyncConnection) -> list[UncheckedIssue]:
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
        {"limit": ISSUES_A_ROUND_MAX},
    )
    return [UncheckedIssue(*row) for row in rows]


async def _pass(connection: AsyncConnection, issue_id: int, stream: str) -> None:
    await extend_to_stream(connection, stream=stream)
    await connection.execute(
        sa.text("""
            UPDATE delivery.issue_run SET preflight_at = now(), preflight_error = NULL, preflight_count = 0
             WHERE issue_id = :issue_id AND state = 'open' AND preflight_at IS NULL
        """),
        {"issue_id": issue_id},
    )


async def _put_off(connection: AsyncConnection, issue_id: int, *, reason: str, wait_s: float) -> None:
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
