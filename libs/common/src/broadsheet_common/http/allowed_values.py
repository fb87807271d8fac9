"""Adds the allowed values to an error message about an invalid choice.

msgspec says `Invalid enum value 'x'` and where, but not which values would be valid.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

_IS_ABOUT_A_CHOICE = re.compile(r"Invalid (enum )?value ")
_PLACE = re.compile(r"^(?P<detail>.*) - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def with_allowed_values(detail: str, type_: Any, steps: Sequence[str] = ()) -> str:
    """The message, followed by the allowed values if it is about a choice.

    `type_` is the type that was decoded, `steps` the path from there to the invalid value: a field's name, an
    index, or `...` for any key of a map. The message stays unchanged if there is no choice at that place.
    """
    if not _IS_ABOUT_A_CHOICE.match(detail):
        return detail
    allowed = list(dict.fromkeys(_values_at(inspect.type_info(type_), list(steps))))
    return f"{detail}; allowed: {', '.join(allowed)}" if allowed else detail


def explain(error: msgspec.ValidationError, type_: Any) -> str:
    """Msgspec's message about a value of this type, with the allowed values and the place of the fault in the value."""
    detail, place = explain_apart(error, type_)
    return f"{detail} - at `${place}`" if place else detail


def explain_apart(error: msgspec.ValidationError, type_: Any) -> tuple[str, str]:
    """As `explain`: the message, and the place as msgspec writes it, without its `$`; empty for the value itself."""
    text = str(error)
    placed = _PLACE.match(text)
    if placed is None:
        return with_allowed_values(text, type_), ""
    steps = [name or index for name, index in _STEP.findall(placed["path"])]
    return with_allowed_values(placed["detail"], type_, steps), placed["path"]


def _values_at(info: inspect.Type, steps: list[str]) -> Iterator[str]:
    match info:
        case inspect.Metadata():
            yield from _values_at(info.type, steps)
        case inspect.UnionType():
            for member in info.types:
                yield from _values_at(member, steps)
        case inspect.LiteralType() if not steps:
            yield from (f"`{value}`" for value in info.values)
        case inspect.EnumType() if not steps:
            yield from (f"`{member.value}`" for member in info.cls)
        case inspect.StructType() if steps == [info.tag_field]:
            yield f"`{info.tag}`"
        case _ if steps:
            for inner in _one_step_into(info, steps[0]):
                yield from _values_at(inner, steps[1:])
        case _:
            pass


def _one_step_into(info: inspect.Type, step: str) -> list[inspect.Type]:
    match info:
        case inspect.StructType():
            return [field.type for field in info.fields if field.encode_name == step]
        case inspect.ListType() | inspect.SetType() | inspect.FrozenSetType() | inspect.VarTupleType():
            return [info.item_type]
        case inspect.DictType():
            return [info.value_type]
        case _:
            return []
