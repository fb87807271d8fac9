"""What every JSON route keeps to: JSON bodies only, problems documented, the document open to read."""

from typing import Any

from litestar import Request, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin

from broadsheet_common.contracts.identity import ServiceRequest
from broadsheet_common.http.health import OPEN_ROUTE
from broadsheet_common.http.problems import (
    PROBLEM_MEDIA_TYPE,
    BodyTooLargeError,
    ForbiddenError,
    MalformedRequestError,
    Problem,
    ProblemError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)


class NotJsonError(UnsupportedMediaTypeError):
    title = "The body must be JSON (application/json)"


class JsonRequest(ServiceRequest):
    """A request whose JSON may be nested without end: that is the sender's fault, not ours."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except RecursionError as error:
            raise MalformedRequestError("The body is nested too deeply.") from error
        except UnicodeDecodeError as error:
            raise MalformedRequestError("The body is not UTF-8.") from error


async def json_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: Litestar alone would read any body as JSON. Runs before the body is read.

    Asynchronous, as Litestar sends every other guard through a thread.
    """
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise NotJsonError


def documents(*errors: type[ProblemError], body: bool = False) -> dict[int, ResponseSpec]:
    """The problems a route may answer with, for its OpenAPI entry; those that every route has are added."""
    common: tuple[type[ProblemError], ...] = (
        MalformedRequestError,
        UnauthenticatedError,
        ForbiddenError,
        UnavailableError,
    )
    with_body: tuple[type[ProblemError], ...] = (BodyTooLargeError, NotJsonError) if body else ()
    titles: dict[int, list[str]] = {}
    for error in (*common, *with_body, *errors):
        titles.setdefault(error.status, []).append(f"{error.title} (`{error.slug}`)")
    return {
        status: ResponseSpec(
            data_container=Problem,
            description="; or ".join(lines),
            media_type=PROBLEM_MEDIA_TYPE,
            generate_examples=False,
        )
        for status, lines in sorted(titles.items())
    }


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
    return request.app.openapi_schema.to_schema()
