"""Publish an issue: freeze its content and its audience, and begin the fan-out; one transaction.

The issue's row lock serialises publishers, so an issue has one run however many requests come at once.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audience import request_audience
from broadsheet_common.contracts.audit import By, Detail
from broadsheet_common.contracts.queue import open_issue_run
from broadsheet_common.http.problems import ConflictError, NotFoundError, ProblemError
from broadsheet_publishing.approvals.approval import state_of
from broadsheet_publishing.approvals.interface import find_approval
from broadsheet_publishing.audience.expect_audience import require_expected_audience
from broadsheet_publishing.drafts.interface import read_ab_test
from broadsheet_publishing.fan_out.interface import has_audience
from broadsheet_publishing.history.interface import record_step
from broadsheet_publishing.issues import compiled_store, store
from broadsheet_publishing.issues.compile_draft import CompiledDraft, is_in_archive
from broadsheet_publishing.issues.give_web_path import take_web_path
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import NewsletterRow, find_newsletter
from broadsheet_publishing.newsletters.readiness import require_ready
from broadsheet_publishing.variants.interface import open_ab_test
from broadsheet_publishing.waves.interface import open_waves


class AlreadyPublishedError(ProblemError):
    slug, title, status = "already-published", "This issue is published already", 409


class SegmentGoneError(ConflictError):
    slug, title = "segment-gone", "The segment that this issue is to go to was deleted"


class NoRecipientsError(ProblemError):
    slug, title, status = "no-recipients", "Nobody is confirmed on this newsletter, so nobody would get the issue", 409


class NotApprovedError(ConflictError):
    slug, title = "not-approved", "Issues of this newsletter go out only when another person has approved them"


class DraftChangedError(ConflictError):
    slug, title = "draft-changed", "The draft was saved while it was being published: look at it again"


async def publish_issue(
    connection: AsyncConnection,
    issue_id: int,
    *,
    compiled: CompiledDraft | None,
    installation: Installation,
    by: By,
    at_its_time: bool = False,
) -> store.IssueRow:
    """In the caller's transaction, which the fan-out worker sees once it is committed. `compiled` None: it was compiled
    when it was scheduled. `at_its_time`: its schedule fires; an issue that is to go out at each reader's local time
    then does, and otherwise goes out to all now.

    Raises:
        NotFoundError, AlreadyPublishedError, NoRecipientsError, SegmentGoneError, NewsletterNotReadyError,
        NotApprovedError
        AudienceChangedError: more than its author allowed.
        DraftChangedError: `compiled` was made of another version.
        ConflictError: the issue was cancelled.
    """
    issue = await lock_unpublished(connection, issue_id)
    newsletter = await find_ready_newsletter(connection, issue.newsletter_id, installation)
    await require_approval(connection, issue, newsletter)
    if not await has_audience(connection, issue.newsletter_id):
        raise NoRecipientsError
    if issue.segment_id is not None and not await request_audience(
        connection, issue_id=issue_id, newsletter_id=issue.newsletter_id, segment_id=issue.segment_id
    ):
        raise SegmentGoneError
    await require_expected_audience(connection, issue, stream=newsletter.message_stream)
    if compiled is not None:
        await keep_compiled(connection, issue, newsletter, compiled)
    published = await store.set_published(connection, issue_id, in_waves=at_its_time)
    if (ab_test := await read_ab_test(connection, issue_id)) is not None:
        await open_ab_test(connection, issue_id, ab_test)
    if published.in_reader_time_zone:
        await open_waves(connection, published)
    await open_issue_run(connection, issue_id=issue_id, newsletter_id=issue.newsletter_id)
    await record_step(
        connection, issue_id, "published", by=by, before={"status": issue.status}, after=_published(published)
    )
    return published


def _published(issue: store.IssueRow) -> dict[str, Detail]:
    return {
        "status": issue.status,
        "segment_id": issue.segment_id,
        "in_reader_time_zone": issue.in_reader_time_zone,
    }


async def require_approval(connection: AsyncConnection, issue: store.IssueRow, newsletter: NewsletterRow) -> None:
    """Raises `NotApprovedError`. What is scheduled was approved when it was scheduled, and is as it was."""
    if not newsletter.requires_approval or issue.status == "scheduled":
        return
    state = state_of(await find_approval(connection, issue.id), version=issue.version)
    if state != "approved":
        raise NotApprovedError(_NOT_APPROVED[state])


async def lock_unpublished(connection: AsyncConnection, issue_id: int) -> store.IssueRow:
    """A draft or a scheduled issue, locked.

    Raises:
        NotFoundError, AlreadyPublishedError
        ConflictError: the issue was cancelled.
    """
    issue = await store.find_issue(connection, issue_id, lock=True)
    if issue is None:
        raise NotFoundError("There is no such issue.")
    require_unpublished(issue)
    return issue


def require_unpublished(issue: store.IssueRow) -> None:
    """Raises `AlreadyPublishedError`, or `ConflictError` if it was cancelled."""
    if issue.status == "published":
        raise AlreadyPublishedError
    if issue.status == "cancelled":
        raise ConflictError("The issue was cancelled.")


async def find_ready_newsletter(
    connection: AsyncConnection, newsletter_id: int, installation: Installation
) -> NewsletterRow:
    """Raises `NewsletterNotReadyError`, which names every setting that is missing."""
    newsletter = await find_newsletter(connection, newsletter_id, share=True)
    assert newsletter is not None, "the issue's foreign key"
    require_ready(newsletter, installation)
    return newsletter


_NOT_APPROVED = {
    "none": "Nobody was asked to approve it.",
    "requested": "Its approval was asked for, and nobody has decided yet.",
    "refused": "Its approval was refused.",
    "void": "It was changed since its approval was asked for: ask again.",
}


async def keep_compiled(
    connection: AsyncConnection, issue: store.IssueRow, newsletter: NewsletterRow, compiled: CompiledDraft
) -> None:
    """What will be mailed, and where it will stand on the web. Raises `DraftChangedError`."""
    if compiled.version != issue.version:
        raise DraftChangedError
    web_path: str | None = None
    if is_in_archive(issue.in_archive, issue.segment_id, newsletter):
        web_path = await take_web_path(connection, issue, newsletter)
    for variant, content in enumerate((compiled.content, *compiled.others), start=1):
        await compiled_store.put_compiled(connection, issue.id, content, web_path=web_path, variant=variant)
