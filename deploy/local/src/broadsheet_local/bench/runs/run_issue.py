"""One issue through the whole pipeline, measured from the publish call to the sandbox's last acceptance."""

import asyncio

import msgspec

from broadsheet_local.bench.inputs.author import Author, Publishing
from broadsheet_local.bench.inputs.issue_body import BenchIssue
from broadsheet_local.bench.measuring.claim_log import ClaimTimes, claim_times, read_claims
from broadsheet_local.bench.measuring.database import fan_out_seconds, wal_position_bytes
from broadsheet_local.bench.measuring.oracle import NEWSLETTER_STREAM, Oracle
from broadsheet_local.bench.measuring.processes import ProcessMeter, ProcessUse
from broadsheet_local.demo.progress import Phase
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.system import LocalSystem

POLL_S = 0.2
CLAIM_PARTS = 10
"""Claims are compared between the first and the last tenth of a run."""


class IssueRun(msgspec.Struct, frozen=True):
    """Times of one issue; all seconds count from the start of the publish call."""

    recipients: int
    publish_call_ms: float
    enqueue_seconds: float
    first_mail_seconds: float
    last_mail_seconds: float
    missing: int
    duplicates: int
    failed: int
    claims_first: ClaimTimes | None
    claims_last: ClaimTimes | None
    wal_bytes: int
    measured_seconds: float
    uses: dict[str, ProcessUse]

    @property
    def emails_per_s(self) -> float:
        """How many mails the sandbox accepted, divided by the time from the publish call to its last acceptance."""
        return (self.recipients - self.missing) / self.last_mail_seconds


async def run_issue(
    system: LocalSystem, author: Author, oracle: Oracle, issue: BenchIssue, *, recipients: int, phase: Phase
) -> IssueRun:
    """Publish the issue to everybody who is confirmed (`recipients` people) and wait until each is settled.

    Raises LaunchError when nothing moves for too long, or a process ended on the way.
    """
    await oracle.forget()
    issue_id = await author.write(issue)
    wal_before_bytes = await in_thread(lambda: wal_position_bytes(system.database_url))
    async with ProcessMeter(system.process_ids()) as meter:
        publishing = await author.publish(issue_id)
        failed = await _wait_settled(author, oracle, publishing, recipients, phase)
    wal_after_bytes = await in_thread(lambda: wal_position_bytes(system.database_url))
    first_s, last_s = await oracle.first_and_last(NEWSLETTER_STREAM)
    summary = await oracle.summary(NEWSLETTER_STREAM)
    logs = [system.folder.log_path(name) for name in system.process_ids() if name.startswith("delivery-")]
    claims_ms = await in_thread(lambda: read_claims(logs, issue_id))
    part = -(-len(claims_ms) // CLAIM_PARTS)
    return IssueRun(
        recipients=recipients,
        publish_call_ms=publishing.call_ms,
        enqueue_seconds=await in_thread(lambda: fan_out_seconds(system.database_url, issue_id)),
        first_mail_seconds=first_s - publishing.began_epoch_s,
        last_mail_seconds=last_s - publishing.began_epoch_s,
        missing=recipients - summary.recipients,
        duplicates=summary.duplicates,
        failed=failed,
        claims_first=claim_times(claims_ms[:part]),
        claims_last=claim_times(claims_ms[-part:]),
        wal_bytes=wal_after_bytes - wal_before_bytes,
        measured_seconds=meter.seconds,
        uses=meter.uses,
    )


async def _wait_settled(author: Author, oracle: Oracle, publishing: Publishing, recipients: int, phase: Phase) -> int:
    """Wait until the API says that every delivery is settled; returns how many of them were not accepted.

    The sandbox is asked first, which costs the services nothing.
    """
    while (accepted := await oracle.accepted_count()) < recipients:
        phase.update(accepted, waiting_for="mails in the sandbox")
        await asyncio.sleep(POLL_S)
    while True:
        counts = (await author.issue(publishing.issue_id)).counts
        phase.update(counts.settled, waiting_for=f"the last outcomes to be written down; counts: {counts}")
        if counts.audience > recipients:
            raise LaunchError(f"the issue went to {counts.audience} people instead of {recipients}")
        if counts.audience == counts.settled == recipients:
            return counts.settled - counts.accepted
        await asyncio.sleep(POLL_S)
