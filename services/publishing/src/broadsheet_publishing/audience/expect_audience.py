"""Hold a publication to the audience that its author was shown.

What the author expects is kept with the issue in the transaction that publishes or schedules it, and tested in the one
that publishes it. A scheduled issue that goes to a segment needs the segment's members found first, which
`find_members_of_due` asks for.
"""

from typing import Annotated, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audience import TOO_MANY_TRIALS, release_audience, request_audience_trial
from broadsheet_common.http.problems import UnavailableError
from broadsheet_publishing.audience import expectation_store, store
from broadsheet_publishing.audience.audience import (
    AudienceChange,
    Limits,
    Trial,
    change_between,
    require_same_segment,
    require_within,
)
from broadsheet_publishing.audience.audience_token import TOKEN_CHARS_MAX, decode_token, require_fresh
from broadsheet_publishing.issues.interface import IssueRow, find_issue, read_now

MEMBERS_FRESH_S: Final = 60.0
"""How old the members of a segment may be when a scheduled issue is held to its author's expectation."""
_DUE_MAX: Final = 1_000
_REQUESTS_MAX: Final = 5

People = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class ExpectedAudience(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the author was shown, and how many people more or fewer there may be; null: any number."""

    token: Annotated[str, msgspec.Meta(max_length=TOKEN_CHARS_MAX)]
    growth_max: People | None = None
    shrinkage_max: People | None = None


async def expect_audience(
    connection: AsyncConnection, issue_id: int, expected: ExpectedAudience | None, *, trial: Trial | None = None
) -> None:
    """In the caller's transaction, before the issue is published or scheduled in it. None: nothing is expected any
    more. `trial`: the members of the issue's segment, if it is published now.

    Raises:
        InvalidInputError: the token was not made for this issue.
        AudienceTokenExpiredError
        AudienceChangedError: the issue goes to another segment, or the segment's filter is another one.
    """
    if expected is None:
        await expectation_store.delete_expectation(connection, issue_id)
        return
    shown = decode_token(expected.token, issue_id=issue_id, pointer="/audience/token")
    issue = await find_issue(connection, issue_id)
    if issue is None or issue.status not in {"draft", "scheduled"}:
        return  # whoever publishes it says so
    require_fresh(shown, now=await read_now(connection))
    require_same_segment(
        shown_id=shown.segment_id,
        shown_digest=shown.filter_digest,
        now_id=issue.segment_id,
        now_digest=None if issue.segment_id is None else await store.find_filter_digest(connection, issue.segment_id),
    )
    await expectation_store.put_expectation(
        connection,
        shown,
        Limits(expected.growth_max, expected.shrinkage_max),
        trial_id=None if trial is None else trial.trial_id,
    )


async def require_expected_audience(connection: AsyncConnection, issue: IssueRow, *, stream: str) -> None:
    """In the transaction that publishes the issue, when its audience has been requested.

    Raises:
        AudienceChangedError
        UnavailableError: the members of the segment are not known (any more).
    """
    expected = await expectation_store.find_expectation(connection, issue.id)
    if expected is None:
        return
    trial: Trial | None = None
    require_same_segment(
        shown_id=expected.segment_id,
        shown_digest=expected.filter_digest,
        now_id=issue.segment_id,
        now_digest=await store.find_frozen_digest(connection, issue.id),
    )
    if issue.segment_id is not None:
        trial = None if expected.trial_id is None else await store.find_trial(connection, expected.trial_id)
        if trial is None or trial.filter_digest != expected.filter_digest:
            raise UnavailableError("The members of the segment are not known at the moment.")
    found, _ = await store.count_audience(
        connection,
        newsletter_id=issue.newsletter_id,
        stream=stream,
        as_of=await read_now(connection) if trial is None else trial.as_of,
        trial=trial,
    )
    require_within(
        change_between(shown=expected.shown_count, shown_at=expected.shown_at, found=found.count), expected.limits
    )
    await expectation_store.set_found(connection, issue.id, found_count=found.count)


async def find_change(connection: AsyncConnection, issue_id: int) -> AudienceChange | None:
    """Of a published issue: from what its author was shown to what was found. None: nothing was expected."""
    expected = await expectation_store.find_expectation(connection, issue_id)
    if expected is None or expected.found_count is None:
        return None
    return change_between(shown=expected.shown_count, shown_at=expected.shown_at, found=expected.found_count)


async def forget_expectation(connection: AsyncConnection, issue_id: int) -> None:
    """The issue is a draft again."""
    expected = await expectation_store.find_expectation(connection, issue_id)
    if expected is not None and expected.trial_id is not None:
        await release_audience(connection, issue_id=expected.trial_id)
    await expectation_store.delete_expectation(connection, issue_id)


async def find_members_of_due(engine: AsyncEngine, *, resting_issue_ids: frozenset[int]) -> frozenset[int]:
    """The scheduled issues that are due and have to wait for the members of their segment. Has those looked for that
    nobody asked for yet; a later round finds them known.

    Raises:
        SQLAlchemyError, OSError: the database does not answer.
    """
    async with engine.begin() as connection:
        waiting = await expectation_store.list_due_without_members(
            connection, resting_issue_ids=sorted(resting_issue_ids), fresh_s=MEMBERS_FRESH_S, limit=_DUE_MAX
        )
        gone: set[int] = set()
        for due in [one for one in waiting if not one.is_waiting][:_REQUESTS_MAX]:
            if due.trial_id is not None:
                await release_audience(connection, issue_id=due.trial_id)
            trial_id = await request_audience_trial(
                connection, newsletter_id=due.newsletter_id, segment_id=due.segment_id
            )
            if trial_id is None:
                gone.add(due.issue_id)  # whoever publishes it says so
            elif trial_id != TOO_MANY_TRIALS and not await expectation_store.set_trial(
                connection, due.issue_id, trial_id=trial_id, instead_of=due.trial_id
            ):
                await release_audience(connection, issue_id=trial_id)
    return frozenset(due.issue_id for due in waiting) - gone
