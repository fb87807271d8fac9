"""GET /messages/outbound: find accepted messages, newest first.

The stream defaults to `outbound`, as Postmark's does. Recipient, metadata and stream are answered from the index;
tag, sender and subject read the messages. Long scans yield to the event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from broadsheet_postmark_sandbox.api import errors
from broadsheet_postmark_sandbox.messages.addresses import BadAddressError, parse_list
from broadsheet_postmark_sandbox.messages.message_log import MessageLog, StoredMessage
from broadsheet_postmark_sandbox.messages.present_message import EASTERN, search_row
from broadsheet_postmark_sandbox.state import Sandbox
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM

COUNT_MAX: Final = 500
WINDOW_MAX: Final = 10_000
STEPS_PER_TURN: Final = 20_000
READS_PER_TURN: Final = 500

_METADATA_PREFIX: Final = "metadata_"
_STATUSES: Final = frozenset({"queued", "sent", "processed"})


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a search; its keys are case-insensitive. Dates are in US Eastern time."""

    count: Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
    offset: Annotated[int, msgspec.Meta(ge=0)]
    recipient: str | None = None
    fromemail: str | None = None
    tag: str | None = None
    status: str | None = None
    fromdate: str | None = None
    todate: str | None = None
    subject: str | None = None
    messagestream: str = DEFAULT_STREAM
    metadata: tuple[str, str] | None = None
    earliest: float = 0.0
    latest: float = float("inf")

    @property
    def reads_messages(self) -> bool:
        return not (self.fromemail is None and self.tag is None and self.subject is None)


def parse_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """Parse a query. Raises PostmarkError 700 for what Postmark refuses, and for unknown filters."""
    fields: dict[str, str] = {}
    metadata: list[tuple[str, str]] = []
    for key, value in pairs:
        lowered = key.lower()
        if lowered.startswith(_METADATA_PREFIX):
            metadata.append((lowered.removeprefix(_METADATA_PREFIX), value))
        elif lowered in {"metadata", "earliest", "latest"}:
            raise errors.bad_filter(f"Unknown parameter '{key}'.")
        elif value:
            fields[lowered] = value
    _check_fields(fields, metadata)
    times: dict[str, float] = {}
    if "fromdate" in fields:
        times["earliest"] = _eastern_seconds(fields["fromdate"], end=False)
    if "todate" in fields:
        times["latest"] = _eastern_seconds(fields["todate"], end=True)
    try:
        query = msgspec.convert({**fields, **times, "metadata": metadata[0] if metadata else None}, Query, strict=False)
    except msgspec.ValidationError as wrong:
        raise errors.bad_paging(f"Invalid query: {wrong}") from wrong
    if query.count + query.offset > WINDOW_MAX:
        raise errors.bad_paging(f"The sum of 'count' and 'offset' cannot exceed {WINDOW_MAX}.")
    return query


def _check_fields(fields: dict[str, str], metadata: list[tuple[str, str]]) -> None:
    for required in ("count", "offset"):
        if required not in fields:
            raise errors.bad_paging(f"The '{required}' parameter is required.")
    if len(metadata) > 1:
        raise errors.bad_filter("Only one metadata field can be searched for at a time.")
    if fields.get("status", "sent").lower() not in _STATUSES:
        raise errors.bad_filter(f"Unknown status '{fields['status']}'.")


def _eastern_seconds(text: str, *, end: bool) -> float:
    """A date, or date and time, in US Eastern time as seconds since 1970; an end date without a time is inclusive."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise errors.bad_filter(f"Not a date: '{text}'.") from wrong
    if end and len(text) <= len("2024-01-01"):
        moment += timedelta(days=1)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=EASTERN)
    return moment.timestamp()


async def search_messages(sandbox: Sandbox, query: Query) -> dict[str, Any]:
    """Run a search and return its answer. Raises PostmarkError 1226 for an unknown stream."""
    if query.messagestream not in sandbox.streams:
        raise errors.stream_not_found(query.messagestream)
    log = sandbox.log
    rows: list[dict[str, Any]] = []
    total = 0
    hidden = sandbox.hidden_now()
    last_wanted = query.offset + query.count
    only_stream = not (
        query.reads_messages
        or query.recipient is not None
        or query.metadata
        or query.fromdate
        or query.todate
        or query.status
    )
    async for sequence in _matches(log, query, hidden):
        if query.offset <= total < last_wanted:
            rows.append(search_row(log.read(sequence)))
        total += 1
        if only_stream and total >= last_wanted:
            total = log.count_in_stream(query.messagestream) - sum(
                log.in_stream(number, query.messagestream) for number in hidden
            )
            break
    return {"TotalCount": total, "Messages": rows}


async def _matches(log: MessageLog, query: Query, hidden: frozenset[int]) -> AsyncIterator[int]:
    if query.status is not None and query.status.lower() == "queued":
        return
    generation = log.generation
    steps_per_turn = READS_PER_TURN if query.reads_messages else STEPS_PER_TURN
    for step, sequence in enumerate(await _candidates(log, query), 1):
        if step % steps_per_turn == 0:
            await asyncio.sleep(0)
            if log.generation != generation:
                return
        if sequence in hidden or not log.in_stream(sequence, query.messagestream):
            continue
        if (query.fromdate or query.todate) and not (query.earliest <= log.accepted_at(sequence) < query.latest):
            continue
        by_metadata_too = query.recipient is not None and query.metadata is not None
        if (query.reads_messages or by_metadata_too) and not _passes(log.read(sequence), query):
            continue
        yield sequence


async def _candidates(log: MessageLog, query: Query) -> Iterable[int]:
    """A superset of the matches, newest first, from the best available index."""
    if query.recipient is not None:
        return reversed(log.of_recipient(query.recipient))
    if query.metadata is None:
        return reversed(log.all_numbers())
    found: list[int] = []
    generation = log.generation
    for sequence in log.of_metadata(*query.metadata):
        found.append(sequence)
        if len(found) % STEPS_PER_TURN == 0:
            await asyncio.sleep(0)
            if log.generation != generation:
                return ()
    return reversed(found)


def _passes(stored: StoredMessage, query: Query) -> bool:
    message = stored.message
    if query.metadata is not None:
        key, value = query.metadata
        if {k.lower(): v for k, v in (message.metadata or {}).items()}.get(key) != value:
            return False
    if query.tag is not None and message.tag != query.tag:
        return False
    if query.subject is not None and query.subject.lower() not in (message.subject or "").lower():
        return False
    return query.fromemail is None or query.fromemail.lower() in _senders(message.from_ or "")


def _senders(text: str) -> set[str]:
    try:
        return {mailbox.address.lower() for mailbox in parse_list(text)}
    except BadAddressError:
        return set()


def visible_message(sandbox: Sandbox, message_id: str) -> StoredMessage:
    """The message for the details and the dump. Raises PostmarkError 701 if it does not exist or is still hidden."""
    stored = sandbox.log.find(message_id)
    if stored is None or stored.sequence in sandbox.hidden_now():
        raise errors.message_not_found()
    return stored
