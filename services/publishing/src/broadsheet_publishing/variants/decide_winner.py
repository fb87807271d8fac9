"""Choose the winner of an A/B test, and let those who wait have it; one transaction, so that nobody gets two variants.

Delivery holds the deliveries of those who wait, without a variant. They get the winner's in the transaction that
records it: if the process dies before the commit, nothing was chosen, and the next one looks at the figures again.
"""

from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import BY_SCHEDULE, By
from broadsheet_common.contracts.queue import release_rest
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.interface import find_issue
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.variants import store
from broadsheet_publishing.variants.winner import Choice, Reason, choose_winner

LOOK_AGAIN_AFTER: Final = timedelta(minutes=1)

_NOTES: Final[dict[Reason, str]] = {
    "rate": "Variant {winner}: its rate is the highest.",
    "tie": "Variant {winner}: several have the highest rate, and it is the first of them.",
    "too_few": "Variant {winner}: too few people got each variant to tell which is better.",
    "by_hand": "Variant {winner}.",
}


class WinnerChosenError(ConflictError):
    slug, title = "winner-chosen", "The winner of this A/B test is chosen already"


class NothingToChooseError(ConflictError):
    slug, title = "nothing-to-choose", "No winner can be chosen for this issue now"


class Decided(msgspec.Struct, frozen=True):
    """`winner` None: the issue was cancelled first."""

    issue_id: int
    winner: int | None


class Postponed(msgspec.Struct, frozen=True):
    """Too few people got each variant; the figures are looked at again."""

    issue_id: int


class NothingDue(msgspec.Struct, frozen=True):
    """No figures are to be looked at."""


async def decide_next_test(
    engine: AsyncEngine, *, resting_issue_ids: frozenset[int] = frozenset()
) -> Decided | Postponed | NothingDue:
    """The test that has been due longest, except those that are set aside.

    Raises:
        IssueStepFailedError: one test could not be decided.
        SQLAlchemyError, OSError: the database does not answer.
    """
    async with engine.begin() as connection:
        test = await store.lock_due_test(connection, resting_issue_ids=sorted(resting_issue_ids))
        if test is None:
            return NothingDue()
        try:
            # Cancelling locks the issue first, and then its run.
            await find_issue(connection, test.issue_id, lock=True)
            return await _decide(connection, test)
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            raise IssueStepFailedError(test.issue_id, "the decision", error) from error


async def _decide(connection: AsyncConnection, test: store.AbTestRow) -> Decided | Postponed:
    assert test.decide_by != "hand", "it is never due"
    choice = choose_winner(
        await store.read_figures(connection, test.issue_id),
        variant_count=test.variant_count,
        by=test.decide_by,
        sample_min=test.sample_min,
        is_last_look=await store.is_last_look(connection, test),
    )
    if choice is None:
        await store.look_again(connection, test.issue_id, after=LOOK_AGAIN_AFTER)
        return Postponed(test.issue_id)
    if not await release_rest(connection, issue_id=test.issue_id, winner=choice.winner):
        await store.set_decided(connection, test.issue_id, None, decided_by=BY_SCHEDULE.subject)
        return Decided(test.issue_id, None)
    await _record(connection, test.issue_id, choice, by=BY_SCHEDULE)
    return Decided(test.issue_id, choice.winner)


async def choose_by_hand(connection: AsyncConnection, issue_id: int, variant: int, *, by: By) -> store.AbTestRow:
    """In the caller's transaction; also before the time at which the figures would decide. The same choice again
    changes nothing.

    Raises:
        NotFoundError: the issue is not published, or has no A/B test.
        InvalidInputError: the test has no such variant.
        WinnerChosenError: another variant was chosen.
        NothingToChooseError: the audience is still being enqueued, or the issue was cancelled.
    """
    test = await store.find_ab_test(connection, issue_id, lock=True)
    await find_issue(connection, issue_id, lock=True)
    if test is None:
        raise NotFoundError("There is no published issue with an A/B test of this number.")
    if not 1 <= variant <= test.variant_count:
        detail = f"The test has the variants 1 to {test.variant_count}."
        raise InvalidInputError(errors=(FieldProblem(pointer="/variant", detail=detail),))
    if test.decided_at is not None:
        if test.winner != variant:
            raise WinnerChosenError(
                "The issue was cancelled." if test.winner is None else f"It is variant {test.winner}."
            )
        return test
    if not await release_rest(connection, issue_id=issue_id, winner=variant):
        raise NothingToChooseError("Its audience is still being enqueued, or it was cancelled.")
    await _record(connection, issue_id, Choice(variant, "by_hand"), by=by)
    decided = await store.find_ab_test(connection, issue_id)
    assert decided is not None, "it is locked"
    return decided


async def _record(connection: AsyncConnection, issue_id: int, choice: Choice, *, by: By) -> None:
    await store.set_decided(connection, issue_id, choice, decided_by=by.subject)
    note = _NOTES[choice.reason].format(winner=choice.winner)
    await record_step(
        connection,
        issue_id,
        "winner_chosen",
        by=by,
        note=note,
        after={"winner": choice.winner, "reason": choice.reason},
    )
