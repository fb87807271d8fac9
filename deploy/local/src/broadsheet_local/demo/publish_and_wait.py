"""The author's part: an issue is written, checked, looked at and published, and then watched until nothing is left to
do. All of it through the gateway's API.
"""

import asyncio
import time

import msgspec

from broadsheet_local.demo.issue_content import IssueContent
from broadsheet_local.demo.people import Checks, Counts, Gateway, Preview
from broadsheet_local.demo.progress import Phase
from broadsheet_local.errors import LaunchError

COUNTS_POLL_S = 0.1


class Written(msgspec.Struct, frozen=True):
    """A draft that nothing is wrong with."""

    issue_id: int | str
    checks: Checks
    preview: Preview


class Sending(msgspec.Struct, frozen=True):
    """The issue when every delivery was settled; seconds count from the publish call. `archive_path` None: it is not
    in an archive.
    """

    issue_id: int | str
    counts: Counts
    enqueue_seconds: float
    delivery_seconds: float


async def write_and_check(gateway: Gateway, content: IssueContent) -> Written:
    """Raises LaunchError when the checks find what must be mended first."""
    issue_id = await gateway.create_draft(content)
    checks = await gateway.check(issue_id)
    if checks.is_blocked:
        blocking = "; ".join(f"{one.code}: {one.detail}" for one in checks.findings if one.severity == "blocks")
        raise LaunchError(f"the issue must not be sent as it is: {blocking}")
    return Written(issue_id, checks, await gateway.preview(issue_id))


async def publish_and_wait(gateway: Gateway, issue_id: int | str, *, audience: int, phase: Phase) -> Sending:
    """Raises LaunchError when publishing is refused, or when nothing moves for too long."""
    began = time.monotonic()
    await gateway.publish(issue_id)
    enqueue_seconds: float | None = None
    while True:
        issue = await gateway.issue(issue_id)
        elapsed = time.monotonic() - began
        if issue is None:
            phase.update(phase.done, waiting_for="the issue's counts, which the gateway cannot get")
        else:
            if enqueue_seconds is None and issue.counts.audience >= audience:
                enqueue_seconds = elapsed
            phase.update(issue.counts.settled, waiting_for=f"the issue's deliveries; last counts: {issue.counts}")
            if enqueue_seconds is not None and issue.counts.settled >= issue.counts.audience:
                return Sending(issue.id, issue.counts, enqueue_seconds, elapsed)
        await asyncio.sleep(COUNTS_POLL_S)
