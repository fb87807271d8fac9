"""Errors as RFC 9457 problem details, the same shape from every service and for every status.

An expected error is a subclass of `ProblemError` with its own stable type. Anything else is a bug: it is logged
as an error, and answered with a 500 that does not contain its text. The titles are constant: Litestar's own would
repeat the query string.
"""

import asyncio
import re
from typing import Any, ClassVar

import asyncpg
import msgspec
import sqlalchemy.exc
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from broadsheet_common.http.allowed_values import explain_apart, with_allowed_values
from broadsheet_common.process.database import is_database_unavailable, is_out_of_resources

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_TYPE_PREFIX = "urn:broadsheet:problem:"

_log = structlog.get_logger()

_WHOLE_BODY = "data"
_STEP_INTO_LIST = re.compile(r"\[(\d+)\]")
_STEP_INTO_MAP = "[...]"
_MISSING_PARAMETER = re.compile(r"^Missing required (\w+) parameter '([\w-]+)' for path ")
_STEP = re.compile(r"[^.\[\]]+|\.\.\.")
_FIELD_OF_OBJECT = re.compile(r"Object (?:missing required|contains unknown) field `([^`]*)`")


def as_sentence(text: str) -> str:
    """A title or a detail as it stands on a page: with a capital and a full stop, which titles do not have."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…", ":")) else ".")


class FieldProblem(msgspec.Struct, frozen=True):
    """One fault in the input: a JSON Pointer (RFC 6901) to the member, and what is wrong with it."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of an error answer (RFC 9457), with our extensions `errors` and `facts`, the numbers it is about."""

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldProblem, ...] = ()
    facts: dict[str, int] = {}


class ProblemError(Exception):
    """An expected error. Subclasses give `slug` (stable, part of the type), `title` and `status`."""

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldProblem, ...] = (),
        headers: dict[str, str] | None = None,
        facts: dict[str, int] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = errors
        self.facts = facts or {}
        self.headers = headers or {}


class InvalidInputError(ProblemError):
    slug, title, status = "invalid-input", "The input is not valid", 422


class MalformedRequestError(ProblemError):
    slug, title, status = "malformed-request", "The request could not be read", 400


class UnauthenticatedError(ProblemError):
    slug, title, status = "unauthenticated", "Credentials are missing or not valid", 401


class ForbiddenError(ProblemError):
    slug, title, status = "forbidden", "These credentials do not allow this", 403


class NotFoundError(ProblemError):
    slug, title, status = "not-found", "Not found", 404


class ConflictError(ProblemError):
    slug, title, status = "conflict", "The state of the resource does not allow this", 409


