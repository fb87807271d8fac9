"""MessageIDs that need no index: UUIDs of version 4 from which the message's number can be computed.

A million random UUIDs in a dictionary take 150 MB. Here the first eight digits are the scrambled sequence number,
and the rest is the same for all messages of a block, so an id is looked up by arithmetic. The key is random for
each start, so ids of different runs differ.
"""

import re
import secrets
from typing import Final

SEQUENCE_MAX: Final = 2**32 - 1

_MULTIPLIER: Final = 0x9E3779B1
_INVERSE: Final = pow(_MULTIPLIER, -1, 2**32)
_MIXER: Final = 0xD6E8FEB86659FD93DA942042E4DD58B5
_MASK_128: Final = 2**128 - 1
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")


class MessageIds:
    """Converts sequence numbers from 1 to SEQUENCE_MAX, each with its block, to ids and back."""

    def __init__(self, key: int | None = None) -> None:
        self.key = secrets.randbits(128) if key is None else key

    def tail_of_block(self, block: int) -> str:
        """The part that all ids of a block share."""
        mixed = ((block + self.key) * _MIXER) & _MASK_128
        digits = f"{mixed ^ (mixed >> 64):032x}"
        return f"-{digits[:4]}-4{digits[4:7]}-a{digits[7:10]}-{digits[10:22]}"

    def ids_of(self, sequences: range, block: int) -> list[str]:
        """The ids of consecutive messages of one block."""
        tail, key = self.tail_of_block(block), self.key
        return [f"{(n * _MULTIPLIER + key) & 0xFFFFFFFF:08x}{tail}" for n in sequences]

    def sequence_of(self, message_id: str) -> int | None:
        """The sequence number in an id; the caller must check the id against the block's tail."""
        text = message_id.lower()
        if not _UUID.fullmatch(text):
            return None
        return ((int(text[:8], 16) - self.key) * _INVERSE) & 0xFFFFFFFF
