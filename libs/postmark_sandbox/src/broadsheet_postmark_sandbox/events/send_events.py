"""POST /_sandbox/events, and events that Postmark makes by itself: make an event, apply it, send its webhooks.

An event changes what it would change at Postmark: a hard bounce and a complaint suppress the address on the
stream, a SubscriptionChange suppresses it or reactivates it, and the message's details show all of them.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from broadsheet_postmark_sandbox.events.bounces import (
    BOUNCE_TYPES,
    SERVER_ID,
    TESTING_DOMAIN,
    Bounce,
    BounceType,
    testing_bounce,
)
from broadsheet_postmark_sandbox.messages.message_log import Entry, StoredMessage
from broadsheet_postmark_sandbox.messages.present_message import utc_text
from broadsheet_postmark_sandbox.state import Sandbox
from broadsheet_postmark_sandbox.streams import DEFAULT_STREAM, SuppressionOrigin, SuppressionReason

REPEAT_MAX: Final = 1_000
DELAY_S_MAX: Final = 3_600

EventType = Literal["Delivery", "Bounce", "SpamComplaint", "Open", "Click", "SubscriptionChange", "Raw"]


class EventRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /_sandbox/events.

    The message is `message_id`, or the newest one to `recipient` (on `stream`, if given). With both, `recipient`
    chooses one of the message's recipients. Without a message only `Raw` is possible and, with `recipient` and
    `stream`, `SubscriptionChange`.

    - `set` and `omit` change the finished payload: `omit: ["Email"]` leaves a key out.
    - `payload` is the whole payload of a Raw event, for unknown record types.
    - `repeat` sends the same payload that many times, all at once.
    - `delay_s` waits before sending.
    - `apply=False` sends without changing suppressions and bounces.
    - `about_message=False` makes a SubscriptionChange without a message, as Postmark does when a customer or an
      administrator makes the change.
    """

    type: EventType
    message_id: str | None = None
    recipient: str | None = None
    stream: str | None = None
    bounce_type: str = "HardBounce"
    suppress_sending: bool = True
    suppression_reason: SuppressionReason = "ManualSuppression"
    origin: SuppressionOrigin = "Recipient"
    link: str = "https://example.com/"
    first_open: bool = True
    set: dict[str, Any] = {}
    omit: tuple[str, ...] = ()
    payload: dict[str, Any] | None = None
    repeat: Annotated[int, msgspec.Meta(ge=1, le=REPEAT_MAX)] = 1
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=DELAY_S_MAX)] = 0.0
    apply: bool = True
    about_message: bool = True


class EventSent(msgspec.Struct, frozen=True):
    """The answer: the payload, the number of webhooks it goes to (0 if none is configured), and the calls queued."""

    payload: dict[str, Any]
    webhooks: int
    queued: int


class NoSuchMessageError(LookupError):
    """No accepted message matches the event."""


class QueueFullError(RuntimeError):
    """Too many webhooks are already waiting."""


def announce(sandbox: Sandbox, wanted: EventRequest) -> None:
    """Send an event that Postmark makes by itself. If too many webhooks are waiting, it is dropped and counted."""
    subject = _subject(sandbox, wanted)
    payload = _payload(sandbox, wanted, subject)
    try:
        _publish(sandbox, wanted, payload, subject.stream)
    except QueueFullError:
        sandbox.webhooks.counts.dropped += 1


class _Subject(msgspec.Struct, frozen=True):
    """What an event is about; `message` is None for a change of subscription without one."""

    message: StoredMessage | None
    recipient: str
    stream: str


def send_event(sandbox: Sandbox, wanted: EventRequest) -> EventSent:
    """Make the event and send its webhooks. Raises ValueError, NoSuchMessageError or QueueFullError, changing
    nothing.
    """
    if wanted.type == "Raw":
        if wanted.payload is None:
            raise ValueError("a Raw event needs a payload")
        stream = wanted.payload.get("MessageStream", wanted.stream)
        return _publish(sandbox, wanted, wanted.payload, stream)
    if wanted.payload is not None:
        raise ValueError("payload is for Raw events; use set and omit to change this one")
    if wanted.type == "Bounce" and wanted.bounce_type not in BOUNCE_TYPES:
        raise ValueError(f"no such bounce type: {wanted.bounce_type}")
    subject = _subject(sandbox, wanted)
    _check_room(sandbox, wanted.repeat * len(sandbox.targets))
    payload = _payload(sandbox, wanted, subject)
    return _publish(sandbox, wanted, payload, subject.stream)


