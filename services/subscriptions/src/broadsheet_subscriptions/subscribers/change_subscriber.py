"""What an author may change on a subscriber: name, attributes, tags. Addresses and subscriptions belong to the
person.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.attributes.attribute import (
    TAGS_MAX,
    AttributeType,
    AttributeValue,
    is_attribute_name,
    parse_tag,
    read_value,
)
from broadsheet_subscriptions.attributes.interface import hold_attributes
from broadsheet_subscriptions.subscribers import store
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName


class Notes(msgspec.Struct, frozen=True):
    """Valid values of existing attributes. None: no change. An attribute that is None loses its value."""

    name: SubscriberName | None
    attributes: dict[str, AttributeValue | None]
    tags: tuple[str, ...] | None

    @property
    def are_empty(self) -> bool:
        return self.name is None and not self.attributes and self.tags is None


async def read_notes(
    connection: AsyncConnection,
    *,
    name: str | None = None,
    attributes: Mapping[str, object] | None = None,
    tags: Sequence[str] | None = None,
) -> Notes:
    """Locks the attributes, so that none is removed before the transaction ends.

    Raises `InvalidInputError` that names every fault.
    """
    types = await hold_named(connection, attributes or {})
    return check_notes(types, name=name, attributes=attributes, tags=tags)


async def hold_named(connection: AsyncConnection, names: Collection[str]) -> dict[str, AttributeType]:
    """The types of the attributes of these names, locked, so that none is removed before the transaction ends."""
    return await hold_attributes(connection, set(filter(is_attribute_name, names))) if names else {}


def check_notes(
    types: Mapping[str, AttributeType],
    *,
    name: str | None = None,
    attributes: Mapping[str, object] | None = None,
    tags: Sequence[str] | None = None,
) -> Notes:
    """As `read_notes`, with the types of the attributes that exist."""
    problems: list[FieldProblem] = []
    notes = Notes(_name(name, problems), _attributes(attributes or {}, types, problems), _tags(tags, problems))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return notes


async def change_subscriber(connection: AsyncConnection, subscriber_id: int, notes: Notes) -> None:
    """Runs in the caller's transaction, which has locked the subscriber."""
    await change_subscribers(connection, {subscriber_id: notes})


async def change_subscribers(connection: AsyncConnection, notes_by_id: Mapping[int, Notes]) -> None:
    """As `change_subscriber`, for any number of them in one statement."""
    changes = [
        store.DetailsChange(subscriber_id, notes.name, notes.attributes, notes.tags)
        for subscriber_id, notes in notes_by_id.items()
        if not notes.are_empty
    ]
    if changes:
        await store.set_details(connection, changes)


def _name(raw: str | None, problems: list[FieldProblem]) -> SubscriberName | None:
    if raw is None:
        return None
    try:
        return SubscriberName.parse(raw)
    except ValueError as error:
        problems.append(FieldProblem(pointer="/name", detail=str(error)))
        return None


def _attributes(
    given: Mapping[str, object], types: Mapping[str, AttributeType], problems: list[FieldProblem]
) -> dict[str, AttributeValue | None]:
    read: dict[str, AttributeValue | None] = {}
    for name, value in given.items():
        type_ = types.get(name)
        if type_ is None:
            # An invalid name may contain anything, so the answer does not repeat it.
            pointer = f"/attributes/{name}" if is_attribute_name(name) else "/attributes"
            problems.append(FieldProblem(pointer=pointer, detail="There is no such attribute."))
            continue
        try:
            read[name] = None if value is None else read_value(type_, value)
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/attributes/{name}", detail=str(error)))
    return read


def _tags(given: Sequence[str] | None, problems: list[FieldProblem]) -> tuple[str, ...] | None:
    """Each tag once, in the order of first appearance."""
    if given is None:
        return None
    if len(given) > TAGS_MAX:
        problems.append(FieldProblem(pointer="/tags", detail=f"A subscriber may have at most {TAGS_MAX} tags."))
        return None
    found: dict[str, None] = {}
    for position, raw in enumerate(given):
        try:
            found[parse_tag(raw)] = None
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/tags/{position}", detail=str(error)))
    return tuple(found)
