"""Address lists as Postmark reads them: `a@x.example, "Ada, VP" <b@y.example>`.

Mailboxes are ASCII dot-atoms (RFC 5322 without quoted local parts or comments), domains A-labels of at least two
parts; display names may be any text without control characters. Lengths follow RFC 5321: 64 octets before the at
sign, 254 in all.
"""

import re
from typing import Final

import msgspec

ADDRESS_LENGTH_MAX: Final = 254
LOCAL_LENGTH_MAX: Final = 64

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
MAILBOX: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@(?:{_LABEL}\.)+{_LABEL}")
_ENTRY: Final = re.compile(
    r"""\s*(?:(?P<name>"(?:[^"\\]|\\.)*"|[^"<>@,;:]*?)\s*<\s*(?P<in_brackets>[^<>]*?)\s*>|(?P<bare>[^<>"]*?))\s*""",
    re.DOTALL,
)
_PIECE: Final = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<]|["<])*""", re.DOTALL)


class Mailbox(msgspec.Struct, frozen=True, gc=False):
    """One parsed entry: the address as written and the display name without its quotes."""

    address: str
    name: str | None


class BadAddressError(ValueError):
    """An entry is not an address; the first argument is the entry as written."""


def is_mailbox(text: str) -> bool:
    found = MAILBOX.fullmatch(text)
    return found is not None and len(text) <= ADDRESS_LENGTH_MAX and found.end(1) <= LOCAL_LENGTH_MAX


def parse_entry(text: str) -> Mailbox:
    """Parse one entry; raises BadAddressError."""
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise BadAddressError(text.strip())
    address = found["in_brackets"] if found["bare"] is None else found["bare"]
    if not is_mailbox(address):
        raise BadAddressError(address or text.strip())
    name = found["name"]
    if name and name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1], flags=re.DOTALL)
    return Mailbox(address=address, name=name or None)


def parse_list(text: str) -> tuple[Mailbox, ...]:
    """Parse a list separated by commas outside quotes; an empty text has no entries.

    Raises BadAddressError with the first entry that is not an address.
    """
    if is_mailbox(text):
        return (Mailbox(address=text, name=None),)
    if not text.strip():
        return ()
    entries: list[Mailbox] = []
    position = 0
    while position <= len(text):
        piece = _PIECE.match(text, position)
        assert piece is not None, "the pattern also matches nothing"
        entries.append(parse_entry(piece[0]))
        position = piece.end() + 1
    return tuple(entries)
