"""A value that is none of a choice is answered with the choice, on every route that has one."""

import re
from collections.abc import Iterator
from typing import Any

from harness.system import System

BAD = "none-of-these"


def resolved(schema: Any, components: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = components.get(name, schema)
    return found


def choices(schema: Any, components: dict[str, Any]) -> set[str]:
    """The values of a choice of texts, alone or beside null; empty where other texts are allowed too."""
    schema = resolved(schema, components)
    parts = [resolved(part, components) for part in schema.get("oneOf", schema.get("anyOf", [schema]))]
    texts = [part for part in parts if part.get("type") in ("string", ["string", "null"]) or "enum" in part]
    return {value for part in texts for value in part.get("enum", []) if isinstance(value, str)}


def bodies(operation: Any, components: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """The members of an operation's body that are a choice."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = resolved(content.get("schema", {}), components)
    for member, schema in body.get("properties", {}).items():
        if allowed := choices(schema, components):
            yield member, allowed


async def test_every_choice_of_every_route_is_named_when_the_value_is_none_of_it(system: System) -> None:
    document = (await system.api.get("/openapi.json")).json()
    components, tried, silent = document["components"]["schemas"], 0, []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            url = re.sub(r"\{[^}]*\}", "1", path)
            # What is required beside it, so that the choice is what is wrong.
            needed = {
                parameter["name"]: 1
                for parameter in operation.get("parameters", [])
                if parameter["in"] == "query" and parameter.get("required")
            }
            wanted: list[tuple[str, set[str], dict[str, Any]]] = [
                (f"/{parameter['name']}", allowed, {"params": needed | {parameter["name"]: BAD}})
                for parameter in operation.get("parameters", [])
                if parameter["in"] == "query" and (allowed := choices(parameter["schema"], components))
            ]
            wanted += [
                (f"/{member}", allowed, {"json": {member: BAD}}) for member, allowed in bodies(operation, components)
            ]
            for pointer, allowed, given in wanted:
                headers = {"If-Match": "*"} | ({} if "json" in given else {"Content-Type": "text/csv"})
                answer = await system.api.request(method, url, headers=headers, **given)
                errors = {error["pointer"]: error["detail"] for error in answer.json().get("errors", [])}
                said = errors.get(pointer, "")
                tried += 1
                if answer.status_code not in (400, 422) or not all(value in said for value in allowed):
                    silent.append((method, path, pointer, answer.status_code, answer.text))
    assert tried >= 8
    assert silent == []