class UnavailableError(ProblemError):
    slug, title, status = "unavailable", "The service is temporarily unavailable; try again", 503

    def __init__(self, detail: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class InternalError(ProblemError):
    """A bug: see `_handle_bug`. Nothing raises it; the API document names its type."""

    slug, title, status = "internal", "Something went wrong on our side", 500


class MethodNotAllowedError(ProblemError):
    slug, title, status = "method-not-allowed", "This resource does not support this method", 405


class RequestTimeoutError(ProblemError):
    slug, title, status = "request-timeout", "The request did not arrive in time", 408


class BodyTooLargeError(ProblemError):
    slug, title, status = "request-entity-too-large", "The body is too large", 413


class UnsupportedMediaTypeError(ProblemError):
    slug, title, status = "unsupported-media-type", "The media type of the body is not supported", 415


class HeadersTooLargeError(ProblemError):
    slug, title, status = "headers-too-large", "The request's URL and headers are too large", 431


class TooManyRequestsError(ProblemError):
    slug, title, status = "too-many-requests", "Too many requests; try again later", 429


# Listed explicitly: Python's own phrases for statuses have changed between versions, and a type must not change.
_PROBLEM_OF_STATUS: dict[int, type[ProblemError]] = {
    known.status: known
    for known in (
        MalformedRequestError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        MethodNotAllowedError,
        RequestTimeoutError,
        ConflictError,
        BodyTooLargeError,
        UnsupportedMediaTypeError,
        InvalidInputError,
        TooManyRequestsError,
        UnavailableError,
    )
}


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


def problem_of(error: ProblemError, path: str = "") -> Problem:
    return Problem(
        type=PROBLEM_TYPE_PREFIX + error.slug,
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=path,
        errors=error.errors,
        facts=error.facts,
    )


def example_of(error: type[ProblemError]) -> dict[str, Any]:
    """What an answer with this error looks like, for the API document."""
    shown: dict[str, Any] = {
        "type": PROBLEM_TYPE_PREFIX + error.slug,
        "title": error.title,
        "status": error.status,
    }
    if error.slug == InvalidInputError.slug:
        shown |= {
            "detail": "See `errors` for each fault.",
            "errors": [{"pointer": "/name", "detail": "It must not be empty."}],
        }
    return shown


def malformed_value(error: msgspec.ValidationError, type_: Any) -> MalformedRequestError:
    """The problem of a value that is not of this type, with the place of its fault, as for a body of the type."""
    detail, place = explain_apart(error, type_)
    return MalformedRequestError(
        "See `errors` for each fault.",
        errors=(FieldProblem(pointer=_pointer(place.removeprefix(".") or _WHOLE_BODY, detail), detail=detail),),
    )


def problem_of_any(error: Exception) -> Problem:
    """The problem that an error is answered with, for one of several things that are answered together. What is not
    expected is logged.
    """
    if isinstance(error, ProblemError):
        return problem_of(error)
    if is_database_unavailable(error):
        _log.warning("http.dependency_unavailable", error=type(error).__name__)
        return problem_of(UnavailableError())
    return _note_bug(error)


def _handle_problem(request: Request[Any, Any, Any], error: ProblemError) -> Response[bytes]:
    return problem_response(problem_of(error, request.url.path), error.headers)


def _handle_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    """Litestar's validation errors: the message and place of each, without the URL that Litestar puts in the title."""
    errors = []
    for item in error.extra if isinstance(error.extra, list) else []:
        if isinstance(item, dict):
            key, detail = str(item.get("key", "")), str(item.get("message", ""))
            pointer = _pointer(key, detail)
            errors.append(FieldProblem(pointer=pointer, detail=_with_allowed_values(request, item, detail)))
    if missing := _MISSING_PARAMETER.search(error.detail):
        kind, name = missing[1], missing[2]
        errors.append(FieldProblem(pointer=f"/{name}", detail=f"This {kind} parameter is required."))
    detail = "See `errors` for each fault." if errors else ""
    return _handle_problem(request, MalformedRequestError(detail, errors=tuple(errors)))


def _with_allowed_values(request: Request[Any, Any, Any], item: dict[str, Any], detail: str) -> str:
    """The message with the allowed values of a choice added, taken from the types of the handler's parameters."""
    parameters = request.route_handler.parsed_fn_signature.parameters
    steps = _STEP.findall(str(item.get("key", "")))
    if item.get("source") == "body":
        name, steps = _WHOLE_BODY, [] if steps == [_WHOLE_BODY] else steps
    else:
        name, steps = (steps[0], steps[1:]) if steps else ("", [])
    return with_allowed_values(detail, parameters[name].raw, steps) if name in parameters else detail


def _pointer(key: str, detail: str) -> str:
    """The place of the fault as a JSON pointer (RFC 6901). Litestar calls the body `data`. msgspec reports a missing
    or unknown field at the object around it, an item as `events[0]`, and a map's value as `[...]`: the pointer
    then ends at the map.
    """
    steps = _STEP_INTO_LIST.sub(r".\1", key.partition(_STEP_INTO_MAP)[0])
    place = "" if steps == _WHOLE_BODY else f"/{steps.replace('.', '/')}" if steps else ""
    named = _FIELD_OF_OBJECT.search(detail)
    return place if named is None else f"{place}/{named[1].replace('~', '~0').replace('/', '~1')}"


def _handle_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    known = _PROBLEM_OF_STATUS.get(error.status_code)
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() != "content-type"}
    if known is not None:
        return problem_response(problem_of(known(), request.url.path), headers)
    return problem_response(
        Problem(
            type=f"{PROBLEM_TYPE_PREFIX}http-{error.status_code}",
            title=f"HTTP status {error.status_code}",
            status=error.status_code,
            instance=request.url.path,
        ),
        headers,
    )


def _handle_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.warning("http.dependency_unavailable", error=type(error).__name__)
    return _handle_problem(request, UnavailableError())


def _handle_database(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return _handle_unavailable(request, error) if is_database_unavailable(error) else _handle_bug(request, error)


def _handle_os(request: Request[Any, Any, Any], error: OSError) -> Response[bytes]:
    return _handle_unavailable(request, error) if is_out_of_resources(error) else _handle_bug(request, error)


def _handle_group(request: Request[Any, Any, Any], error: ExceptionGroup[Exception]) -> Response[bytes]:
    """Unavailable only if every exception in the group is."""
    waits = all(
        is_out_of_resources(one)
        if isinstance(one, OSError) and not isinstance(one, ConnectionError | TimeoutError)
        else is_database_unavailable(one)
        for one in error.exceptions
    )
    return _handle_unavailable(request, error) if waits else _handle_bug(request, error)


def _handle_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return problem_response(_note_bug(error, request.url.path))


def _note_bug(error: Exception, path: str = "") -> Problem:
    _log.error("http.unexpected_error", error=type(error).__name__, exc_info=error)
    return problem_of(InternalError(), path)


def problem_handlers() -> ExceptionHandlersMap:
    """Litestar's `exception_handlers`: every error becomes a problem."""
    return {
        ProblemError: _handle_problem,
        ValidationException: _handle_validation,
        HTTPException: _handle_http,
        sqlalchemy.exc.SQLAlchemyError: _handle_database,
        asyncpg.PostgresError: _handle_database,
        asyncpg.InterfaceError: _handle_database,
        ConnectionError: _handle_unavailable,
        asyncio.TimeoutError: _handle_unavailable,
        OSError: _handle_os,
        ExceptionGroup: _handle_group,
        Exception: _handle_bug,
    }
