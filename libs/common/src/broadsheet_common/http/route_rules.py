"""Rules of every JSON route: only JSON bodies, documented problems, a public OpenAPI document."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Litestar, Request, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Example, OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.serialization import decode_json, encode_json
from litestar.typing import FieldDefinition

from broadsheet_common.api_document.description import describe
from broadsheet_common.contracts.identity import ServiceRequest
from broadsheet_common.http.allowed_values import explain
from broadsheet_common.http.health import OPEN_ROUTE
from broadsheet_common.http.problems import (
    PROBLEM_MEDIA_TYPE,
    BodyTooLargeError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    MalformedRequestError,
    Problem,
    ProblemError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    example_of,
)
from broadsheet_common.http.request_rules import check_json_text

_BODY_PARAMETER = "data"
_NUMBER = {"type": "number"}
_INTEGER = {"type": "integer"}


class NotJsonError(UnsupportedMediaTypeError):
    title = "The body must be JSON (application/json)"


class JsonRequest(ServiceRequest):
    """A request whose JSON strings are checked. JSON that is nested too deeply is answered with 400: it is the
    sender's fault.

    A missing body is read as `{}` if the route takes one. It is valid if every field is optional; otherwise the
    answer names the missing field.
    """

    async def body(self) -> bytes:
        body = await super().body()
        if _BODY_PARAMETER not in self.route_handler.parsed_fn_signature.parameters:
            return body
        if body and _media_type(self.headers) is None:
            raise NotJsonError  # a body without the headers that announce one, as HTTP/2 allows
        return body or b"{}"

    async def json(self) -> Any:
        try:
            document = await super().json()
        except RecursionError as error:
            raise MalformedRequestError("The body is nested too deeply.") from error
        except UnicodeDecodeError as error:
            raise MalformedRequestError("The body is not UTF-8.") from error
        self.check_text(document)
        return document

    def check_text(self, document: Any) -> None:
        """Raises InvalidInputError. A route whose body holds several things that are judged one by one has its own."""
        check_json_text(document)


async def json_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: Litestar alone would read any body as JSON. It runs before the body is read; a request without a body
    may say any content type or none (HTTP clients name one for the body that they do not send).

    Asynchronous, because Litestar runs synchronous guards in a thread.
    """
    if _announces_a_body(connection.headers) and _media_type(connection.headers) != "application/json":
        raise NotJsonError


def _media_type(headers: Mapping[str, str]) -> str | None:
    given = headers.get("content-type")
    return None if given is None else given.partition(";")[0].strip().lower()


def _announces_a_body(headers: Mapping[str, str]) -> bool:
    """RFC 9112, 6.3: a request has a body if either header says so."""
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"


def parse_parameter(text: str | None, type_: Any, *, pointer: str) -> Any:
    """A parameter's text as a value of this type; for types that Litestar cannot read itself.

    Raises MalformedRequestError, which names the allowed values of a choice.
    """
    try:
        return msgspec.convert(text, type_)
    except msgspec.ValidationError as error:
        raise MalformedRequestError(errors=(FieldProblem(pointer=pointer, detail=explain(error, type_)),)) from error


def documents(*errors: type[ProblemError], body: bool = False) -> dict[int, ResponseSpec]:
    """The problems that a route may answer with, for its OpenAPI entry; those that every route has are added."""
    common: tuple[type[ProblemError], ...] = (
        MalformedRequestError,
        UnauthenticatedError,
        ForbiddenError,
        UnavailableError,
    )
    with_body: tuple[type[ProblemError], ...] = (BodyTooLargeError, NotJsonError, InvalidInputError) if body else ()
    by_status: dict[int, list[type[ProblemError]]] = {}
    for error in dict.fromkeys((*common, *with_body, *errors)):
        by_status.setdefault(error.status, []).append(error)
    return {
        status: ResponseSpec(
            data_container=Problem,
            description="; or ".join(f"{error.title} (`{error.slug}`)" for error in those),
            media_type=PROBLEM_MEDIA_TYPE,
            generate_examples=False,
            examples=[Example(id=error.slug, summary=error.title, value=example_of(error)) for error in those],
        )
        for status, those in sorted(by_status.items())
    }


class RawObjects(OpenAPISchemaPlugin):
    """In the document, a `msgspec.Raw` is an object: it passes on what a database's column of objects holds."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is msgspec.Raw

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002  # Litestar's signature
        return Schema(type=OpenAPIType.OBJECT, additional_properties=True)


def openapi_config(title: str, description: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title=title,
        version="1",
        description=description,
        path="/openapi",
        render_plugins=[JsonRenderPlugin()],
    )


@get("/openapi.json", opt=OPEN_ROUTE, include_in_schema=False)
async def openapi_document(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return served_document(request.app)


def served_document(app: Litestar) -> dict[str, Any]:
    """The app's OpenAPI document, with what Litestar cannot say by itself (see `api_document`)."""
    document = with_optional_bodies(decode_json(encode_json(app.openapi_schema.to_schema())))
    _drop_integers_beside_numbers(document)
    describe(document, app)
    return document


def _drop_integers_beside_numbers(node: object) -> None:
    """Each integer is a number: of two such alternatives, 3 would match both, and `oneOf` allows just one."""
    if isinstance(node, list):
        for item in node:
            _drop_integers_beside_numbers(item)
    elif isinstance(node, dict):
        choices = node.get("oneOf")
        if isinstance(choices, list) and _NUMBER in choices:
            node["oneOf"] = [choice for choice in choices if choice != _INTEGER]
        for value in node.values():
            _drop_integers_beside_numbers(value)


def with_optional_bodies(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with every body that may be `{}` marked as optional (see `JsonRequest`)."""
    schemas = document.get("components", {}).get("schemas", {})
    for path in document.get("paths", {}).values():
        for operation in path.values():
            body = operation.get("requestBody", {}) if isinstance(operation, dict) else {}
            schema = body.get("content", {}).get("application/json", {}).get("schema")
            if schema is not None and not _resolved(schema, schemas).get("required", ["something"]):
                body["required"] = False
    return document


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference into the document's components points to."""
    found: dict[str, Any] = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return found
