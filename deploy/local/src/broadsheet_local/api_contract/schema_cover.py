"""Whether one JSON Schema takes everything that another allows, and where it does not. Pure.

Enough of JSON Schema for our own documents: types, alternatives, enumerations, bounds, patterns, objects, arrays and
maps. A keyword that is not known here is not compared.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

Schema = Mapping[str, Any]

_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SAME: Final = ("pattern", "format")
_DEPTH_MAX: Final = 40


class Gap(msgspec.Struct, frozen=True, order=True):
    """`place` is the path of members from the schema; `kind` is a short name of what does not fit."""

    place: str
    kind: str
    detail: str


class Cover:
    """Compares schemas of two documents. `wide` and `narrow` hold the components of either."""

    def __init__(self, wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> None:
        self._wide = wide
        self._narrow = narrow
        self._under_way: set[tuple[str, str]] = set()

    def gaps(self, wide: Schema, narrow: Schema, place: str = "") -> list[Gap]:
        """Where `wide` refuses something that `narrow` allows; none if it takes everything."""
        pair = (str(wide.get("$ref", "")), str(narrow.get("$ref", "")))
        if pair in self._under_way or place.count(".") > _DEPTH_MAX:
            return []  # a schema within itself: it is compared where it stands first
        is_named = any(pair)
        if is_named:
            self._under_way.add(pair)
        try:
            return list(self._by_alternative(wide, narrow, place))
        finally:
            if is_named:
                self._under_way.discard(pair)

    def _by_alternative(self, wide: Schema, narrow: Schema, place: str) -> Iterator[Gap]:
        offered = list(alternatives(wide, self._wide))
        for wanted in alternatives(narrow, self._narrow):
            found = [self._one(one, wanted, place) for one in offered]
            # The alternative of the same type is the one that was meant.
            yield from min(
                found, key=lambda gaps: (any(gap.kind == "type" and gap.place == place for gap in gaps), len(gaps))
            )

    def _one(self, wide: Schema, narrow: Schema, place: str) -> list[Gap]:
        if not _takes_type(wide, narrow):
            said = f"{narrow.get('type', 'anything')}, where {wide.get('type', 'anything')} is taken"
            return [Gap(place, "type", said)]
        return [
            *_enumerations(wide, narrow, place),
            *_bounds(wide, narrow, place),
            *self._members(wide, narrow, place),
            *self._elements(wide, narrow, place),
        ]

    def _members(self, wide: Schema, narrow: Schema, place: str) -> Iterator[Gap]:
        wide_members, narrow_members = wide.get("properties", {}), narrow.get("properties", {})
        for name in wide.get("required", []):
            if name not in narrow.get("required", []):
                yield Gap(f"{place}.{name}", "required", "it is required, and may be missing")
        for name, member in narrow_members.items():
            if name in wide_members:
                yield from self.gaps(wide_members[name], member, f"{place}.{name}")
        wide_rest, narrow_rest = wide.get("additionalProperties", {}), narrow.get("additionalProperties", {})
        if wide_rest is False:
            if narrow_rest is not False:
                yield Gap(place, "closed", "other members are refused")
        elif isinstance(wide_rest, Mapping) and isinstance(narrow_rest, Mapping) and wide_rest:
            yield from self.gaps(wide_rest, narrow_rest, f"{place}.*")

    def _elements(self, wide: Schema, narrow: Schema, place: str) -> Iterator[Gap]:
        if "items" in wide and narrow.get("type") == "array":
            yield from self.gaps(wide["items"], narrow.get("items", {}), f"{place}[]")
        if wide.get("uniqueItems") and not narrow.get("uniqueItems"):
            yield Gap(place, "bound", "uniqueItems")


def alternatives(schema: Schema, components: Mapping[str, Any]) -> Iterator[Schema]:
    """The schema as schemas without references at their top, alternatives, or more than one type."""
    reference = schema.get("$ref")
    if reference is not None:
        yield from alternatives(components.get(str(reference).rpartition("/")[2], {}), components)
        return
    for keyword in ("oneOf", "anyOf"):
        if schema.get(keyword):
            rest = {name: value for name, value in schema.items() if name != keyword}
            for choice in schema[keyword]:
                for one in alternatives(choice, components):
                    yield one if one.get("type") == "null" else {**rest, **one}
            return
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        yield schema
        return
    for kind in kinds:
        one = {**schema, "type": kind}
        if "enum" in schema:
            one["enum"] = [value for value in schema["enum"] if (value is None) == (kind == "null")]
        yield one


def _takes_type(wide: Schema, narrow: Schema) -> bool:
    wide_type, narrow_type = _type(wide), _type(narrow)
    return wide_type in {None, narrow_type} or (wide_type, narrow_type) == ("number", "integer")


def _type(schema: Schema) -> str | None:
    kind = schema.get("type")
    return "object" if kind is None and "properties" in schema else kind


def _enumerations(wide: Schema, narrow: Schema, place: str) -> Iterator[Gap]:
    taken = _values(wide)
    if taken is None:
        return
    wanted = _values(narrow)
    if wanted is None:
        yield Gap(place, "enum", f"any value, where only {taken} are taken")
    else:
        for value in wanted:
            if value not in taken:
                yield Gap(place, "enum", f"the value {value!r}")


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _bounds(wide: Schema, narrow: Schema, place: str) -> Iterator[Gap]:
    for name in _UPPER:
        if name in wide and (name not in narrow or narrow[name] > wide[name]):
            yield Gap(place, "bound", f"{name} is {wide[name]}")
    for name in _LOWER:
        if name in wide and (name not in narrow or narrow[name] < wide[name]):
            yield Gap(place, "bound", f"{name} is {wide[name]}")
    for name in _SAME:
        if name in wide and wide[name] != narrow.get(name):
            yield Gap(place, name, f"{name} is {wide[name]}")
