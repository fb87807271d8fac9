"""The end of the audit log's chain, as the database records it and as people keep it elsewhere."""

import re

import msgspec

_TEXT = re.compile(r"([0-9]{1,18}):([0-9a-fA-F]{64})")


class Head(msgspec.Struct, frozen=True):
    """The number and the hash of an entry: of the last one, or of one that is known from elsewhere."""

    number: int
    hash: bytes

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Of `<number>:<hash>`, as it is printed. Raises ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("expected <number>:<hash of 64 hex digits>")
        return cls(int(match[1]), bytes.fromhex(match[2]))

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"
