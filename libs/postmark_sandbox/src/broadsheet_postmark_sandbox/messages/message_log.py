"""The log of accepted messages: a compact index in memory over the block file.

A message is identified by a sequence number from 1. Its data is kept in arrays indexed by that number or read
back from its block, never in an object of its own: a million messages to a million people take some 300 MB,
nearly all of it the table of recipients.

Lookups: by recipient through a chain of message numbers, by metadata through a scan of 64-bit hashes (some 3 ms a
million), by stream through one byte per message, by tag through a list of numbers for each; every other filter reads
the messages themselves.
"""

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import nlargest
from pathlib import Path
from typing import Final

import msgspec

from broadsheet_postmark_sandbox.api.wire import Message
from broadsheet_postmark_sandbox.messages.blocks import BlockFile
from broadsheet_postmark_sandbox.messages.message_ids import SEQUENCE_MAX, MessageIds

PAIR_BYTES: Final = 8

_MESSAGE = msgspec.json.Decoder(Message)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A message about to be logged: its place in the request and the data for the index.

    `recipients` are the distinct lower-cased addresses of To, Cc and Bcc, without suppressed ones. `stream_slot`
    is the result of `MessageLog.stream_slot` for its stream and handling.
    """

    item: int
    recipients: tuple[str, ...]
    stream_slot: int
    metadata: dict[str, str] | None
    tag: str = ""


class Appended(msgspec.Struct, frozen=True):
    """The numbers and ids of the messages of one request, in their order."""

    sequences: range
    message_ids: list[str]


class StreamSlot(msgspec.Struct, frozen=True):
    """A stream as it was when the message was accepted."""

    stream: str
    postmark_unsubscribe: bool


class StoredMessage(msgspec.Struct, frozen=True):
    """A logged message read back. `accepted_at` is in seconds since 1970; `raw` is the JSON as received."""

    sequence: int
    message_id: str
    accepted_at: float
    slot: StreamSlot
    recipients: tuple[str, ...]
    message: Message
    raw: msgspec.Raw


def metadata_key_hash(key: str) -> int:
    """Keys are compared without case, as Postmark does. The tuple keeps a key and an equal value from cancelling
    out.
    """
    return hash(("metadata", key.lower()))


def metadata_hash(key: str, value: str) -> bytes:
    """The index entry of a metadata field."""
    return array("q", (metadata_key_hash(key) ^ hash(value),)).tobytes()


class MessageLog:
    """Append-only until `clear`; `generation` changes when it is cleared."""

    def __init__(self, folder: Path | None = None) -> None:
        self._blocks = BlockFile(folder)
        self.generation = 0
        self._start()

    def _start(self) -> None:
        self.ids = MessageIds()
        self._block_of = array("I")
        self._item_of = array("H")
        self._slot_of = bytearray()
        self._recipient_of = array("I")
        self._previous_of = array("I")
        self._block_start = array("I")
        self._block_time = array("d")
        self._slots: list[StreamSlot] = []
        self._recipient_numbers: dict[str, int] = {}
        self._recipients: list[str] = []
        self._last_of_recipient = array("I")
        self._count_of_recipient = array("I")
        self._further_recipients: dict[int, tuple[int, ...]] = {}
        self._further_messages: dict[int, array[int]] = {}
        self._repeated: dict[int, None] = {}
        self._pairs = bytearray()
        self._pair_message = array("I")
        self._messages_of_tag: dict[str, array[int]] = {}

    def __len__(self) -> int:
        return len(self._block_of)

    @property
    def bytes_on_disk(self) -> int:
        return self._blocks.bytes_on_disk

    @property
    def recipient_count(self) -> int:
        return len(self._recipients)

    def clear(self) -> None:
        self.generation += 1
        self._blocks.clear()
        self._start()

    def close(self) -> None:
        self._blocks.close()

    def stream_slot(self, stream: str, *, postmark_unsubscribe: bool) -> int:
        """The index's number for a stream and its handling; it fits in a byte."""
        slot = StreamSlot(stream=stream, postmark_unsubscribe=postmark_unsubscribe)
        if slot not in self._slots:
            self._slots.append(slot)
        return self._slots.index(slot)

    # --- writing

    def append(self, body: bytes | memoryview, entries: list[Entry]) -> Appended:
        """Log the accepted messages of one request and return their numbers and ids, in order.

        One write to the file, whatever the number of messages.
        """
        first = len(self._block_of) + 1
        if not entries:
            return Appended(range(first, first), [])
        if first + len(entries) > SEQUENCE_MAX:
            raise OverflowError("the log is full")
        block = self._blocks.append(body)
        self._block_start.append(first)
        self._block_time.append(time.time())
        self._index_recipients(first, entries)
        self._index_metadata(first, entries)
        self._index_tags(first, entries)
        self._block_of.extend([block] * len(entries))
        self._item_of.extend([entry.item for entry in entries])
        self._slot_of.extend([entry.stream_slot for entry in entries])
        sequences = range(first, first + len(entries))
        return Appended(sequences, self.ids.ids_of(sequences, block))

    def _index_recipients(self, first: int, entries: list[Entry]) -> None:
        numbers, recipients = self._recipient_numbers, self._recipients
        last_of, count_of, previous_of = self._last_of_recipient, self._count_of_recipient, self._previous_of
        recipient_of = self._recipient_of
        for sequence, entry in enumerate(entries, first):
            address = entry.recipients[0]
            number = numbers.setdefault(address, len(recipients))
            if number == len(recipients):
                recipients.append(address)
                last_of.append(sequence)
                count_of.append(1)
                previous_of.append(0)
            else:
                previous_of.append(last_of[number])
                last_of[number] = sequence
                count_of[number] += 1
                self._repeated[number] = None
            recipient_of.append(number)
            if len(entry.recipients) > 1:
                self._append_further(sequence, entry.recipients[1:])

    def _index_metadata(self, first: int, entries: list[Entry]) -> None:
        hashes: list[int] = []
        messages: list[int] = []
        hash_of_key: dict[str, int] = {}
        for sequence, entry in enumerate(entries, first):
            if not entry.metadata:
                continue
            for key, value in entry.metadata.items():
                key_hash = hash_of_key.get(key)
                if key_hash is None:
                    key_hash = hash_of_key[key] = metadata_key_hash(key)
                hashes.append(key_hash ^ hash(value))
                messages.append(sequence)
        self._pairs += array("q", hashes).tobytes()
        self._pair_message.extend(messages)

    def _index_tags(self, first: int, entries: list[Entry]) -> None:
        for sequence, entry in enumerate(entries, first):
            if entry.tag:
                numbers = self._messages_of_tag.get(entry.tag)
                if numbers is None:
                    numbers = self._messages_of_tag[entry.tag] = array("I")
                numbers.append(sequence)

    def _add_recipient(self, address: str) -> int:
        number = len(self._recipients)
        self._recipient_numbers[address] = number
        self._recipients.append(address)
        self._last_of_recipient.append(0)
        self._count_of_recipient.append(0)
        return number

    def _append_further(self, sequence: int, addresses: tuple[str, ...]) -> None:
        numbers = []
        for address in addresses:
            number = self._recipient_numbers.get(address)
            if number is None:
                number = self._add_recipient(address)
            numbers.append(number)
            self._further_messages.setdefault(number, array("I")).append(sequence)
            self._count_of_recipient[number] += 1
            if self._count_of_recipient[number] > 1:
                self._repeated[number] = None
        self._further_recipients[sequence] = tuple(numbers)

    # --- reading one

    def accepted_at(self, sequence: int) -> float:
        return self._block_time[bisect_right(self._block_start, sequence) - 1]

    def slot(self, sequence: int) -> StreamSlot:
        return self._slots[self._slot_of[sequence - 1]]

    def recipient_numbers(self, sequence: int) -> tuple[int, ...]:
        """The recipients of a message as numbers for `recipient_address`."""
        return (self._recipient_of[sequence - 1], *self._further_recipients.get(sequence, ()))

    def recipient_address(self, number: int) -> str:
        return self._recipients[number]

    def read(self, sequence: int) -> StoredMessage:
        """Read back a message, which must exist."""
        raw = self._blocks.items(self._block_of[sequence - 1])[self._item_of[sequence - 1]]
        return StoredMessage(
            sequence=sequence,
            message_id=self.id_of(sequence),
            accepted_at=self.accepted_at(sequence),
            slot=self.slot(sequence),
            recipients=tuple(self._recipients[n] for n in self.recipient_numbers(sequence)),
            message=_MESSAGE.decode(raw),
            raw=raw,
        )

    def id_of(self, sequence: int) -> str:
        return self.ids.ids_of(range(sequence, sequence + 1), self._block_of[sequence - 1])[0]

    def find(self, message_id: str) -> StoredMessage | None:
        sequence = self.ids.sequence_of(message_id)
        if sequence is None or not 1 <= sequence <= len(self) or self.id_of(sequence) != message_id.lower():
            return None
        return self.read(sequence)

    # --- finding many; all return sequence numbers

    def all_numbers(self, after: int = 0, up_to: int | None = None) -> range:
        return range(after + 1, (len(self) if up_to is None else up_to) + 1)

    def of_recipient(self, address: str) -> list[int]:
        """The messages to an address, oldest first."""
        number = self._recipient_numbers.get(address.lower())
        if number is None:
            return []
        found = list(self._further_messages.get(number, ()))
        sequence = self._last_of_recipient[number]
        while sequence:
            found.append(sequence)
            sequence = self._previous_of[sequence - 1]
        found.sort()
        return found

    def of_recipients_containing(self, text: str, addresses_max: int) -> list[int]:
        """The messages to the first `addresses_max` addresses that contain the text, oldest first."""
        lowered = text.lower()
        addresses: list[str] = []
        for address in self._recipients:
            if lowered in address:
                addresses.append(address)
                if len(addresses) == addresses_max:
                    break
        return sorted({sequence for address in addresses for sequence in self.of_recipient(address)})

    def of_tag(self, tag: str) -> Sequence[int]:
        """The messages with a tag, oldest first."""
        return self._messages_of_tag.get(tag, ())

    def newest_tags(self, tags_max: int) -> list[tuple[str, int]]:
        """The tags that came up last, newest first, each with the number of its messages."""
        found = nlargest(tags_max, self._messages_of_tag.items(), key=lambda one: one[1][-1])
        return [(tag, len(numbers)) for tag, numbers in found]

    def of_metadata(self, key: str, value: str, after: int = 0) -> Iterator[int]:
        """The messages after `after` with this metadata field, oldest first."""
        needle = metadata_hash(key, value)
        position = bisect_left(self._pair_message, after + 1) * PAIR_BYTES
        while (position := self._pairs.find(needle, position)) >= 0:
            if position % PAIR_BYTES == 0:
                yield self._pair_message[position // PAIR_BYTES]
                position += PAIR_BYTES
            else:
                position += 1

    def count_in_stream(self, stream: str) -> int:
        return sum(self._slot_of.count(n) for n, slot in enumerate(self._slots) if slot.stream == stream)

    def in_stream(self, sequence: int, stream: str) -> bool:
        return self._slots[self._slot_of[sequence - 1]].stream == stream

    def repeated_recipients(self) -> Iterator[tuple[str, int]]:
        """Addresses with more than one message, and how many, in the order of their second message."""
        for number in self._repeated:
            yield self._recipients[number], self._count_of_recipient[number]
