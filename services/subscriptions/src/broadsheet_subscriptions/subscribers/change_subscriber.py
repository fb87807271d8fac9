"""What an author notes of a subscriber: name, attributes, tags. Addresses and subscriptions are the person's own."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.attributes import store as attribute_store
from broadsheet_subscriptions.attributes.attribute import (
    TAGS_MAX,
    AttributeType,
    AttributeValue,
    is_attribute_name,
    parse_tag,
    read_value,
)
from broadsheet_subscriptions.subscribers import store
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName


class Notes(msgspec.Struct, frozen=True):
    """Valid, and of attributes that there are; None: leave it. An attribute's None takes its value away."""

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
    """Holds the attributes: none of them is removed before the transaction ends.

    Raises `InvalidInputError` that names every fault.
    """
    problems: list[FieldProblem] = []
    given = attributes or {}
    types = await attribute_store.hold_attributes(connection, filter(is_attribute_name, given)) if given else {}
    notes = Notes(_name(name, problems), _attributes(given, types, problems), _tags(tags, problems))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return notes


async def change_subscriber(connection: AsyncConnection, subscriber_id: int, notes: Notes) -> None:
    """In the caller's transaction, which holds the subscriber."""
    if not notes.are_empty:
        await store.set_details(
            connection, subscriber_id, name=notes.name, attributes=notes.attributes, tags=notes.tags
        )


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
            # A name that is none may hold anything, and is not repeated.
            pointer = f"/attributes/{name}" if is_attribute_name(name) else "/attributes"
            problems.append(FieldProblem(pointer=pointer, detail="There is no such attribute."))
            continue
        try:
            read[name] = None if value is None else read_value(type_, value)
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/attributes/{name}", detail=str(error)))
    return read


def _tags(given: Sequence[str] | None, problems: list[FieldProblem]) -> tuple[str, ...] | None:
    """Each once, in the order of the first."""
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
