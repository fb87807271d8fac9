"""Publish a scheduled issue that is due: one transaction, so that a schedule fires once whatever happens.

The status leaves `scheduled` in the transaction that opens the run. If the process dies in it, the issue stays as
it was, and the next process publishes it, however late.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.contracts.audit import BY_SCHEDULE
from broadsheet_common.process.database import may_be_the_items_fault
from broadsheet_publishing.audience.audience import AudienceChangedError
from broadsheet_publishing.audience.expect_audience import find_members_of_due, forget_expectation
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues.interface import drop_compiled
from broadsheet_publishing.issues.publish_issue import (
    NoRecipientsError,
    SegmentGoneError,
    publish_issue,
)
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.readiness import NewsletterNotReadyError
from broadsheet_publishing.schedule import store as schedule_store

NOT_AT_ITS_TIME = "It was not published at its time."
NOBODY_THERE = "It was not published at its time: nobody was confirmed on the newsletter."
SEGMENT_GONE = "It was not published at its time: its segment was deleted."


class Fired(msgspec.Struct, frozen=True):
    """Published."""

    issue_id: int


class Withdrawn(msgspec.Struct, frozen=True):
    """A draft again, with the reason: nobody to send to, an unknown segment, a newsletter that is not ready, or another
    audience than its author allowed.
    """

    issue_id: int


class NothingDue(msgspec.Struct, frozen=True):
    """`next_in_s` by the database's clock; None without a schedule."""

    next_in_s: float | None


async def fire_next_schedule(
    engine: AsyncEngine, installation: Installation, *, resting_issue_ids: frozenset[int] = frozenset()
) -> Fired | Withdrawn | NothingDue:
    """The issue that has been due longest, except those that are set aside.

    Raises:
        IssueStepFailedError: one issue could not be published.
        SQLAlchemyError, OSError: the database does not answer.
    """
    resting = resting_issue_ids | await find_members_of_due(engine, resting_issue_ids=resting_issue_ids)
    async with engine.begin() as connection:
        issue_id = await schedule_store.lock_due_issue(connection, resting_issue_ids=sorted(resting))
        if issue_id is None:
            return NothingDue(await schedule_store.read_seconds_to_next(connection))
        try:
            # What it requested of other services goes with it if it is refused.
            async with connection.begin_nested():
                await publish_issue(
                    connection,
                    issue_id,
                    compiled=None,
                    installation=installation,
                    by=BY_SCHEDULE,
                    at_its_time=True,
                )
        except NoRecipientsError:
            return await _withdraw(connection, issue_id, NOBODY_THERE)
        except SegmentGoneError:
            return await _withdraw(connection, issue_id, SEGMENT_GONE)
        except (NewsletterNotReadyError, AudienceChangedError) as error:
            return await _withdraw(connection, issue_id, f"{NOT_AT_ITS_TIME} {error.detail}")
        except Exception as error:
            if not may_be_the_items_fault(error):
                raise
            raise IssueStepFailedError(issue_id, "publishing at its time", error) from error
        return Fired(issue_id)


async def _withdraw(connection: AsyncConnection, issue_id: int, note: str) -> Withdrawn:
    await drop_compiled(connection, issue_id)
    await forget_expectation(connection, issue_id)
    await schedule_store.set_draft(connection, issue_id, note=note)
    await record_step(connection, issue_id, "withdrawn", by=BY_SCHEDULE, note=note)
    return Withdrawn(issue_id)
