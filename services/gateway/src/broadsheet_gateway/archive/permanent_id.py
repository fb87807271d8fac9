"""Ids of feeds and entries that stay for ever (RFC 4287, 4.2.6), whatever becomes of slugs, titles and hosts; pure."""

import uuid
from datetime import datetime
from typing import Final, Literal

_NAMESPACE: Final = uuid.UUID("6d1c8a52-8a5f-5f0e-9b0c-0f6b7a0f4c1d")
"""Of Broadsheet's feeds. Changing it would show every reader every issue again."""


def permanent_id(kind: Literal["newsletter", "issue"], record_id: int, created_at: datetime) -> str:
    """From what never changes. The moment of its creation tells apart what two installations gave the same number."""
    microseconds = round(created_at.timestamp() * 1_000_000)
    return uuid.uuid5(_NAMESPACE, f"{kind}/{record_id}/{microseconds}").urn