def _subject(sandbox: Sandbox, wanted: EventRequest) -> _Subject:
    log = sandbox.log
    stored = None
    if wanted.message_id is not None:
        stored = log.find(wanted.message_id)
        if stored is None:
            raise NoSuchMessageError(wanted.message_id)
    elif wanted.recipient is not None and wanted.about_message:
        found = log.of_recipient(wanted.recipient)
        found = [s for s in found if wanted.stream is None or log.in_stream(s, wanted.stream)]
        stored = log.read(found[-1]) if found else None
    if stored is not None:
        recipient = wanted.recipient or stored.recipients[0]
        return _Subject(message=stored, recipient=recipient, stream=stored.slot.stream)
    if wanted.type == "SubscriptionChange" and wanted.recipient is not None:
        stream = wanted.stream or DEFAULT_STREAM
        if stream not in sandbox.streams:
            raise ValueError(f"no such stream: {stream}")
        return _Subject(message=None, recipient=wanted.recipient, stream=stream)
    raise NoSuchMessageError("no accepted message matches")


def _payload(sandbox: Sandbox, wanted: EventRequest, subject: _Subject) -> dict[str, Any]:
    match wanted.type:
        case "Delivery":
            payload = _delivery(subject)
        case "Bounce":
            payload = record_bounce(sandbox, BOUNCE_TYPES[wanted.bounce_type], subject, apply=wanted.apply)
        case "SpamComplaint":
            kind = BOUNCE_TYPES["SpamComplaint"]
            payload = record_bounce(sandbox, kind, subject, apply=wanted.apply) | {"RecordType": "SpamComplaint"}
        case "Open":
            payload = {**_engagement("Open", subject), "FirstOpen": wanted.first_open, "ReadSeconds": 5}
        case "Click":
            payload = {
                **_engagement("Click", subject),
                "ClickLocation": "HTML",
                "OriginalLink": wanted.link,
            }
        case "SubscriptionChange":
            payload = _subscription_change(sandbox, wanted, subject)
        case _:
            raise ValueError(f"no such event: {wanted.type}")
    _note(sandbox, wanted.type, subject, payload)
    kept = {key: value for key, value in payload.items() if key not in wanted.omit}
    return kept | wanted.set


def _publish(sandbox: Sandbox, wanted: EventRequest, payload: dict[str, Any], stream: str | None) -> EventSent:
    record_type = str(payload.get("RecordType", "Raw"))
    targets = [target for target in sandbox.targets if target.wants(stream, record_type)]
    _check_room(sandbox, wanted.repeat * len(targets))
    encoded = msgspec.json.encode(payload)
    for target in targets:
        for _ in range(wanted.repeat):
            sandbox.webhooks.send(target, encoded, record_type, wanted.delay_s)
    return EventSent(payload=payload, webhooks=len(targets), queued=len(targets) * wanted.repeat)


def _check_room(sandbox: Sandbox, needed: int) -> None:
    if sandbox.webhooks.room < needed:
        raise QueueFullError("too many webhooks are waiting")


def _common(record_type: str, subject: _Subject) -> dict[str, Any]:
    stored = subject.message
    return {
        "RecordType": record_type,
        "MessageStream": subject.stream,
        "ServerID": SERVER_ID,
        "MessageID": None if stored is None else stored.message_id,
        "Tag": None if stored is None else stored.message.tag or "",
        "Metadata": {} if stored is None else stored.message.metadata or {},
    }


def _delivery(subject: _Subject) -> dict[str, Any]:
    return {
        **_common("Delivery", subject),
        "Recipient": subject.recipient,
        "DeliveredAt": utc_text(time.time()),
        "Details": "smtp;250 2.0.0 OK",
    }


def record_bounce(sandbox: Sandbox, kind: BounceType, subject: _Subject, *, apply: bool) -> dict[str, Any]:
    """Record a bounce, suppress the address if the bounce type does, and return the webhook's payload."""
    stored = subject.message
    assert stored is not None, "bounces are about messages"
    bounce: Bounce = sandbox.bounces.add(
        kind,
        message_id=stored.message_id,
        stream=subject.stream,
        tag=stored.message.tag or "",
        email=subject.recipient,
        from_=stored.message.from_ or "",
        subject=stored.message.subject or "",
    )
    if apply and kind.deactivates:
        reason: SuppressionReason = "SpamComplaint" if kind.type == "SpamComplaint" else "HardBounce"
        sandbox.streams[subject.stream].suppress(subject.recipient, reason, "Recipient")
    return {**bounce.row(), "BouncedAt": utc_text(bounce.bounced_at), "Metadata": stored.message.metadata or {}}


