"""Completes the OpenAPI document that Litestar makes of a service: the scope that each operation needs, schema names
without module paths, what the structs' docstrings say, and plain words for answers.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from broadsheet_common.contracts.identity import Requirement

SCOPES_MEMBER = "x-required-scopes"
"""An operation's member: the scopes that its guards ask for, all of which are needed."""
BY_NEWSLETTER_MEMBER = "x-scope-by-newsletter"
"""Whether a scope that is held for some newsletters only is enough for these."""

_SCHEMAS = "#/components/schemas/"
_MODULE_PATH = re.compile(r"(?:(?<=_)|^)[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*\.")
_GENERIC = re.compile(r"([A-Za-z]\w*)_([A-Za-z]+)_")
_PLAIN_WORDS = {
    "200": "The answer",
    "201": "It was created",
    "202": "Accepted: it goes on in the background",
    "204": "Done; there is no body",
}
_LITESTARS_WORDS = frozenset(
    {
        "Request fulfilled, document follows",
        "Document created, URL follows",
        "Request accepted, processing continues off-line",
        "Request fulfilled, nothing follows",
        "Stream Response",
    }
)


def describe(document: dict[str, Any], app: Litestar) -> None:
    """Change the document in place. Raises ValueError if two schemas would get the same name."""
    _simplify(document)
    handlers = _handlers(app)
    for path, item in document.get("paths", {}).items():
        for method, operation in item.items():
            handler = handlers.get((path, method.upper()))
            if handler is not None:
                asked = requirements_of(handler)
                operation[SCOPES_MEMBER] = sorted({one.permission for one in asked})
                operation[BY_NEWSLETTER_MEMBER] = all(one.newsletter is not None for one in asked)
            for parameter in operation.get("parameters", []):
                _tidy_parameter(parameter)
            for status, response in operation.get("responses", {}).items():
                if response.get("description") in _LITESTARS_WORDS and status in _PLAIN_WORDS:
                    response["description"] = _PLAIN_WORDS[status]
                for content in (response.get("content") or {}).values():
                    for example in (content.get("examples") or {}).values():
                        example.pop("id", None)  # Litestar's own; OpenAPI has no such member
    schemas = document.get("components", {}).get("schemas", {})
    _add_docstrings(schemas, handlers.values())
    _name_plainly(document)


def _simplify(node: object) -> None:
    """An alternative that allows anything says nothing, and a single one is none. Bounds of integers are integers."""
    if isinstance(node, list):
        for item in node:
            _simplify(item)
    elif isinstance(node, dict):
        for value in node.values():
            _simplify(value)
        choices = node.get("oneOf")
        if isinstance(choices, list):
            _choose(node, [choice for choice in choices if choice] or [{}])
        for bound in ("minimum", "maximum"):
            if isinstance(node.get(bound), float) and node[bound].is_integer():
                node[bound] = int(node[bound])


def _choose(node: dict[str, Any], choices: list[Any]) -> None:
    """The schema with these alternatives; a single one becomes part of the schema."""
    if len(choices) == 1:
        del node["oneOf"]
        node.update({**choices[0], **node})
    else:
        node["oneOf"] = choices


def _tidy_parameter(parameter: dict[str, Any]) -> None:
    """It is there or it is not: it cannot be null. What is false by default is not said."""
    for name in [name for name, value in parameter.items() if value is False]:
        del parameter[name]
    schema = parameter.get("schema", {})
    if "description" in parameter:
        schema.pop("description", None)
    if "oneOf" in schema:
        _choose(schema, [choice for choice in schema["oneOf"] if choice.get("type") != "null"])


def requirements_of(handler: HTTPRouteHandler) -> list[Requirement]:
    """What the guards of the handler, its controller and the app ask for."""
    return [guard for guard in handler.resolve_guards() if isinstance(guard, Requirement)]


def _handlers(app: Litestar) -> dict[tuple[str, str], HTTPRouteHandler]:
    """By path template, as the document writes it, and method."""
    found: dict[tuple[str, str], HTTPRouteHandler] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            path = re.sub(r"\{([^:}]+):[^}]+\}", r"{\1}", route.path_format)
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    found[path, method] = handler
    return found


def _add_docstrings(schemas: dict[str, Any], handlers: Any) -> None:
    """What a struct's docstring says becomes its schema's description. A name that two structs share is left out."""
    by_name: dict[str, set[type]] = {}
    for handler in handlers:
        signature = handler.parsed_fn_signature
        types = [signature.return_type.raw, *(parameter.raw for parameter in signature.parameters.values())]
        types += [one.data_container for one in (handler.responses or {}).values()]
        for struct in _structs(types):
            by_name.setdefault(struct.__name__, set()).add(struct)
    for name, structs in by_name.items():
        own = [text for struct in structs if (text := struct.__dict__.get("__doc__"))]
        if len(structs) == 1 and own and name in schemas:
            schemas[name].setdefault("description", _one_paragraph(own[0]))


def _structs(types: list[Any]) -> Iterator[type]:
    """The structs in these types, and those in their fields."""
    waiting = list(types)
    seen: dict[int, Any] = {}  # holds on to the types: the id of one that is gone may be another's
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        waiting.extend(get_args(node))
        if isinstance(node, type) and issubclass(node, msgspec.Struct):
            yield node
            waiting.extend(field.type for field in msgspec.structs.fields(node))


def _one_paragraph(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).split())


def plain_name(name: str) -> str:
    """`Page_service.room.api.Issue_` (a generic of Litestar's) is `IssuePage`."""
    short = _MODULE_PATH.sub("", name)
    generic = _GENERIC.fullmatch(short)
    return f"{generic[2]}{generic[1]}" if generic is not None else short


def _name_plainly(document: dict[str, Any]) -> None:
    schemas = document.get("components", {}).get("schemas", {})
    names = {name: plain_name(name) for name in schemas}
    if len(set(names.values())) != len(names):
        raise ValueError(f"two schemas have the same plain name: {sorted(names.values())}")
    for name, plain in names.items():
        if plain != name and "title" in schemas[name]:
            schemas[name]["title"] = plain
    if schemas:
        document["components"]["schemas"] = {names[name]: schema for name, schema in schemas.items()}
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            waiting.extend(node.values())
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith(_SCHEMAS):
                name = reference.removeprefix(_SCHEMAS)
                node["$ref"] = _SCHEMAS + names.get(name, name)
