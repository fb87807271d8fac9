"""An entry of the audit log, and the chain: each entry's hash covers its text and the hash of the entry before.

The text is made here anew, not by the database's function that made the chain: whoever can change entries can change
that function too. docs/operating/audit.md describes it, so that an exported file can be checked without this code.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec

START_HASH: Final = bytes(32)
"""What the first entry is chained to."""
_LINES: Final = (
    "number", "at", "service", "action", "actor", "person", "source", "target_kind", "target_id", "newsletter_id",
    "before", "after", "trace_id",
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """`before` and `after` are JSON objects as the database writes them: that text is in the hash."""

    number: int
    at: datetime
    service: str
    action: str
    actor: str
    person: str
    source: str | None
    target_kind: str
    target_id: str | None
    newsletter_id: int | None
    before: str | None
    after: str | None
    trace_id: str | None
    previous_hash: bytes
    hash: bytes


def text_of(entry: Entry) -> str:
    """A line `name=value` for each field that is not null, in a fixed order. No value holds a line feed."""
    values = msgspec.structs.asdict(entry) | {
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    }
    return "\n".join(f"{name}={values[name]}" for name in _LINES if values[name] is not None)


def hash_of(entry: Entry, *, previous_hash: bytes) -> bytes:
    return hashlib.sha256(previous_hash + text_of(entry).encode()).digest()


class ShownEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: `actor` did `action` to the target. `person` is the user behind an API key. `before` and `after` hold
    ids, numbers and words, never texts or addresses; `changed` names fields whose values are not shown. `hash` covers
    the entry and `previous_hash`.
    """

    number: int
    at: datetime
    service: str
    action: str
    actor: str
    person: str
    source: str | None
    target_kind: str
    target_id: str | None
    newsletter_id: int | None
    before: msgspec.Raw | None
    after: msgspec.Raw | None
    trace_id: str | None
    previous_hash: str
    hash: str


def shown(entry: Entry) -> ShownEntry:
    fields = msgspec.structs.asdict(entry) | {
        "at": entry.at.astimezone(UTC),
        "before": None if entry.before is None else msgspec.Raw(entry.before.encode()),
        "after": None if entry.after is None else msgspec.Raw(entry.after.encode()),
        "previous_hash": entry.previous_hash.hex(),
        "hash": entry.hash.hex(),
    }
    return ShownEntry(**fields)


def json_line(entry: Entry) -> bytes:
    """As exports and streams have it: one JSON object, without a line feed at its end."""
    return msgspec.json.encode(shown(entry))
