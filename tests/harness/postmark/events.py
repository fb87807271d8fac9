"""Events in the form of Postmark's webhooks, made from what the sandbox accepted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from harness.oracle import Captured
from harness.seeding import Seed

DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)


def moment(minutes: float = 0) -> str:
    return (DAY + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def event(record_type: str, message: Captured | None = None, *, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    """`minutes` after a fixed moment; a change to `...` leaves the field out."""
    time_field = {"Delivery": "DeliveredAt", "Bounce": "BouncedAt", "SpamComplaint": "BouncedAt"}
    address_field = {"Bounce": "Email", "SpamComplaint": "Email"}.get(record_type, "Recipient")
    payload: dict[str, Any] = {
        "RecordType": record_type,
        "MessageStream": message.stream if message else "broadcast",
        "MessageID": str(message.message_id) if message else None,
        "Metadata": message.metadata if message else {},
        address_field: message.to if message else None,
        "ChangedAt" if record_type == "SubscriptionChange" else time_field.get(record_type, "ReceivedAt"): moment(
            minutes
        ),
    }
    payload |= changes
    return {name: value for name, value in payload.items() if value is not ...}


def hard_bounce(message: Captured, *, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    given = {"Type": "HardBounce", "TypeCode": 1, "Inactive": True, **changes}
    return event("Bounce", message, minutes=minutes, **given)


def left(message: Captured, *, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    """Through Postmark's own link."""
    given = {
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        **changes,
    }
    return event("SubscriptionChange", message, minutes=minutes, **given)


def came_back(message: Captured, *, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    given = {"Origin": "Recipient", "SuppressSending": False, "SuppressionReason": None, **changes}
    return event("SubscriptionChange", message, minutes=minutes, **given)


def tell(seed: Seed, *events: Any) -> None:
    """Into the inbox, as the gateway does it."""
    bodies = [msgspec.json.encode(one).decode() for one in events]
    seed.execute("SELECT delivery.enqueue_provider_events(%s)", (bodies,))
