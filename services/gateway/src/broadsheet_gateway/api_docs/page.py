"""The API reference as a view model, from its OpenAPI 3.1 document: tags, operations, what goes in and comes out."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from broadsheet_gateway.api_docs.schema import (
    Property,
    SchemaReader,
    TypePart,
    json_pretty,
    mapping,
    sequence,
    text_of,
)

_METHODS = ("get", "post", "put", "patch", "delete", "head")
_UNTAGGED = "Other"
_STATUSES = {str(status.value): status for status in HTTPStatus}


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What a request carries. `properties` are those of its first media type."""

    media_types: tuple[str, ...]
    required: bool
    type: tuple[TypePart, ...]
    properties: tuple[Property, ...]
    example: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A response by status; `example` is for success only, since every problem looks alike."""

    status: str
    phrase: str
    description: str
    media_type: str
    type: tuple[TypePart, ...]
    example: str
    is_success: bool


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    anchor: str
    method: str
    path: str
    summary: str
    description: str
    deprecated: bool
    credentials: tuple[str, ...]
    parameters: tuple[Property, ...]
    body: Body | None
    answers: tuple[Answer, ...]
    curl: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The operations of a tag."""

    anchor: str
    name: str
    description: str
    operations: tuple[Operation, ...]


class NamedSchema(msgspec.Struct, frozen=True, kw_only=True):
    anchor: str
    name: str
    description: str
    type: tuple[TypePart, ...]
    limits: tuple[str, ...]
    properties: tuple[Property, ...]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A way to authenticate, by its name in the document."""

    name: str
    how: str
    description: str


class ApiDocs(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    version: str
    description: str
    base_url: str
    credentials: tuple[Credential, ...]
    groups: tuple[Group, ...]
    schemas: tuple[NamedSchema, ...]


def read_api_docs(document: Mapping[str, Any], *, base_url: str) -> ApiDocs:
    """`document` is the decoded OpenAPI document, `base_url` what examples call (PUBLIC_URL)."""
    return _DocsReader(document, base_url.rstrip("/")).read()


class _DocsReader:
    def __init__(self, document: Mapping[str, Any], base_url: str) -> None:
        self._document = document
        self._base_url = base_url
        self._anchors_taken: set[str] = set()
        self._component_schemas = mapping(mapping(document.get("components")).get("schemas"))
        self._schema_places = self._name_schemas()
        self._schemas = SchemaReader(document, self._schema_places)

    def read(self) -> ApiDocs:
        info = mapping(self._document.get("info"))
        return ApiDocs(
            title=text_of(info.get("title")) or "API",
            version=text_of(info.get("version")),
            description=text_of(info.get("description")),
            base_url=self._base_url,
            credentials=self._credentials(),
            groups=self._groups(),
            schemas=tuple(self._schema(key, node) for key, node in self._component_schemas.items()),
        )

    def _name_schemas(self) -> dict[str, TypePart]:
        """Component schemas by their titles (`Page[Issue]`), where these tell them apart, else by their keys."""
        titles = {key: text_of(mapping(node).get("title")) for key, node in self._component_schemas.items()}
        times = Counter(titles.values())
        names = {key: title if title and times[title] == 1 else key for key, title in titles.items()}
        return {key: TypePart(name, self._anchor("schema", name)) for key, name in names.items()}

    def _anchor(self, kind: str, name: str) -> str:
        """A fragment of the page that no other thing on it has."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
        anchor, number = f"{kind}-{slug}", 2
        while anchor in self._anchors_taken:
            anchor, number = f"{kind}-{slug}-{number}", number + 1
        self._anchors_taken.add(anchor)
        return anchor

    def _credentials(self) -> tuple[Credential, ...]:
        schemes = mapping(mapping(self._document.get("components")).get("securitySchemes"))
        found = []
        for name, node in schemes.items():
            scheme = self._schemas.resolve(node)
            kind, http_scheme = text_of(scheme.get("type")), text_of(scheme.get("scheme"))
            if kind == "http" and http_scheme.lower() == "bearer":
                how = "Authorization: Bearer <key>"
            elif kind == "apiKey":
                how = f"{text_of(scheme.get('in'))}: {text_of(scheme.get('name'))}"
            else:
                how = http_scheme or kind
            found.append(Credential(name=name, how=how, description=text_of(scheme.get("description"))))
        return tuple(found)

    def _groups(self) -> tuple[Group, ...]:
        described = {
            text_of(mapping(tag).get("name")): text_of(mapping(tag).get("description"))
            for tag in sequence(self._document.get("tags"))
        }
        by_tag: dict[str, list[Operation]] = {name: [] for name in described if name}
        for path, node in mapping(self._document.get("paths")).items():
            item = self._schemas.resolve(node)
            for method in _METHODS:
                operation = mapping(item.get(method))
                if operation:
                    tags = [str(tag) for tag in sequence(operation.get("tags"))]
                    read = self._operation(path, method, operation, item)
                    by_tag.setdefault(tags[0] if tags else _UNTAGGED, []).append(read)
        return tuple(
            Group(
                anchor=self._anchor("tag", name),
                name=name,
                description=described.get(name, ""),
                operations=tuple(operations),
            )
            for name, operations in by_tag.items()
            if operations
        )

    def _operation(self, path: str, method: str, node: Mapping[str, Any], path_item: Mapping[str, Any]) -> Operation:
        parameters = self._parameters(path_item, node)
        body = self._body(node.get("requestBody"))
        credentials = self._needed_credentials(node)
        answers = tuple(self._answer(str(status), answer) for status, answer in mapping(node.get("responses")).items())
        return Operation(
            anchor=self._anchor("operation", text_of(node.get("operationId")) or f"{method} {path}"),
            method=method.upper(),
            path=path,
            summary=text_of(node.get("summary")) or text_of(node.get("operationId")) or f"{method.upper()} {path}",
            description=text_of(node.get("description")),
            deprecated=node.get("deprecated") is True,
            credentials=credentials,
            parameters=tuple(shown for shown, _ in parameters),
            body=body,
            answers=tuple(sorted(answers, key=lambda answer: answer.status)),
            curl=self._curl(path, method, parameters, body, with_key=bool(credentials)),
        )

    def _parameters(
        self, path_item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> tuple[tuple[Property, object], ...]:
        """Those of the path, overridden by the operation's; each with its example value."""
        found: dict[tuple[str, str], tuple[Property, object]] = {}
        for node in (*sequence(path_item.get("parameters")), *sequence(operation.get("parameters"))):
            parameter = self._schemas.resolve(node)
            name, location = text_of(parameter.get("name")), text_of(parameter.get("in"))
            schema = parameter.get("schema")
            shown = Property(
                name=name,
                location=location,
                type=self._schemas.describe(schema),
                required=parameter.get("required") is True,
                description=text_of(parameter.get("description"))
                or text_of(self._schemas.resolve(schema).get("description")),
                limits=self._schemas.limits(schema),
            )
            example = parameter.get("example")
            found[location, name] = shown, example if example is not None else self._schemas.example(schema)
        return tuple(found.values())

    def _body(self, node: object) -> Body | None:
        request_body = self._schemas.resolve(node)
        content = mapping(request_body.get("content"))
        if not content:
            return None
        media = mapping(next(iter(content.values())))
        schema = media.get("schema")
        example = media.get("example")
        return Body(
            media_types=tuple(content),
            required=request_body.get("required") is True,
            type=self._schemas.describe(schema),
            properties=self._schemas.properties(schema),
            example=json_pretty(example if example is not None else self._schemas.example(schema)),
        )

    def _answer(self, status: str, node: object) -> Answer:
        response = self._schemas.resolve(node)
        content = mapping(response.get("content"))
        media_type = next(iter(content), "")
        media = mapping(content.get(media_type))
        is_success = status.startswith("2")
        schema = media.get("schema")
        example = media.get("example") if media.get("example") is not None else self._schemas.example(schema)
        return Answer(
            status=status,
            phrase=_phrase(status),
            description=_without_boilerplate(status, text_of(response.get("description"))),
            media_type=media_type,
            type=self._schemas.describe(schema) if schema else (),
            example=json_pretty(example) if is_success and schema else "",
            is_success=is_success,
        )

    def _needed_credentials(self, operation: Mapping[str, Any]) -> tuple[str, ...]:
        """The alternatives, each as `name` or `name (scopes)`; empty for an open operation."""
        chosen = operation.get("security", self._document.get("security"))
        found = []
        for alternative in sequence(chosen):
            names = []
            for name, scopes in mapping(alternative).items():
                listed = ", ".join(str(scope) for scope in sequence(scopes))
                names.append(f"{name} ({listed})" if listed else name)
            if names:
                found.append(" and ".join(names))
        return tuple(found)

    def _schema(self, key: str, node: object) -> NamedSchema:
        schema = self._schemas.resolve(node)
        return NamedSchema(
            anchor=self._schema_places[key].anchor,
            name=self._schema_places[key].text,
            description=text_of(schema.get("description")),
            type=self._schemas.describe(schema),
            limits=self._schemas.limits(schema),
            properties=self._schemas.properties(schema),
        )

    def _curl(
        self,
        path: str,
        method: str,
        parameters: tuple[tuple[Property, object], ...],
        body: Body | None,
        *,
        with_key: bool,
    ) -> str:
        """A command to paste into a shell; the key comes from a variable, so that it does not enter the history."""
        query = {}
        headers = []
        for parameter, example in parameters:
            text = _plain(example)
            if parameter.location == "path":
                # Litestar's own form, {id:int}, does not occur in the document; plain names do.
                path = path.replace("{" + parameter.name + "}", quote(text, safe=""))
            elif parameter.location == "query" and parameter.required:
                query[parameter.name] = text
            elif parameter.location == "header" and (parameter.required or parameter.name.lower() == "idempotency-key"):
                headers.append(f"{parameter.name}: {text}")
        url = self._base_url + path + ("?" + urlencode(query) if query else "")
        lines = ["curl " + ("" if method == "get" else f"-X {method.upper()} ") + shlex.quote(url)]
        if with_key:
            lines.append('-H "Authorization: Bearer $BROADSHEET_API_KEY"')
        if body is not None:
            headers.insert(0, f"Content-Type: {body.media_types[0]}")
        lines += [f"-H {shlex.quote(header)}" for header in headers]
        if body is not None:
            lines.append(f"-d {shlex.quote(body.example)}")
        return " \\\n  ".join(lines)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _without_boilerplate(status: str, description: str) -> str:
    """Frameworks fill the field with the status's own description, which says nothing about this operation."""
    known = _STATUSES.get(status)
    return "" if known is not None and description == known.description else description


def _phrase(status: str) -> str:
    known = _STATUSES.get(status)
    return known.phrase if known is not None else ""
