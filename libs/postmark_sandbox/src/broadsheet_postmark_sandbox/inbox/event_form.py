"""Reads the forms that make events; pure."""

from typing import Final
from urllib.parse import parse_qsl

import msgspec

from broadsheet_postmark_sandbox.events.send_events import EventRequest, EventType
from broadsheet_postmark_sandbox.messages.message_log import StoredMessage

BODY_BYTES_MAX: Final = 16 * 1024
FIELDS_MAX: Final = 10

OFFERED: Final[tuple[EventType, ...]] = ("Delivery", "Open", "Click", "Bounce", "SpamComplaint")


def read_event_form(body: bytes, stored: StoredMessage) -> EventRequest:
    """Fields: `type`, and where they apply `recipient`, `link`, `bounce_type`. Raises ValueError with what is wrong."""
    if len(body) > BODY_BYTES_MAX:
        raise ValueError("the form is too long")
    fields = dict(parse_qsl(body.decode(), max_num_fields=FIELDS_MAX))
    kind = fields.get("type", "")
    if kind not in OFFERED:
        raise ValueError(f"no such event: {kind[:50]}")
    recipient = fields.get("recipient", stored.recipients[0])
    if recipient not in stored.recipients:
        raise ValueError("the mail has no such recipient")
    wanted = EventRequest(type=kind, message_id=stored.message_id, recipient=recipient)
    given = {name: fields[name] for name in ("link", "bounce_type") if fields.get(name)}
    return msgspec.structs.replace(wanted, **given)
