"""JSON Schema (as in OpenAPI 3.1) in words: its type with links, its limits, an example.

The document comes from our own services, but it is treated as data: a member that is missing or malformed is left
out of the page, and every walk through `$ref`s and nested schemas has a bound.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_REFERENCE_HOPS_MAX = 8
_EXAMPLE_DEPTH_MAX = 8
_EXAMPLE_VALUES_MAX = 400
_LIMIT_SHOWN_BELOW = 2**53
"""Larger ones say only how wide a column is; as JSON numbers they would be rounded besides."""

_FORMAT_EXAMPLES = {
    "email": "reader@example.com",
    "idn-email": "reader@example.com",
    "date-time": "2026-01-31T09:00:00Z",
    "date": "2026-01-31",
    "uuid": "018f3c1e-0000-7000-8000-000000000000",
    "uri": "https://news.example.com/",
    "binary": "…",
}
_TYPE_EXAMPLES: Mapping[str, Any] = {"string": "string", "integer": 1, "number": 1.5, "boolean": True, "null": None}


class TypePart(msgspec.Struct, frozen=True):
    """A piece of a type's description; with an anchor when it names a schema on the page."""

    text: str
    anchor: str = ""


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """A member of an object, or a parameter (`location`: path, query, header, cookie)."""

    name: str
    type: tuple[TypePart, ...]
    required: bool
    description: str
    limits: tuple[str, ...]
    location: str = ""


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


