"""The control API's views of the log: pages in the order of acceptance, and counts.

Answers come from the index if possible; long scans yield to the event loop.
"""

import asyncio
from array import array
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import msgspec

from broadsheet_postmark_sandbox.messages.message_log import MessageLog
from broadsheet_postmark_sandbox.messages.present_message import control_row

STEPS_PER_TURN: Final = 20_000
READS_PER_TURN: Final = 200


class Filter(msgspec.Struct, frozen=True):
    """A message must match all fields. Metadata is by lower-cased key."""

    recipient: str | None = None
    stream: str | None = None
    metadata: dict[str, str] = {}

    @property
    def empty(self) -> bool:
        return self.recipient is None and self.stream is None and not self.metadata


async def list_messages(log: MessageLog, wanted: Filter, after: int, limit: int, *, bodies: bool) -> dict[str, Any]:
    """One page of messages with a sequence number above `after`."""
    rows: list[dict[str, Any]] = []
    next_after: int | None = None
    async for sequence in _matches(log, wanted, after):
        if len(rows) == limit:
            next_after = rows[-1]["sequence"]
            break
        rows.append(control_row(log.read(sequence), bodies=bodies))
        if len(rows) % READS_PER_TURN == 0:
            await asyncio.sleep(0)
    return {"messages": rows, "next_after": next_after, "total": len(log)}


async def summarise(log: MessageLog, wanted: Filter, duplicates_limit: int) -> dict[str, Any]:
    """Counts of messages and distinct recipients, and the first recipients of more than one message."""
    duplicates: list[dict[str, Any]] = []
    if wanted.empty:
        repeated = 0
        for address, count in log.repeated_recipients():
            repeated += 1
            if len(duplicates) < duplicates_limit:
                duplicates.append({"recipient": address, "messages": count})
        return {
            "messages": len(log),
            "recipients": log.recipient_count,
            "repeated": repeated,
            "duplicates": duplicates,
        }
    counts = array("I", bytes(4 * log.recipient_count))
    messages = recipients = 0
    repeated_numbers: dict[int, None] = {}
    async for sequence in _matches(log, wanted, 0):
        messages += 1
        for number in log.recipient_numbers(sequence):
            if number >= len(counts):
                # A new recipient, whose message was accepted while this scan yielded to the event loop.
                counts.extend([0] * (log.recipient_count - len(counts)))
            counts[number] += 1
            if counts[number] == 1:
                recipients += 1
            else:
                repeated_numbers[number] = None
    for number in repeated_numbers:
        if len(duplicates) == duplicates_limit:
            break
        duplicates.append({"recipient": log.recipient_address(number), "messages": counts[number]})
    return {
        "messages": messages,
        "recipients": recipients,
        "repeated": len(repeated_numbers),
        "duplicates": duplicates,
    }


async def _matches(log: MessageLog, wanted: Filter, after: int) -> AsyncIterator[int]:
    generation = log.generation
    remaining = dict(wanted.metadata)
    candidates: Iterable[int]
    if wanted.recipient is not None:
        candidates = [sequence for sequence in log.of_recipient(wanted.recipient) if sequence > after]
    elif remaining:
        key = next(iter(remaining))
        candidates = log.of_metadata(key, remaining.pop(key), after)
    else:
        candidates = log.all_numbers(after)
    for step, sequence in enumerate(candidates, 1):
        if step % (READS_PER_TURN if remaining else STEPS_PER_TURN) == 0:
            await asyncio.sleep(0)
            if log.generation != generation:
                return
        if wanted.stream is not None and not log.in_stream(sequence, wanted.stream):
            continue
        if remaining:
            metadata = log.read(sequence).message.metadata or {}
            lowered = {key.lower(): value for key, value in metadata.items()}
            if any(lowered.get(key) != value for key, value in remaining.items()):
                continue
        yield sequence
