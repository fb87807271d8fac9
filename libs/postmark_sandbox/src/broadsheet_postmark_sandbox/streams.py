"""Message streams and their suppressions."""

import time
from typing import Final, Literal

import msgspec

from broadsheet_postmark_sandbox.settings import UnsubscribeHandling

StreamType = Literal["Transactional", "Broadcasts", "Inbound"]
SuppressionReason = Literal["HardBounce", "SpamComplaint", "ManualSuppression"]
SuppressionOrigin = Literal["Recipient", "Customer", "Admin"]

DEFAULT_STREAM: Final = "outbound"
STREAMS_MAX: Final = 100


class Suppression(msgspec.Struct, frozen=True):
    """An address that must not be sent to on a stream. `created_at` is in seconds since 1970."""

    address: str
    reason: SuppressionReason
    origin: SuppressionOrigin
    created_at: float


class Stream(msgspec.Struct):
    """A stream with its suppressions by lower-cased address. Times are in seconds since 1970."""

    id: str
    name: str
    type: StreamType
    handling: UnsubscribeHandling
    created_at: float
    description: str | None = None
    updated_at: float | None = None
    archived_at: float | None = None
    suppressions: dict[str, Suppression] = msgspec.field(default_factory=dict)

    def suppress(self, address: str, reason: SuppressionReason, origin: SuppressionOrigin) -> Suppression:
        """Suppress an address; another reason never replaces a complaint."""
        known = self.suppressions.get(address.lower())
        if known is not None and known.reason == "SpamComplaint":
            return known
        made = Suppression(address=address.lower(), reason=reason, origin=origin, created_at=time.time())
        self.suppressions[made.address] = made
        return made


def default_streams(broadcast_handling: UnsubscribeHandling) -> dict[str, Stream]:
    """The streams that every Postmark server starts with."""
    now = time.time()
    made = (
        Stream("outbound", "Default Transactional Stream", "Transactional", "None", now),
        Stream("broadcast", "Default Broadcast Stream", "Broadcasts", broadcast_handling, now),
        Stream("inbound", "Default Inbound Stream", "Inbound", "None", now),
    )
    return {stream.id: stream for stream in made}
