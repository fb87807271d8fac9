"""Examples for the API document: an answer that fits its schema, with values that a reader understands. Pure.

Values come from `example_values.toml`, by `Schema.member` or by the member's name, where they fit the member's type;
else from the schema itself. Members in its list `null` show null, where they may.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

Schema = Mapping[str, Any]

_REFERENCE = "#/components/schemas/"
_DEPTH_MAX = 12
_MOMENT = "2026-05-04T08:30:00Z"
_BY_FORMAT: Mapping[str, str] = {
    "date-time": _MOMENT,
    "date": str(date(2026, 5, 4)),
    "uuid": "0199a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b",
    "email": "ada@example.com",
    "uri": "https://example.com/",
}
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class ExampleMaker:
    """`schemas` are the document's components, `values` those of the table."""

    def __init__(self, schemas: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._values = values
        self._null = frozenset(values.get("null", ()))

    def make(self, schema: Schema) -> Any:
        """A value that fits; None if the schema allows anything."""
        return self._make(schema, "", "", 0)

    def _make(self, schema: Schema, owner: str, member: str, depth: int) -> Any:
        """`owner` is the name of the schema that `member` belongs to."""
        owner, schema = self._resolved(schema, owner)
        if "const" in schema:
            return schema["const"]
        if member in self._null and _may_be_null(schema):
            return None
        for key in (f"{owner}.{member}", member):
            if key in self._values and self._fits(self._values[key], schema):
                return self._values[key]
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            first = next((one for one in choices if one.get("type") != "null"), choices[0])
            return self._make({**_without(schema, "oneOf", "anyOf"), **first}, owner, member, depth)
        if "enum" in schema:
            return next((one for one in schema["enum"] if one is not None), None)
        return self._of_type(schema, owner, member, depth)

    def _of_type(self, schema: Schema, owner: str, member: str, depth: int) -> Any:
        match _types(schema):
            case ["object", *_]:
                return self._object(schema, owner, depth)
            case ["array", *_]:
                wanted = 0 if depth >= _DEPTH_MAX else max(1, schema.get("minItems", 0))
                return [self._make(schema.get("items", {}), owner, member, depth + 1) for _ in range(wanted)]
            case ["string", *_]:
                return _text(schema)
            case ["integer" | "number" as kind, *_]:
                lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0))
                return int(lowest) if kind == "integer" else lowest
            case ["boolean", *_]:
                return schema.get("default", True)
            case _:
                return None

    def _object(self, schema: Schema, owner: str, depth: int) -> dict[str, Any]:
        if depth >= _DEPTH_MAX:
            return {}
        return {
            name: self._make(member, owner, name, depth + 1) for name, member in schema.get("properties", {}).items()
        }

    def _resolved(self, schema: Schema, owner: str) -> tuple[str, Schema]:
        reference = schema.get("$ref")
        if reference is None:
            return owner, schema
        name = reference.removeprefix(_REFERENCE)
        return name, self._schemas.get(name, {})

    def _fits(self, value: Any, schema: Schema) -> bool:
        """By type and enumeration, which is all that tells members of one name apart."""
        _, schema = self._resolved(schema, "")
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            return any(self._fits(value, one) for one in choices)
        if "enum" in schema:
            return value in schema["enum"]
        kinds = _types(schema)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return not kinds or (
            any(
                isinstance(value, _PYTHON_TYPES.get(kind, ())) and (is_number or kind not in {"integer", "number"})
                for kind in kinds
            )
            and schema.get("format") in {None, "uri", "email"}
        )


def _may_be_null(schema: Schema) -> bool:
    return any(one.get("type") == "null" for one in schema.get("oneOf", ())) or "null" in _types(schema)


def _types(schema: Schema) -> list[str]:
    """Null last: it says nothing."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if not kinds and "properties" in schema:
        return ["object"]
    return sorted(kinds, key=lambda kind: kind == "null")


def _text(schema: Schema) -> str:
    known = _BY_FORMAT.get(schema.get("format", ""))
    if known is not None:
        return known
    return "text"[: schema.get("maxLength", 4)].ljust(schema.get("minLength", 0), "x")


def _without(schema: Schema, *names: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in names}
