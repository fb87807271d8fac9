"""What the API document must have beyond what OpenAPI asks for. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

Document = Mapping[str, Any]

METHODS = ("get", "put", "post", "delete", "patch")
ALWAYS_ANSWERED = ("400", "401", "403", "429", "500", "503", "504")
_ID = re.compile(r"[a-z]+([A-Z][a-z]*){0,5}")
_SCHEMA_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
_PROBLEM = "application/problem+json"
_FIRST_ERROR = "400"
_LONGEST_SUMMARY = 110

OPEN_MAPS = frozenset({
    "CountInput.filter", "Segment.filter", "SegmentChange.filter", "SegmentInput.filter", "SubscriberSearch.filter",
    "SubscriberChange.attributes", "SubscriberInput.attributes", "ChangeById.attributes", "PersonalData.records",
    "ShownEntry.before", "ShownEntry.after",
})  # fmt: skip
"""Members that may hold anything by intent: trees, values whose types the installation defines itself, and what
an entry of the audit log says, which depends on its action.
"""

WITHOUT_MEMBERS = frozenset({"EraseInput"})
"""Bodies that are `{}`: they are sent so that nothing happens by a request without a body."""


def operations(document: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """As `GET /path`."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def find_faults(document: Document) -> list[str]:
    """One line a fault, with its place."""
    return [
        *(f"{name}: {fault}" for name, operation in operations(document) for fault in _operation(operation, document)),
        *_ids(document),
        *_schemas(document),
        *_tags(document),
    ]


def resolved(node: Mapping[str, Any], document: Document) -> Mapping[str, Any]:
    """What a reference leads to; the node itself if it is none."""
    while "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _operation(operation: Mapping[str, Any], document: Document) -> Iterator[str]:
    if not _ID.fullmatch(operation.get("operationId", "")):
        yield f"the operationId {operation.get('operationId')!r} is no name that a person would give"
    summary = operation.get("summary", "")
    if not 1 <= len(summary) <= _LONGEST_SUMMARY or summary.endswith("."):
        yield f"the summary is missing, ends with a full stop or is longer than {_LONGEST_SUMMARY} characters"
    own = operation.get("description", "").partition("Needs the scope")[0].strip()
    if not own.endswith((".", ")", ":", "`", "?")):
        yield "there is no description, or it is no sentence (api_docs/operations.toml)"
    if len(operation.get("tags", [])) != 1:
        yield "it needs one tag"
    if not any(scopes for requirement in operation.get("security", []) for scopes in requirement.values()):
        yield "no guard names the scope that it needs"
    yield from _body(operation, document)
    yield from _answers(operation, document)


def _body(operation: Mapping[str, Any], document: Document) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return
    examples = {media_type: one["example"] for media_type, one in content.items() if "example" in one}
    if not examples:
        yield "the request has no example (api_docs/operations.toml)"
    for media_type, example in examples.items():
        yield from (f"the request's example: {fault}" for fault in _misfits(content[media_type], example, document))


def _answers(operation: Mapping[str, Any], document: Document) -> Iterator[str]:
    answers = {status: resolved(answer, document) for status, answer in operation["responses"].items()}
    for status in ALWAYS_ANSWERED:
        if status not in answers:
            yield f"the answer {status} is not documented"
    if "requestBody" in operation and not {"408", "413", "415"} <= set(answers):
        yield "it has a body, and 408, 413 or 415 is not documented"
    for status, answer in answers.items():
        yield from (f"the answer {status} {fault}" for fault in _answer(status, answer, document))
    shown = [answer["content"].get(_PROBLEM, {}) for answer in answers.values() if "content" in answer]
    types = {_value(one, document)["type"] for content in shown for one in content.get("examples", {}).values()}
    if set(operation.get("x-problem-types", [])) != types:
        yield "`x-problem-types` does not name the types of its answers"


def _answer(status: str, answer: Mapping[str, Any], document: Document) -> Iterator[str]:
    content = answer.get("content", {})
    if not answer.get("description"):
        yield "has no description"
    if "RateLimit" not in answer.get("headers", {}):
        yield "has no `RateLimit`"
    if status < _FIRST_ERROR:
        for media_type, one in content.items():
            yield from (f"as {media_type}: {fault}" for fault in _success(one, document))
    elif list(content) != [_PROBLEM]:
        yield "is no problem"


def _success(content: Mapping[str, Any], document: Document) -> Iterator[str]:
    if "example" in content:
        yield from _misfits(content, content["example"], document)
    elif content.get("examples"):
        for one in content["examples"].values():
            yield from _misfits(content, _value(one, document), document)
    else:
        yield "it has no example"


def _value(example: Mapping[str, Any], document: Document) -> Any:
    return resolved(example, document)["value"]


def _misfits(content: Mapping[str, Any], example: Any, document: Document) -> Iterator[str]:
    validator = Draft202012Validator({**content["schema"], "components": document["components"]})
    for error in validator.iter_errors(example):
        yield f"it does not fit its schema at {error.json_path}: {error.message[:200]}"


def _ids(document: Document) -> Iterator[str]:
    seen: set[str] = set()
    for name, operation in operations(document):
        operation_id = operation.get("operationId", "")
        if operation_id in seen:
            yield f"{name}: the operationId {operation_id} stands twice"
        seen.add(operation_id)


def _tags(document: Document) -> Iterator[str]:
    described = {tag["name"] for tag in document["tags"] if tag.get("description")}
    used = {tag for _, operation in operations(document) for tag in operation.get("tags", [])}
    for tag in sorted(used - described):
        yield f"the tag {tag!r} has no description (api_docs/operations.toml)"


def _schemas(document: Document) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        if not _SCHEMA_NAME.fullmatch(name):
            yield f"the schema {name!r} has no plain name"
        is_empty = schema.get("type") == "object" and not schema.keys() & {"properties", "additionalProperties"}
        if is_empty and name not in WITHOUT_MEMBERS:
            yield f"the schema {name} is an object without members"
        for member, one in schema.get("properties", {}).items():
            place = f"{name}.{member}"
            if place not in OPEN_MAPS and _may_hold_anything(one):
                yield f"{place} may hold anything: say what, or name it in `OPEN_MAPS`"


def _may_hold_anything(schema: Mapping[str, Any]) -> bool:
    """Whether a map in it, at any depth, has values of every type."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if node.get("additionalProperties") in ({}, True):
                return True
            waiting.extend(node.values())
    return False
