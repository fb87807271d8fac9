"""Claim: lease the next chunk of some issue and read its recipients. One short transaction; no lock is held after
it.

While a limit is in force, the claim first asks for a permit; the permit's place and messages are taken in the
commit that leases.
"""

import time
import uuid

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.composing.issue_content import IssueContent, UnusableIssueError
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.queue.chunk_store import (
    LeasedChunk,
    claimable_issues,
    lease_chunk,
    release_chunk,
    split_leased_chunk,
    unsettled_recipients,
)
from broadsheet_delivery.queue.recipient import Recipient
from broadsheet_delivery.throttle.interface import (
    PROBE_MARGIN_S,
    Denied,
    ask_permit,
    left_when_slow,
    pause_issue,
    spend,
)


class ClaimedChunk(msgspec.Struct, frozen=True):
    chunk: LeasedChunk
    content: IssueContent
    recipients: list[Recipient]


class NothingToClaim(msgspec.Struct, frozen=True):
    """`growing`: an open issue's audience is still being enqueued, so look again soon. `wait_s`: there is work, and
    a limit holds it back for so long.
    """

    growing: bool
    wait_s: float | None = None


class IssueRotation:
    """Round-robin over issues: each claim of a replica begins after the issue it served last, so a small issue does
    not wait for a large one.
    """

    def __init__(self) -> None:
        self._last_served = 0

    def order(self, issue_ids: list[int]) -> list[int]:
        return sorted(issue_ids, key=lambda issue_id: (issue_id <= self._last_served, issue_id))

    def served(self, issue_id: int) -> None:
        self._last_served = issue_id


async def claim_chunk(context: DeliveryContext, rotation: IssueRotation) -> ClaimedChunk | NothingToClaim:
    """Two workers never hold the same chunk: the row is locked with SKIP LOCKED while the lease is written."""
    began = time.perf_counter()
    async with context.engine.begin() as connection:
        claimable = await claimable_issues(connection)
        if not claimable.issue_ids:
            return NothingToClaim(claimable.growing)
        permit = await ask_permit(
            connection,
            "newsletter",
            restrained=claimable.restrained,
            left_when_slow=left_when_slow(context.lease, context.slow_call),
        )
        if isinstance(permit, Denied):
            return NothingToClaim(claimable.growing, permit.wait_s)
        for issue_id in rotation.order(claimable.issue_ids):
            chunk = await lease_chunk(connection, issue_id=issue_id, token=uuid.uuid4(), lease=context.lease)
            if chunk is None:
                continue
            rotation.served(issue_id)
            try:
                content = await context.contents.get(connection, issue_id, chunk.variant)
            except UnusableIssueError as error:
                await release_chunk(connection, chunk)
                await pause_issue(connection, issue_id=issue_id, reason=str(error))
                context.log.error("delivery.issue_unusable", issue_id=issue_id)
                continue
            recipients = await unsettled_recipients(connection, chunk, stream=content.stream, used=content.used)
            if permit.messages_max is not None and len(recipients) > permit.messages_max:
                recipients = recipients[: permit.messages_max]
                chunk = await _cut(connection, chunk, last_seq=recipients[-1].seq)
            probe_s = context.slow_call.total_seconds() + PROBE_MARGIN_S
            if not await spend(connection, permit, token=chunk.token, messages=len(recipients), probe_s=probe_s):
                await release_chunk(connection, chunk)
                return NothingToClaim(claimable.growing)
            claim_s = time.perf_counter() - began
            context.metrics.claim_s.observe(claim_s)
            context.log.debug(
                "delivery.chunk_claimed", issue_id=issue_id, chunk_id=chunk.id, claim_ms=round(claim_s * 1000, 3)
            )
            return ClaimedChunk(chunk, content, recipients)
    return NothingToClaim(claimable.growing)


async def _cut(connection: AsyncConnection, chunk: LeasedChunk, *, last_seq: int) -> LeasedChunk:
    """At a low rate limit one call carries less than a chunk; the rest becomes a chunk of its own."""
    await split_leased_chunk(connection, chunk, last_seq=last_seq)
    return msgspec.structs.replace(chunk, last_seq=last_seq)
