"""Accept the messages of one sending request: check, decide on faults, log, answer.

The order is Postmark's: a request that cannot be read as messages fails as a whole. After that every message is
accepted or refused separately, and the results stand in the order of the request.
"""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec

from broadsheet_postmark_sandbox.api import errors
from broadsheet_postmark_sandbox.api.answers import (
    Answer,
    AnyAnswer,
    accepts_first,
    faulty_answer,
    json_answer,
    refusal_answer,
)
from broadsheet_postmark_sandbox.api.errors import Refusal
from broadsheet_postmark_sandbox.api.read_body import Body
from broadsheet_postmark_sandbox.api.wire import Accepted, AcceptedWithoutTo, Message
from broadsheet_postmark_sandbox.events.send_events import bounce_test_addresses
from broadsheet_postmark_sandbox.faults.inject_faults import Candidate, Decision
from broadsheet_postmark_sandbox.messages.check_message import Addressed, MessageChecker
from broadsheet_postmark_sandbox.messages.message_log import Entry
from broadsheet_postmark_sandbox.state import Sandbox
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM

BATCH_MESSAGES_MAX: Final = 500

_ONE: Final = msgspec.json.Decoder(Message)
_MANY: Final = msgspec.json.Decoder(list[Message])
_EASTERN: Final = timezone(timedelta(hours=-5))

Item = Accepted | AcceptedWithoutTo | Refusal


async def accept_messages(sandbox: Sandbox, path: str, body: Body, *, batch: bool, test: bool) -> AnyAnswer:
    """Process one request body and return its answer. `test`: validate only, for Postmark's test token.

    Raises PostmarkError for a request that fails as a whole.
    """
    messages = decode_messages(sandbox, body, batch=batch)
    decision = sandbox.faults.decide("POST", path, _candidates(sandbox, messages))
    delay_s = sandbox.live.latency_ms / 1000 + decision.delay_s
    if delay_s:
        await asyncio.sleep(delay_s)
    items: list[Item] = []
    if accepts_first(decision.answer):
        items = take(sandbox, body.view, messages, decision, test=test)
    if decision.late_s:
        await asyncio.sleep(decision.late_s)
    proper = _batch_answer(items) if batch else _single_answer(items)
    return proper if decision.answer is None else faulty_answer(decision.answer, proper)


def decode_messages(sandbox: Sandbox, body: Body, *, batch: bool) -> list[Message]:
    """Read the body strictly; raises PostmarkError 402, 403, 410 or HTTP 413."""
    bytes_max = sandbox.live.batch_bytes_max if batch else sandbox.live.message_bytes_max * 2
    if len(body.view) > bytes_max:
        raise errors.payload_too_large(bytes_max)
    if not body.is_utf8:
        raise errors.invalid_json("the text is not UTF-8")
    try:
        messages = _MANY.decode(body.view) if batch else [_ONE.decode(body.view)]
    except msgspec.ValidationError as wrong:
        raise errors.incompatible_json(str(wrong)) from wrong
    except msgspec.DecodeError as broken:
        raise errors.invalid_json(str(broken)) from broken
    if len(messages) > BATCH_MESSAGES_MAX:
        raise errors.too_many_batch_messages(BATCH_MESSAGES_MAX)
    if not messages:
        raise errors.incompatible_json("the batch holds no message")
    return messages


def take(sandbox: Sandbox, body: memoryview, messages: list[Message], decision: Decision, *, test: bool) -> list[Item]:
    """Check every message and log the valid ones. Returns an answer item for each, in order."""
    checker = MessageChecker(sandbox.live.message_bytes_max, sandbox.streams)
    entries: list[Entry] = []
    results: list[Addressed | Refusal] = []
    slots: dict[str, int] = {}
    for place, message in enumerate(messages):
        result = decision.refused.get(place) or checker.check(message)
        results.append(result)
        if isinstance(result, Addressed) and not test:
            stream = result.stream
            slot = slots.get(stream.id)
            if slot is None:
                slot = slots[stream.id] = sandbox.log.stream_slot(
                    stream.id, postmark_unsubscribe=stream.handling == "Postmark"
                )
            entries.append(Entry(place, result.recipients, slot, message.metadata, message.tag or ""))
    appended = sandbox.log.append(body, entries)
    hide_lagging(sandbox, entries, appended.sequences, decision)
    if entries:
        sandbox.accepted.set()
        bounce_test_addresses(sandbox, appended.sequences, entries)
    message_ids = [str(uuid.uuid4()) for _ in messages] if test else appended.message_ids
    return _items(messages, results, message_ids, errors.TEST_MESSAGE if test else errors.OK_MESSAGE)


def hide_lagging(sandbox: Sandbox, entries: list[Entry], sequences: range, decision: Decision) -> None:
    """Hide messages from the search for as long as the decision says."""
    if not decision.lag_s:
        return
    for entry, sequence in zip(entries, sequences, strict=True):
        lag_s = decision.lag_s.get(entry.item)
        if lag_s is not None:
            sandbox.hide(sequence, lag_s)


def submitted_at_texts() -> tuple[str, str, str]:
    """The current time in the forms that Postmark has used for SubmittedAt: 7 or 6 digits, offset or Z."""
    now = datetime.now(UTC)
    local = now.astimezone(_EASTERN)
    return (
        f"{local:%Y-%m-%dT%H:%M:%S.%f}8-05:00",
        f"{now:%Y-%m-%dT%H:%M:%S.%f}Z",
        f"{now:%Y-%m-%dT%H:%M:%S.%f}3Z",
    )


def _items(messages: list[Message], results: list[Addressed | Refusal], message_ids: list[str], ok: str) -> list[Item]:
    times = submitted_at_texts()
    next_id = iter(message_ids)
    items: list[Item] = []
    for place, (message, result) in enumerate(zip(messages, results, strict=True)):
        if isinstance(result, Refusal):
            items.append(result)
            continue
        text = errors.partly_inactive_message(result.suppressed) if result.suppressed else ok
        time_text = times[place % 3]
        if message.to:
            items.append(Accepted(message.to, time_text, next(next_id), 0, text))
        else:
            items.append(AcceptedWithoutTo(time_text, next(next_id), 0, text))
    return items


def _candidates(sandbox: Sandbox, messages: list[Message]) -> list[Candidate]:
    """The messages as the rules see them; empty if there are no rules."""
    if not sandbox.faults.any_set:
        return []
    checker = MessageChecker(sandbox.live.message_bytes_max, sandbox.streams)
    return [
        Candidate(
            stream=message.message_stream or DEFAULT_STREAM,
            recipients=checker.addressees(message),
            metadata=message.metadata or {},
        )
        for message in messages
    ]


def _batch_answer(items: list[Item]) -> Answer:
    return json_answer(200, items)


def _single_answer(items: list[Item]) -> Answer:
    match items:
        case [Refusal() as refusal]:
            return refusal_answer(422, refusal)
        case [item]:
            return json_answer(200, item)
        case _:
            return json_answer(200, [])
