"""Show who would get an issue if it were published now, with a token that says what was shown."""

from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import NotFoundError
from broadsheet_publishing.audience import store
from broadsheet_publishing.audience.audience import (
    AudienceChange,
    AudienceCount,
    Person,
    change_between,
    why_another_segment,
)
from broadsheet_publishing.audience.audience_token import ShownAudience, decode_token, encode_token
from broadsheet_publishing.audience.find_members import members_of
from broadsheet_publishing.issues.interface import IssueRow, find_issue, read_now
from broadsheet_publishing.issues.publish_issue import SegmentGoneError, require_unpublished
from broadsheet_publishing.newsletters.interface import find_newsletter

SAMPLE_PEOPLE: Final = 10


class Previous(msgspec.Struct, frozen=True):
    """Against an audience that was shown before. `is_same_segment`: the issue went to the same people's segment then,
    with the same filter.
    """

    change: AudienceChange
    is_same_segment: bool


class ShownCount(msgspec.Struct, frozen=True):
    issue: IssueRow
    count: AudienceCount
    sample: list[Person]
    previous: Previous | None
    token: str


async def show_audience(engine: AsyncEngine, issue_id: int, *, previous_token: str | None) -> ShownCount:
    """Of a draft or a scheduled issue. `previous_token` may be older than a day: it is only compared.

    Raises:
        NotFoundError, AlreadyPublishedError, SegmentGoneError
        ConflictError: the issue was cancelled.
        InvalidInputError: the token is of no or another issue.
        UnavailableError: the segment's members were not found in time.
    """
    async with engine.connect() as connection:
        issue = await find_issue(connection, issue_id)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    require_unpublished(issue)
    before = None if previous_token is None else decode_token(previous_token, issue_id=issue_id, pointer="/token")
    async with members_of(engine, issue) as trial, engine.connect() as connection:
        if issue.segment_id is not None and trial is None:
            raise SegmentGoneError
        newsletter = await find_newsletter(connection, issue.newsletter_id)
        assert newsletter is not None, "the issue's foreign key"
        as_of = await read_now(connection) if trial is None else trial.as_of
        count, sample = await store.count_audience(
            connection,
            newsletter_id=newsletter.id,
            stream=newsletter.message_stream,
            as_of=as_of,
            trial=trial,
            sample_size=SAMPLE_PEOPLE,
            sample_seed=issue_id,
        )
    shown = ShownAudience(
        issue_id=issue.id,
        newsletter_id=issue.newsletter_id,
        segment_id=issue.segment_id,
        filter_digest=None if trial is None else trial.filter_digest,
        count=count.count,
        as_of=as_of,
    )
    return ShownCount(issue, count, sample, None if before is None else _compare(before, shown), encode_token(shown))


def _compare(before: ShownAudience, shown: ShownAudience) -> Previous:
    why_another = why_another_segment(
        shown_id=before.segment_id,
        shown_digest=before.filter_digest,
        now_id=shown.segment_id,
        now_digest=shown.filter_digest,
    )
    change = change_between(shown=before.count, shown_at=before.as_of, found=shown.count)
    return Previous(change, is_same_segment=why_another is None)
