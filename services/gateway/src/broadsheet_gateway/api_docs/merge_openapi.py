"""Merge the services' OpenAPI documents into one: what the public can reach, with the gateway's credentials.

Only the paths that the route table assigns to a service are taken from its document, and only the components
those paths use. A component or operation id that two services define differently is prefixed with the service's
name. `describe_operations` completes each operation.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from broadsheet_gateway.api_docs.describe_operations import METHODS, describe_operations
from broadsheet_gateway.api_docs.words import Words, load_words
from broadsheet_gateway.forwarding.route_table import RouteOwner, owner_of_template

Document = dict[str, Any]
"""A JSON object of an OpenAPI 3.1 document, decoded."""

OPENAPI_VERSION = "3.1.0"
_SCHEMA_REFERENCE = "#/components/schemas/"

_ABOUT = """\
Newsletters that account for every recipient.

- Errors are problem documents (RFC 9457). Their `type` is stable; each operation lists those that it can answer.
- Lists are pages. `next_cursor` is opaque; give it as `cursor` for the next page. The last page has null.
- A POST that creates or sends takes an `Idempotency-Key`: the same key with the same body has one effect and gets the
  first answer again, for 24 hours. Others lead to a state, and repeating them does nothing twice.
- An answer to GET has an `ETag`; with it as `If-None-Match`, an unchanged one is a 304 without a body. `HEAD` is
  answered wherever `GET` is, and `OPTIONS` everywhere.
- `RateLimit-Policy` and `RateLimit` say how many requests are left; a 429 says in `Retry-After` when to come back.
- Bodies may be compressed both ways, with gzip or zstd.
- What may change, and how long before: see `docs/api/versioning.md`.
"""

_PROBLEM_SCHEMAS: Mapping[str, Document] = {
    "Problem": {
        "type": "object",
        "title": "Problem",
        "description": "An error (RFC 9457). `type` is stable. `errors` points at each fault in the input; `facts` are "
        "the numbers that the error is about.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "description": "A URN: `urn:broadsheet:problem:` and a name"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string", "description": "The path that was asked for"},
            "errors": {"type": "array", "items": {"$ref": f"{_SCHEMA_REFERENCE}FieldProblem"}},
            "facts": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    },
    "FieldProblem": {
        "type": "object",
        "title": "FieldProblem",
        "description": "One fault in the input: a JSON Pointer (RFC 6901) to the member, and what is wrong with it.",
        "required": ["pointer", "detail"],
        "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
    },
}


def merge_documents(
    documents: Mapping[RouteOwner, Document],
    *,
    version: str,
    public_url: str,
    session_cookie_name: str,
    words: Words | None = None,
) -> Document:
    """The public document. Services missing from `documents` are missing from it, and nothing else is."""
    words = words or load_words()
    paths: Document = {}
    schemas: Document = dict(_PROBLEM_SCHEMAS)
    operation_ids: set[str] = set()
    for service in sorted(documents):
        document = documents[service]
        own_paths = {
            template: item
            for template, item in sorted(_object(document.get("paths")).items())
            if owner_of_template(template) == service
        }
        own_schemas = _object(_object(document.get("components")).get("schemas"))
        reached = _reach(own_paths, own_schemas) - set(_PROBLEM_SCHEMAS)
        names = {name: _free_name(name, own_schemas[name], schemas, service) for name in sorted(reached)}
        rename = _renamer({**{name: name for name in _PROBLEM_SCHEMAS}, **names})
        schemas |= {names[name]: rename(own_schemas[name]) for name in names}
        for template, item in own_paths.items():
            paths[template] = _public_item(rename(item), service, operation_ids)
    tags = sorted({tag for _, operation in _operations(paths) for tag in operation.get("tags", [])})
    merged: Document = {
        "openapi": OPENAPI_VERSION,
        "info": {"title": "Broadsheet", "version": version, "description": _ABOUT},
        "servers": [{"url": public_url}],
        "security": [{"api_key": []}, {"session": []}],
        "tags": [{"name": tag, "description": words.tags.get(tag, "")} for tag in tags],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "bs_<8 hex>_<43 characters>",
                    "description": "An API key: `Authorization: Bearer <key>`. Operations name the scope they need.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": session_cookie_name,
                    "description": "The session of a signed-in user. A browser's unsafe requests must come from this "
                    "site and carry `X-CSRF-Token`.",
                },
            },
        },
    }
    describe_operations(merged, words)
    return merged


def _object(node: object) -> Document:
    return node if isinstance(node, dict) else {}


def _operations(paths: Document) -> Iterator[tuple[str, Document]]:
    for item in paths.values():
        for method, operation in item.items():
            if method in METHODS:
                yield method, operation


def _references(node: object) -> Iterator[str]:
    """The names of the schemas that `node` refers to."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            reference = current.get("$ref")
            if isinstance(reference, str) and reference.startswith(_SCHEMA_REFERENCE):
                yield reference.removeprefix(_SCHEMA_REFERENCE)
            waiting.extend(current.values())
        elif isinstance(current, list):
            waiting.extend(current)


def _reach(paths: Document, schemas: Document) -> set[str]:
    """The schemas that the paths need, directly or through others."""
    reached: set[str] = set()
    waiting = list(_references(paths))
    while waiting:
        name = waiting.pop()
        if name not in reached and name in schemas:
            reached.add(name)
            waiting.extend(_references(schemas[name]))
    return reached


def _free_name(name: str, schema: object, taken: Document, owner: str) -> str:
    """`name` where it is free or means the same; else with the owner's name in front."""
    if name not in taken or taken[name] == schema:
        return name
    return f"{owner.capitalize()}{name}"


def _renamer(names: Mapping[str, str]) -> Callable[[Any], Any]:
    def rename(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: _SCHEMA_REFERENCE + names.get(value.removeprefix(_SCHEMA_REFERENCE), "")
                if key == "$ref" and isinstance(value, str) and value.startswith(_SCHEMA_REFERENCE)
                else rename(value)
                for key, value in node.items()
            }
        if isinstance(node, list):
            return [rename(value) for value in node]
        return node

    return rename


def _public_item(item: Document, service: RouteOwner, operation_ids: set[str]) -> Document:
    """The path item with operation ids unique in the whole document, and no credentials of the service's own."""
    public: Document = {}
    for method, operation in item.items():
        if method not in METHODS:
            public[method] = operation
            continue
        shown = {key: value for key, value in operation.items() if key not in {"security", "servers"}}
        operation_id = shown.get("operationId")
        if operation_id in operation_ids:
            shown["operationId"] = operation_id = f"{service}_{operation_id}"
        if operation_id is not None:
            operation_ids.add(operation_id)
        public[method] = shown
    return public
