"""Reads one row of a file as a person, or says why it cannot, pure. This runs a million times per file, so whatever
can be computed once is.

A row is rejected only if its address, or a cell that says whether the person may be written to, cannot be read.
Any other unreadable cell is left out, and a note says in which column, how often and why.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, cast

import msgspec

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import TAGS_MAX, AttributeType, AttributeValue, parse_cell, parse_tag
from broadsheet_subscriptions.imports.reading.column import ATTRIBUTE_PREFIX, KnownAttribute, Mapping_
from broadsheet_subscriptions.imports.reading.opt_out_cell import MEANINGS, Meaning, read_state
from broadsheet_subscriptions.imports.reading.record import error_in_cell
from broadsheet_subscriptions.subscribers.spreadsheet_cell import restore
from broadsheet_subscriptions.subscribers.subscriber_name import clean_name
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.tag_cell import CELL_CHARS_MAX, tag_words

_CELLS_REMEMBERED_MAX: Final = 4096
_CELL_CHARS_REMEMBERED_MAX: Final = 200
RANK: Final[dict[State, int]] = {"unsubscribed": 0, "pending": 1, "confirmed": 2}
"""Orders the states, the most restrictive first. If several cells give a state, the most restrictive one counts."""


class ImportedPerson(msgspec.Struct, frozen=True):
    """`name` may be blank; `state` None: the state that the import gives."""

    email: EmailAddress
    name: str
    attributes: dict[str, AttributeValue]
    tags: tuple[str, ...]
    state: State | None


class RejectedRowError(Exception):
    """The row cannot be read as a person. The message names the column at fault. `email_key`: its address, if it has
    one.
    """

    def __init__(self, reason: str, email_key: str | None = None) -> None:
        super().__init__(reason)
        self.email_key = email_key


class RowReader:
    """Reads the rows of one file. `notes`: for the row that was read last, the columns whose cells could not be
    read, and why.
    """

    def __init__(
        self,
        titles: Sequence[str],
        mapping: Mapping_,
        attributes: Sequence[KnownAttribute],
        *,
        newsletter_id: int,
    ) -> None:
        types = {attribute.name: attribute.type for attribute in attributes}
        targets = [(index, target) for index, title in enumerate(titles) if (target := mapping.get(title)) is not None]
        places = {target: index for index, target in targets if target not in MEANINGS}
        self.notes: list[tuple[str, str]] = []
        self._titles = titles
        self._width = len(titles)
        self._newsletter_id = newsletter_id
        self._email = places["email"]
        self._name = places.get("name")
        self._name_parts = [places[part] for part in ("first_name", "last_name") if part in places]
        self._tags = places.get("tags")
        self._states = [(index, cast("Meaning", target)) for index, target in targets if target in MEANINGS]
        self._attributes: list[tuple[int, str, AttributeType, dict[str, AttributeValue]]] = [
            (index, name, types[name], {})
            for target, index in places.items()
            # An attribute that was removed since the run began is not read any more.
            if (name := target.removeprefix(ATTRIBUTE_PREFIX)) != target and name in types
        ]

    def read(self, cells: list[str]) -> ImportedPerson:
        """Raises `RejectedRowError`."""
        width = self._width
        if self.notes:
            self.notes = []
        if len(cells) != width:
            if len(cells) > width and any(cells[width:]):
                raise RejectedRowError(f"The row has {len(cells)} cells, the first row {width}.")
            cells = (cells + [""] * width)[:width]
        try:
            email = EmailAddress.parse(cells[self._email])
        except ValueError as error:
            reason = error_in_cell(cells[self._email]) or error
            raise RejectedRowError(f"{self._titles[self._email]}: {reason}") from error
        state = self._read_state(cells, email) if self._states else None
        name = self._read_name(cells)
        attributes = self._read_attributes(cells) if self._attributes else {}
        tags: tuple[str, ...] = ()
        if self._tags is not None and (cell := cells[self._tags]):
            tags, fault = _remembered_tags(cell) if len(cell) <= _CELL_CHARS_REMEMBERED_MAX else _tags(cell)
            if fault is not None:
                self._note(self._tags, fault)
        return ImportedPerson(email, name, attributes, tags, state)

    def _read_attributes(self, cells: list[str]) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {}
        for index, attribute, type_, seen in self._attributes:
            cell = cells[index]
            if cell in seen:
                attributes[attribute] = seen[cell]
            elif cell and (type_ == "text" or not cell.isspace()):
                try:
                    attributes[attribute] = _value(type_, cell, seen)
                except ValueError as error:
                    self._note(index, str(error))
        return attributes

    def note_tags(self, reason: str) -> None:
        """Adds a note about the tags of the row that was read last, for a fault that appears only together with
        added tags.
        """
        if self._tags is not None:
            self._note(self._tags, reason)

    def _note(self, index: int, reason: str) -> None:
        self.notes.append((self._titles[index], reason))

    def _read_state(self, cells: list[str], email: EmailAddress) -> State | None:
        least: State | None = None
        for index, meaning in self._states:
            cell = cells[index]
            if not cell:
                continue
            try:
                if cell[0] in "\0#" and (fault := error_in_cell(cell)):
                    raise ValueError(fault)  # rejects the row, as an unknown word does
                state = read_state(meaning, cell, self._newsletter_id)
            except ValueError as error:
                raise RejectedRowError(f"{self._titles[index]}: {error}", email.key) from error
            if state is not None and (least is None or RANK[state] < RANK[least]):
                least = state
        return least

    def _read_name(self, cells: list[str]) -> str:
        if self._name is not None:
            return self._name_of(self._name, cells[self._name])
        parts = [part for index in self._name_parts if (part := self._name_of(index, cells[index]))]
        if len(parts) < 2:  # noqa: PLR2004  # nothing to join
            return parts[0] if parts else ""
        try:
            return clean_name(" ".join(parts))
        except ValueError as error:
            self._note(self._name_parts[0], str(error))
            return ""

    def _name_of(self, index: int, cell: str) -> str:
        if not cell:
            return ""
        try:
            if cell[0] in "\0#" and (fault := error_in_cell(cell)):
                raise ValueError(fault)  # noted, as a name that is too long is
            return clean_name(cell)
        except ValueError as error:
            self._note(index, str(error))
            return ""


def restore_cells(cells: list[str]) -> None:
    """Removes the apostrophes that an export has added."""
    for index, cell in enumerate(cells):
        if cell[:1] == "'":
            cells[index] = restore(cell)


def _value(type_: AttributeType, cell: str, seen: dict[str, AttributeValue]) -> AttributeValue:
    """Cached, since most columns have few different values: towns, ages, yes and no."""
    if cell[0] in "\0#" and (fault := error_in_cell(cell)):
        raise ValueError(fault)
    value = parse_cell(type_, cell)
    if len(seen) < _CELLS_REMEMBERED_MAX and len(cell) <= _CELL_CHARS_REMEMBERED_MAX:
        seen[cell] = value
    return value


def _tags(cell: str) -> tuple[tuple[str, ...], str | None]:
    """The tags that can be read, and what is wrong with the others (None: nothing)."""
    if cell[0] in "\0#" and (fault := error_in_cell(cell)):
        return (), fault
    if len(cell) > CELL_CHARS_MAX:
        return (), f"There may be at most {TAGS_MAX} tags."
    fault = None
    tags: dict[str, None] = {}
    for word in tag_words(cell):
        try:
            tags[parse_tag(word)] = None
        except ValueError as error:
            fault = str(error)
    if len(tags) > TAGS_MAX:
        return (), f"There may be at most {TAGS_MAX} tags."
    return tuple(tags), fault


@lru_cache(maxsize=_CELLS_REMEMBERED_MAX)
def _remembered_tags(cell: str) -> tuple[tuple[str, ...], str | None]:
    return _tags(cell)
