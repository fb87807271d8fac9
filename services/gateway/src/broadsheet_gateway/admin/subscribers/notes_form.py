"""What is noted about a person, as a form: name, tags, attributes. Pure."""

import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from broadsheet_gateway.admin.subscribers.asked import Attribute, AttributeValue, Subscriber
from broadsheet_gateway.admin.subscribers.views import AttributeField
from broadsheet_gateway.http.forms import Form

ATTRIBUTES_MAX: Final = 200
FIELDS_MAX: Final = 2 * ATTRIBUTES_MAX + 10
"""Of the form: each attribute has its name and its value."""
_NAME_CHARS_MAX: Final = 20_000
_NUMBER_CHARS_MAX: Final = 60
EXACT_INTEGER_MAX: Final = 2**53
"""Larger ones are not stored exactly, and the service refuses them."""


class TypedNotes(msgspec.Struct, frozen=True):
    """`attributes`: what was typed, by name; None: the form had none."""

    name: str
    tags: str
    attributes: Mapping[str, str] | None = None


def notes_of(person: Subscriber, attributes: Collection[Attribute] | None) -> TypedNotes:
    return TypedNotes(
        person.name,
        "\n".join(person.tags),
        None if attributes is None else {one.name: as_text(person.attributes.get(one.name)) for one in attributes},
    )


def read_notes(form: Form) -> TypedNotes:
    found = {}
    for position in range(1, ATTRIBUTES_MAX + 1):
        name = form.get(f"attribute_{position}_name")
        if name is not None:
            found[name] = form.text(f"attribute_{position}").replace("\r\n", "\n")
    return TypedNotes(form.text("name")[:_NAME_CHARS_MAX], form.text("tags"), found or None)


def fields_of(notes: TypedNotes, attributes: Collection[Attribute]) -> tuple[AttributeField, ...]:
    typed = notes.attributes or {}
    return tuple(
        AttributeField(
            position=position,
            name=one.name,
            label=one.label,
            type=one.type,
            value=typed.get(one.name, ""),
            has_date_picker=_is_day(typed.get(one.name, "")),
        )
        for position, one in enumerate(list(attributes)[:ATTRIBUTES_MAX], start=1)
    )


def changes_of(
    notes: TypedNotes, person: Subscriber, attributes: Collection[Attribute] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The members to change, and the faults by the names of attributes. What was not touched is left out, so that a
    value that the form cannot show exactly stays as it is.
    """
    change: dict[str, Any] = {}
    faults: dict[str, str] = {}
    if notes.name != person.name:
        change["name"] = notes.name
    tags = tags_of(notes.tags)
    if tags != list(person.tags):
        change["tags"] = tags
    values: dict[str, AttributeValue | None] = {}
    for one in attributes or ():
        text = (notes.attributes or {}).get(one.name)
        if text is None or text == as_text(person.attributes.get(one.name)):
            continue
        try:
            values[one.name] = _value(one, text)
        except ValueError as error:
            faults[one.name] = str(error)
    if values:
        change["attributes"] = values
    return change, faults


def tags_of(text: str) -> list[str]:
    lines = (line.strip() for line in text.replace("\r\n", "\n").split("\n"))
    return [line for line in lines if line]


def as_text(value: AttributeValue | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case _:
            return repr(value)


def field_of(pointer: str, fields: Collection[AttributeField]) -> str:
    """The form's field that the API's pointer means."""
    member, _, rest = pointer.strip("/").partition("/")
    if member == "attributes":
        name = rest.partition("/")[0]
        return next((f"attribute_{one.position}" for one in fields if one.name == name), "name")
    return member


def _value(attribute: Attribute, text: str) -> AttributeValue | None:
    """Raises ValueError with a sentence."""
    if not text.strip():
        return None
    match attribute.type:
        case "number":
            return _number(text.strip())
        case "boolean":
            return text == "true"
        case "date":
            return text.strip()
        case "text":
            return text


def _number(text: str) -> int | float:
    if len(text) <= _NUMBER_CHARS_MAX and re.fullmatch(r"[+-]?[0-9]+", text):
        if abs(number := int(text)) > EXACT_INTEGER_MAX:
            raise ValueError("The number is too large.")
        return number
    if len(text) <= _NUMBER_CHARS_MAX and re.fullmatch(r"[+-]?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]{1,3})?", text):
        return float(text)
    raise ValueError("Type a number, with a dot before its fraction.")


def _is_day(text: str) -> bool:
    """Whether a date picker would show it; it would drop anything else."""
    if not text:
        return True
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