def _engagement(record_type: str, subject: _Subject) -> dict[str, Any]:
    agent = {"Name": "Firefox 140.0", "Company": "Mozilla", "Family": "Firefox"}
    return {
        **_common(record_type, subject),
        "Recipient": subject.recipient,
        "ReceivedAt": utc_text(time.time()),
        "UserAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Platform": "Desktop",
        "Client": agent,
        "OS": {"Name": "Linux", "Company": "Linux", "Family": "Linux"},
        "Geo": {
            "CountryISOCode": "",
            "Country": "",
            "RegionISOCode": "",
            "Region": "",
            "City": "",
            "Zip": "",
            "Coords": "",
            "IP": "",
        },
    }


def _subscription_change(sandbox: Sandbox, wanted: EventRequest, subject: _Subject) -> dict[str, Any]:
    if wanted.apply:
        stream = sandbox.streams[subject.stream]
        if wanted.suppress_sending:
            stream.suppress(subject.recipient, wanted.suppression_reason, wanted.origin)
        else:
            stream.suppressions.pop(subject.recipient.lower(), None)
    return {
        **_common("SubscriptionChange", subject),
        "Recipient": subject.recipient,
        "ChangedAt": utc_text(time.time()),
        "Origin": wanted.origin,
        "SuppressSending": wanted.suppress_sending,
        "SuppressionReason": wanted.suppression_reason if wanted.suppress_sending else None,
    }


# The names in MessageEvents.
_EVENT_NAMES: Final = {
    "Delivery": "Delivered",
    "Bounce": "Bounced",
    "SpamComplaint": "Bounced",
    "Open": "Opened",
    "Click": "LinkClicked",
    "SubscriptionChange": "SubscriptionChanged",
}


def _note(sandbox: Sandbox, event: str, subject: _Subject, payload: dict[str, Any]) -> None:
    """Record the event for the message's details."""
    if subject.message is None:
        return
    details: dict[str, Any] = {}
    match event:
        case "Delivery":
            details = {"DeliveryMessage": payload["Details"], "DestinationServer": "sandbox", "DestinationIP": ""}
        case "Bounce" | "SpamComplaint":
            details = {"Summary": payload["Details"], "BounceID": str(payload["ID"])}
        case "Click":
            details = {"Link": payload["OriginalLink"], "ClickLocation": payload["ClickLocation"]}
        case "SubscriptionChange":
            details = {"Origin": payload["Origin"], "SuppressSending": payload["SuppressSending"]}
        case _:
            pass
    sandbox.message_events.add(
        subject.message.sequence,
        {
            "Recipient": subject.recipient,
            "Type": _EVENT_NAMES[event],
            "ReceivedAt": utc_text(time.time()),
            "Details": details,
        },
    )


def bounce_test_addresses(sandbox: Sandbox, sequences: range, entries: Sequence[Entry]) -> None:
    """Make the bounces of Postmark's testing addresses for messages that were just accepted."""
    for sequence, entry in zip(sequences, entries, strict=True):
        if not entry.recipients[-1].endswith(TESTING_DOMAIN) and len(entry.recipients) == 1:
            continue
        for address in entry.recipients:
            kind = testing_bounce(address)
            if kind is None:
                continue
            event: EventType = "SpamComplaint" if kind.type == "SpamComplaint" else "Bounce"
            announce(
                sandbox,
                EventRequest(
                    type=event,
                    message_id=sandbox.log.id_of(sequence),
                    recipient=address,
                    bounce_type=kind.type,
                ),
            )


def automatic_delivery(sandbox: Sandbox, sequence: int) -> None:
    """Send the Delivery events of one message, one for each recipient that does not bounce."""
    stored = sandbox.log.read(sequence)
    for address in stored.recipients:
        if testing_bounce(address) is None:
            announce(sandbox, EventRequest(type="Delivery", message_id=stored.message_id, recipient=address))
