"""Merge the services' OpenAPI documents into one: what the public can reach, with the gateway's credentials.

Only the paths that the route table assigns to a service are taken from its document, and only the components
those paths use. A component or operation id that two services define differently is prefixed with the service's
name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_gateway.forwarding.route_table import owner_of_template

Document = dict[str, Any]
"""A JSON object of an OpenAPI 3.1 document, decoded."""

OPENAPI_VERSION = "3.1.0"
_SCHEMA_REFERENCE = "#/components/schemas/"
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})

# What the gateway may answer instead of a service.
_GATEWAY_ANSWERS = {
    "401": "No credentials, or ones that are not valid",
    "403": "The credentials do not allow this, or the request came from another site",
    "413": "The body is larger than 10 MB",
    "429": "Over the caller's rate limit; `Retry-After` says when to come back",
    "503": "A service behind the gateway does not answer",
    "504": "A service behind the gateway did not answer in time",
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "description": "An error (RFC 9457). `type` is stable; `errors` points at the faults in the input.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def merge_documents(
    documents: Mapping[ServiceName, Document], *, version: str, public_url: str, session_cookie_name: str
) -> Document:
    """The public document. Services missing from `documents` are missing from it, and nothing else is."""
    paths: Document = {}
    schemas: Document = {}
    operation_ids: set[str] = set()
    tags: dict[str, Document] = {}
    for service in sorted(documents):
        document = documents[service]
        own_paths = {
            template: item
            for template, item in sorted(_object(document.get("paths")).items())
            if owner_of_template(template) == service
        }
        own_schemas = _object(_object(document.get("components")).get("schemas"))
        reached = _reach(own_paths, own_schemas)
        names = {name: _free_name(name, own_schemas[name], schemas, service) for name in sorted(reached)}
        rename = _renamer(names)
        schemas |= {names[name]: rename(own_schemas[name]) for name in names}
        for template, item in own_paths.items():
            paths[template] = _public_item(rename(item), service, operation_ids)
        for tag in document.get("tags") or []:
            tags.setdefault(tag["name"], tag)
    problem_name = _free_name("GatewayProblem", _PROBLEM_SCHEMA, schemas, "gateway")
    schemas[problem_name] = _PROBLEM_SCHEMA
    for _, operation in _operations(paths):
        _add_gateway_answers(operation, problem_name)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "Broadsheet",
            "version": version,
            "description": "Newsletters that account for every recipient. Errors are problem documents (RFC 9457); "
            "lists are pages with opaque cursors; a POST may carry an `Idempotency-Key`.",
        },
        "servers": [{"url": public_url}],
        "security": [{"api_key": []}, {"session": []}],
        "tags": [tags[name] for name in sorted(tags)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "bs_<8 hex>_<43 characters>",
                    "description": "An API key: `Authorization: Bearer <key>`. Scopes: read, write, admin.",
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


def _object(node: object) -> Document:
    return node if isinstance(node, dict) else {}


def _operations(paths: Document) -> Iterator[tuple[str, Document]]:
    for item in paths.values():
        for method, operation in item.items():
            if method in _METHODS:
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


def _public_item(item: Document, service: ServiceName, operation_ids: set[str]) -> Document:
    """The path item with operation ids unique in the whole document, and no credentials of the service's own."""
    public: Document = {}
    for method, operation in item.items():
        if method not in _METHODS:
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


def _add_gateway_answers(operation: Document, problem_name: str) -> None:
    answers = operation.setdefault("responses", {})
    for status, description in _GATEWAY_ANSWERS.items():
        answers.setdefault(
            status,
            {
                "description": description,
                "content": {"application/problem+json": {"schema": {"$ref": _SCHEMA_REFERENCE + problem_name}}},
            },
        )
