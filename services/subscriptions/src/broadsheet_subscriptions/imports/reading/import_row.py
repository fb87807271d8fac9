"""One row of a file as a person, or why it is none, pure. A million rows come by here: what can be done once is."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import AttributeType, AttributeValue, parse_value
from broadsheet_subscriptions.imports.reading.column import ATTRIBUTE_PREFIX, KnownAttribute, Mapping_
from broadsheet_subscriptions.subscribers.spreadsheet_cell import restore
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.tag_cell import read_tags

_CELLS_REMEMBERED_MAX: Final = 4096
_CELL_CHARS_REMEMBERED_MAX: Final = 200
# What other systems call the states; what they no longer write to has left, here too.
_STATES: Final[dict[str, State]] = {
    **dict.fromkeys(("confirmed", "subscribed", "active", "enabled", "opted in", "opted-in"), "confirmed"),
    **dict.fromkeys(("pending", "unconfirmed", "new"), "pending"),
    **dict.fromkeys(
        (
            "unsubscribed", "inactive", "disabled", "opted out", "opted-out", "cleaned", "bounced", "complained",
            "blocklisted", "blocked", "removed",
        ),
        "unsubscribed",
    ),
}  # fmt: skip


class ImportedPerson(msgspec.Struct, frozen=True):
    """`name` may be blank; `state` None: what the import gives."""

    email: EmailAddress
    name: str
    attributes: dict[str, AttributeValue]
    tags: tuple[str, ...]
    state: State | None


class RejectedRowError(Exception):
    """The row is no person; the message says which column is at fault. `email_key`: its address, if it has one."""

    def __init__(self, reason: str, email_key: str | None = None) -> None:
        super().__init__(reason)
        self.email_key = email_key


class RowReader:
    """Reads the rows of one file."""

    def __init__(self, titles: Sequence[str], mapping: Mapping_, attributes: Sequence[KnownAttribute]) -> None:
        types = {attribute.name: attribute.type for attribute in attributes}
        places = {target: index for index, title in enumerate(titles) if (target := mapping.get(title)) is not None}
        self._titles = titles
        self._width = len(titles)
        self._email = places["email"]
        self._name = places.get("name")
        # Where a fault of the name is: the first of its columns.
        self._name_at = min((places[part] for part in ("name", "first_name", "last_name") if part in places), default=0)
        self._name_parts = [places[part] for part in ("first_name", "last_name") if part in places]
        self._tags = places.get("tags")
        self._state = places.get("state")
        self._attributes: list[tuple[int, str, AttributeType, dict[str, AttributeValue]]] = [
            (index, name, types[name], {})
            for target, index in places.items()
            # One that was removed since the run began is read no more.
            if (name := target.removeprefix(ATTRIBUTE_PREFIX)) != target and name in types
        ]

    def read(self, cells: list[str]) -> ImportedPerson:
        """Raises `RejectedRowError`."""
        width = self._width
        if len(cells) != width:
            if len(cells) > width and any(cells[width:]):
                raise RejectedRowError(f"The row has {len(cells)} cells, the first row {width}.")
            cells = (cells + [""] * width)[:width]
        try:
            email = EmailAddress.parse(cells[self._email])
        except ValueError as error:
            raise RejectedRowError(f"{self._titles[self._email]}: {error}") from error
        index = self._name_at
        try:
            name = self._read_name(cells)
            attributes: dict[str, AttributeValue] = {}
            for index, attribute, type_, seen in self._attributes:  # names the column of a fault
                cell = cells[index]
                if cell in seen:
                    attributes[attribute] = seen[cell]
                elif cell and (type_ == "text" or not cell.isspace()):
                    attributes[attribute] = _value(type_, cell, seen)
            tags: tuple[str, ...] = ()
            if self._tags is not None:
                index = self._tags
                tags = _tags(cells[index])
            state = None
            if self._state is not None:
                index = self._state
                state = _state(cells[index])
        except ValueError as error:
            raise RejectedRowError(f"{self._titles[index]}: {error}", email.key) from error
        return ImportedPerson(email, name, attributes, tags, state)

    def _read_name(self, cells: list[str]) -> str:
        if self._name is not None:
            return _name(cells[self._name])
        if self._name_parts:
            return _name(" ".join(cell for part in self._name_parts if (cell := cells[part].strip())))
        return ""


def restore_cells(cells: list[str]) -> None:
    """Take the apostrophes that an export put there away."""
    for index, cell in enumerate(cells):
        if cell[:1] == "'":
            cells[index] = restore(cell)


def _name(cell: str) -> str:
    return SubscriberName.parse(cell) if cell and not cell.isspace() else ""


def _tags(cell: str) -> tuple[str, ...]:
    if not cell:
        return ()
    return _remembered_tags(cell) if len(cell) <= _CELL_CHARS_REMEMBERED_MAX else tuple(read_tags(cell))


def _value(type_: AttributeType, cell: str, seen: dict[str, AttributeValue]) -> AttributeValue:
    """Remembered: towns, ages, yes and no; most columns have few values."""
    value = parse_value(type_, cell)
    if len(seen) < _CELLS_REMEMBERED_MAX and len(cell) <= _CELL_CHARS_REMEMBERED_MAX:
        seen[cell] = value
    return value


@lru_cache(maxsize=_CELLS_REMEMBERED_MAX)
def _remembered_tags(cell: str) -> tuple[str, ...]:
    return tuple(read_tags(cell))


def _state(cell: str) -> State | None:
    word = cell.strip().lower()
    if not word:
        return None
    state = _STATES.get(word)
    if state is None:
        raise ValueError("The state must be confirmed, pending or unsubscribed.")
    return state
