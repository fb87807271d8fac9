"""MessageIDs that need no index: a UUID of version 4 from which the message's number can be computed back.

A million random UUIDs in a dictionary cost 150 MB; here an id is a keyed scrambling of the sequence number, and
looking one up is arithmetic. The keys are random for each start, so ids of different runs differ.
"""

import re
import secrets
from typing import Final

SEQUENCE_MAX: Final = 2**32 - 1

_MULTIPLIER: Final = 0x9E3779B1
_INVERSE: Final = pow(_MULTIPLIER, -1, 2**32)
_MIXER: Final = 0xD6E8FEB86659FD93
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")


class MessageIds:
    """Sequence numbers from 1 to SEQUENCE_MAX to ids and back."""

    def __init__(self, key: int | None = None) -> None:
        self.key = secrets.randbits(64) if key is None else key

    def id_of(self, sequence: int) -> str:
        key = self.key
        head = (sequence * _MULTIPLIER + key) & 0xFFFFFFFF
        mixed = ((sequence + key) * _MIXER) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 32
        return (
            f"{head:08x}-{mixed >> 48:04x}-4{mixed >> 36 & 0xFFF:03x}-a{mixed >> 24 & 0xFFF:03x}-"
            f"{mixed & 0xFFFFFF:06x}{(mixed * _MIXER ^ key) & 0xFFFFFF:06x}"
        )

    def sequence_of(self, message_id: str) -> int | None:
        """The number behind an id, or None when this object never made it."""
        text = message_id.lower()
        if not _UUID.fullmatch(text):
            return None
        sequence = ((int(text[:8], 16) - self.key) * _INVERSE) & 0xFFFFFFFF
        return sequence if self.id_of(sequence) == text else None
