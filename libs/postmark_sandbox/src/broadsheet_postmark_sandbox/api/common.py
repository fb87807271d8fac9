"""Shared by the routes of the Postmark API: the required headers and the error answers."""

import hmac
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from broadsheet_postmark_sandbox.api import errors
from broadsheet_postmark_sandbox.api.errors import PostmarkError
from broadsheet_postmark_sandbox.settings import TEST_TOKEN
from broadsheet_postmark_sandbox.state import Sandbox

TOKEN_HEADER: Final = "x-postmark-server-token"  # noqa: S105  the header's name

T = TypeVar("T")
Connection = ASGIConnection[Any, Any, Any, Any]
AnyRequest = Request[Any, Any, Any]


def sandbox_of(connection: Connection) -> Sandbox:
    sandbox: Sandbox = connection.app.state.sandbox
    return sandbox


def is_test_token(connection: Connection) -> bool:
    return connection.headers.get(TOKEN_HEADER) == TEST_TOKEN


def postmark_guard(connection: Connection, _: BaseRouteHandler) -> None:
    """Check the headers in Postmark's order: media types first, then the token."""
    headers = connection.headers
    if not _says_json(headers.get("accept")):
        raise errors.json_headers_missing("Accept")
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if has_body and not _says_json(headers.get("content-type")):
        raise errors.json_headers_missing("Content-Type")
    token = headers.get(TOKEN_HEADER)
    if not token:
        raise errors.missing_token()
    if token != TEST_TOKEN and not hmac.compare_digest(token.encode(), sandbox_of(connection).settings.token.encode()):
        raise errors.invalid_token()


def _says_json(value: str | None) -> bool:
    if value is None:
        return False
    return any(part.partition(";")[0].strip().lower() == "application/json" for part in value.split(","))


def answer_postmark_error(_: AnyRequest, error: PostmarkError) -> Response[bytes]:
    return Response(
        msgspec.json.encode(error.refusal),
        status_code=error.status,
        media_type="application/json; charset=utf-8",
        headers={"X-PM-ApiErrorCode": str(error.refusal.error_code)},
    )


def query_of(request: AnyRequest) -> dict[str, str]:
    """The query with its keys in lower case, as Postmark compares them; empty values count as absent."""
    return {key.lower(): value for key, value in request.query_params.multi_items() if value}


async def read_json(request: AnyRequest, shape: type[T]) -> T:
    """Decode a body strictly; raises PostmarkError 402 or 403."""
    body = await request.body()
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as wrong:
        raise errors.incompatible_json(str(wrong)) from wrong
    except msgspec.DecodeError as broken:
        raise errors.invalid_json(str(broken)) from broken