class SchemaReader:
    """Reads the schemas of one document. `places` gives each component schema's name and anchor on the page."""

    def __init__(self, document: Mapping[str, Any], places: Mapping[str, TypePart]) -> None:
        self._document = document
        self._places = places

    def resolve(self, node: object) -> Mapping[str, Any]:
        """The object that `node` is or refers to (`#/…` only); empty for a dangling or circular reference."""
        found = mapping(node)
        for _ in range(_REFERENCE_HOPS_MAX):
            reference = found.get("$ref")
            if not isinstance(reference, str):
                return found
            target: object = self._document if reference.startswith("#/") else None
            for step in reference.removeprefix("#/").split("/"):
                target = mapping(target).get(step.replace("~1", "/").replace("~0", "~"))
            found = mapping(target)
        return {}

    def describe(self, node: object) -> tuple[TypePart, ...]:
        """`string`, `array of Issue`, `integer or null`, …"""
        schema = mapping(node)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            name = reference.rpartition("/")[2]
            return (self._places.get(name, TypePart(name)),)
        for keyword, joint in (("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")):
            choices = sequence(schema.get(keyword))
            if choices:
                return _join([self.describe(choice) for choice in choices], joint)
        kinds = schema.get("type")
        if isinstance(kinds, str):
            return self._describe_kind(kinds, schema)
        if sequence(kinds):
            return _join([self._describe_kind(str(kind), schema) for kind in sequence(kinds)], " or ")
        if "const" in schema or "enum" in schema:
            return (TypePart("value"),)
        return (TypePart("any"),)

    def _describe_kind(self, kind: str, schema: Mapping[str, Any]) -> tuple[TypePart, ...]:
        if kind == "array":
            return (TypePart("array of "), *self.describe(schema.get("items")))
        if kind == "object" and mapping(schema.get("additionalProperties")):
            return (TypePart("map of string to "), *self.describe(schema["additionalProperties"]))
        form = schema.get("format")
        return (TypePart(f"{kind} ({form})" if isinstance(form, str) and kind == "string" else kind),)

    def limits(self, node: object) -> tuple[str, ...]:
        """What a value must also obey, one phrase each."""
        schema = self.resolve(node)
        found = []
        if sequence(schema.get("enum")):
            found.append("one of " + ", ".join(_json_text(value) for value in schema["enum"]))
        if "const" in schema:
            found.append("always " + _json_text(schema["const"]))
        for keyword, phrase in (
            ("minLength", "at least {} characters"),
            ("maxLength", "at most {} characters"),
            ("minimum", "at least {}"),
            ("exclusiveMinimum", "more than {}"),
            ("maximum", "at most {}"),
            ("exclusiveMaximum", "less than {}"),
            ("minItems", "at least {} items"),
            ("maxItems", "at most {} items"),
        ):
            limit = schema.get(keyword)
            if isinstance(limit, int | float) and abs(limit) < _LIMIT_SHOWN_BELOW:
                text = phrase.format(int(limit) if limit == int(limit) else limit)
                found.append(text.removesuffix("s") if limit == 1 else text)
        if isinstance(schema.get("pattern"), str):
            found.append("matches " + schema["pattern"])
        if schema.get("default") is not None:
            found.append("default " + _json_text(schema["default"]))
        return tuple(found)

    def properties(self, node: object) -> tuple[Property, ...]:
        """The members of an object schema, those of its `allOf` parts too."""
        schema = self.resolve(node)
        found: dict[str, Property] = {}
        for part in (*(self.resolve(part) for part in sequence(schema.get("allOf"))), schema):
            required = sequence(part.get("required"))
            for name, member in mapping(part.get("properties")).items():
                found[name] = Property(
                    name=name,
                    type=self.describe(member),
                    required=name in required,
                    description=text_of(mapping(member).get("description")),
                    limits=self.limits(member),
                )
        return tuple(found.values())

    def example(self, node: object) -> object:
        """A value that fits: the document's own example if it has one, else one made from the types."""
        return _ExampleMaker(self).make(node, depth=0)

    def members(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The schemas of an object's members by name, those of its `allOf` parts too."""
        parts = (*(self.resolve(part) for part in sequence(schema.get("allOf"))), schema)
        return {name: member for part in parts for name, member in mapping(part.get("properties")).items()}


class _ExampleMaker:
    """Makes one example. Schemas may refer to themselves and to each other: depth and number of values have a bound."""

    def __init__(self, reader: SchemaReader) -> None:
        self._reader = reader
        self._values_left = _EXAMPLE_VALUES_MAX

    def make(self, node: object, *, depth: int) -> object:
        self._values_left -= 1
        if depth > _EXAMPLE_DEPTH_MAX or self._values_left <= 0:
            return None
        schema = self._reader.resolve(node)
        for keyword in ("example", "default", "const"):
            if schema.get(keyword) is not None:
                return schema[keyword]
        for keyword in ("examples", "enum"):
            if sequence(schema.get(keyword)):
                first = schema[keyword][0]
                # An OpenAPI Example Object rather than a value, as Litestar writes them.
                return first["value"] if isinstance(first, Mapping) and "value" in first else first
        for keyword in ("oneOf", "anyOf"):
            choices = [choice for choice in sequence(schema.get(keyword)) if mapping(choice).get("type") != "null"]
            if choices:
                return self.make(choices[0], depth=depth + 1)
        return self._of_kind(schema, depth)

    def _of_kind(self, schema: Mapping[str, Any], depth: int) -> object:
        kinds = schema.get("type")
        kind = kinds if isinstance(kinds, str) else next((str(k) for k in sequence(kinds) if k != "null"), "")
        members = self._reader.members(schema)
        if kind == "object" or members:
            return {name: self.make(member, depth=depth + 1) for name, member in members.items()}
        if kind == "array":
            return [self.make(schema.get("items"), depth=depth + 1)]
        if kind == "string":
            return _FORMAT_EXAMPLES.get(str(schema.get("format")), "string")
        return _TYPE_EXAMPLES.get(kind)


def text_of(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def json_pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _join(parts: list[tuple[TypePart, ...]], joint: str) -> tuple[TypePart, ...]:
    joined: list[TypePart] = []
    for part in parts:
        if joined:
            joined.append(TypePart(joint))
        joined.extend(part)
    return tuple(joined)
