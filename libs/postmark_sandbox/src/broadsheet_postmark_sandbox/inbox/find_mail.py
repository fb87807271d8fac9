"""Which mails the list shows: a search by recipient and tag, and its pages."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec

from broadsheet_postmark_sandbox.messages.message_log import MessageLog

PAGE_ROWS: Final = 50
MATCHING_ADDRESSES_MAX: Final = 500
NUMBER_MAX: Final = 2**32
SEARCH_CHARS_MAX: Final = 320

_NUMBER_DIGITS_MAX: Final = 10


class Search(msgspec.Struct, frozen=True):
    """What was searched for. `before`: only messages with a lower number; None for the newest."""

    recipient: str = ""
    tag: str = ""
    before: int | None = None

    @property
    def is_any(self) -> bool:
        return bool(self.recipient or self.tag)

    @property
    def query(self) -> str:
        """As the query of an address, with its question mark; empty where nothing was searched for."""
        given = {"recipient": self.recipient, "tag": self.tag, "before": str(self.before or "")}
        text = urlencode({name: value for name, value in given.items() if value})
        return f"?{text}" if text else ""


class Found(msgspec.Struct, frozen=True):
    """One page: its message numbers, newest first, and the neighbouring pages. Of all pages together: how many messages
    match, and the newest of them (0: none).
    """

    sequences: list[int]
    total: int
    newest: int
    newer: Search | None
    older: Search | None


def parse_search(query: dict[str, str]) -> Search:
    before = query.get("before", "")
    is_number = before.isascii() and before.isdigit() and len(before) <= _NUMBER_DIGITS_MAX
    return Search(
        recipient=query.get("recipient", "").strip()[:SEARCH_CHARS_MAX],
        tag=query.get("tag", "").strip()[:SEARCH_CHARS_MAX],
        before=int(before) if is_number and 0 < int(before) < NUMBER_MAX else None,
    )


def matching(log: MessageLog, search: Search) -> Sequence[int]:
    """The messages of all pages, oldest first. A whole address is looked up; part of an address is searched for."""
    if not search.recipient:
        return log.of_tag(search.tag) if search.tag else log.all_numbers()
    found = log.of_recipient(search.recipient) or log.of_recipients_containing(search.recipient, MATCHING_ADDRESSES_MAX)
    if not search.tag:
        return found
    of_tag = log.of_tag(search.tag)
    return [sequence for sequence in found if _holds(of_tag, sequence)]


def find_mail(log: MessageLog, search: Search) -> Found:
    sequences = matching(log, search)
    total = len(sequences)
    end = total if search.before is None else min(bisect_left(sequences, search.before), total)
    start = max(0, end - PAGE_ROWS)
    newer = older = None
    if end < total:
        last = end + PAGE_ROWS
        newer = msgspec.structs.replace(search, before=sequences[last] if last < total else None)
    if start > 0:
        older = msgspec.structs.replace(search, before=sequences[start])
    return Found(
        sequences=list(reversed(sequences[start:end])),
        total=total,
        newest=sequences[-1] if total else 0,
        newer=newer,
        older=older,
    )


def _holds(ordered: Sequence[int], number: int) -> bool:
    place = bisect_left(ordered, number)
    return place < len(ordered) and ordered[place] == number
