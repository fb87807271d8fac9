"""A webhook endpoint: its URL, the events it receives, and whether its deliveries succeed; pure."""

from datetime import datetime
from typing import Final

import msgspec

from broadsheet_subscriptions.webhooks.sending.event import EventType

ENDPOINTS_MAX: Final = 50
"""A bound that lets every endpoint have places of its own, so that a slow one does not hold up the others."""
SECRETS_MAX: Final = 4
"""How many may be valid at once: each makes the headers of every call longer."""
FAILURES_BEFORE_DISABLING: Final = 10
"""The fewest failures that disable an endpoint, however long it has been failing. Otherwise two failures could
disable an endpoint that gets few events.
"""


class Endpoint(msgspec.Struct, frozen=True):
    """`newsletter_ids` None: every newsletter. `disabled_reason`: why the sender disabled it."""

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
    """The purpose to which an endpoint's sealed secrets are bound."""
    return f"webhook-endpoint:{endpoint_id}"
