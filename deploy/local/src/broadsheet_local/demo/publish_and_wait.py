"""The author logs in, publishes the issue, and watches it until nothing is left to do."""

import asyncio
import time

import msgspec

from broadsheet_local.demo.issue_content import IssueContent
from broadsheet_local.demo.people import Counts, Gateway
from broadsheet_local.demo.progress import Phase

COUNTS_POLL_S = 0.1


class Sending(msgspec.Struct, frozen=True):
    """The issue when every delivery was settled; seconds count from the publish call."""

    issue_id: int | str
    counts: Counts
    enqueue_seconds: float
    delivery_seconds: float


async def publish_and_wait(
    gateway: Gateway, content: IssueContent, *, username: str, password: str, audience: int, phase: Phase
) -> Sending:
    """Raises LaunchError when a page refuses, or when nothing moves for too long."""
    await gateway.log_in(username, password)
    began = time.monotonic()
    await gateway.publish(content)
    issue_id: int | str | None = None
    enqueue_seconds: float | None = None
    while True:
        if issue_id is None:
            issue_id = await gateway.newest_issue_id(content.title)
        issue = None if issue_id is None else await gateway.issue(issue_id)
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
