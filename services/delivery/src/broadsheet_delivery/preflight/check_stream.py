"""Preflight: before anything of an issue is sent, Postmark is asked whether the issue's stream fits its newsletter.

Nothing of an open issue is claimed while `issue_run.preflight_at` is NULL. A stream that does not fit pauses the
issue with the reason; a refused token or account pauses all sending. If Postmark cannot be asked, it is asked
again after a growing wait, and nothing starts meanwhile. Resuming an issue repeats its preflight.
"""

from typing import assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.preflight.store import UncheckedIssue, due_issues, put_off, set_passed
from broadsheet_delivery.preflight.verdict import AccountRefused, NoSuchStream, NotAsked, Stream, mismatch
from broadsheet_delivery.suppressions.interface import extend_to_stream
from broadsheet_delivery.throttle.back_off import shared_wait_s
from broadsheet_delivery.throttle.interface import pause_issue, pause_sending

ISSUES_A_ROUND_MAX = 100


async def preflight_issues(context: DeliveryContext) -> int:
    """One bounded round. Returns how many issues may start."""
    async with context.engine.connect() as connection:
        due = await due_issues(connection, limit=ISSUES_A_ROUND_MAX)
    held = context.set_asides.of("delivery.preflight")
    passed = 0
    for issue in due:
        try:
            passed += await _look_at(context, issue)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            # It waits, with its reason shown, and the others go on.
            held.hold(issue.issue_id, error)
            async with context.engine.begin() as connection:
                await put_off(
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
                await put_off(connection, issue.issue_id, reason=reason, wait_s=wait_s)
                context.log.warning("delivery.preflight_put_off", issue_id=issue.issue_id, tries=issue.tries + 1)
            case _:
                assert_never(answer)
    return False


async def _pass(connection: AsyncConnection, issue_id: int, stream: str) -> None:
    await extend_to_stream(connection, stream=stream)
    await set_passed(connection, issue_id)
