"""What a webhook endpoint is: a receiver, what it wants to be told, and how it has been doing; pure."""

from datetime import datetime
from typing import Final

import msgspec

from broadsheet_subscriptions.webhooks.sending.event import EventType

ENDPOINTS_MAX: Final = 50
"""So that every one of them has places of its own, and a slow one takes none from the others."""
SECRETS_MAX: Final = 4
"""In force at once: each makes every call's headers longer."""
FAILURES_BEFORE_DISABLING: Final = 10
"""However long it has been failing: one that gets few events must not be judged by two of them."""


class Endpoint(msgspec.Struct, frozen=True):
    """`newsletter_ids` None: every newsletter's. `disabled_reason`: why the sender disabled it."""

    id: int
    url: str
    description: str
    events: list[EventType]
    newsletter_ids: list[int] | None
    enabled: bool
    disabled_reason: str | None
    disabled_at: datetime | None
    failing_since: datetime | None
    created_at: datetime


def secret_purpose(endpoint_id: int) -> str:
    """What an endpoint's secrets are sealed for."""
    return f"webhook-endpoint:{endpoint_id}"
