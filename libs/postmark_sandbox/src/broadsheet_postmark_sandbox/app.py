"""Builds the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.exceptions import ClientException, HTTPException

from broadsheet_postmark_sandbox.api.bounces import bounces_router
from broadsheet_postmark_sandbox.api.common import AnyRequest, answer_postmark_error
from broadsheet_postmark_sandbox.api.email import email_router
from broadsheet_postmark_sandbox.api.errors import PostmarkError, default_text, payload_too_large
from broadsheet_postmark_sandbox.api.messages import messages_router
from broadsheet_postmark_sandbox.api.server_record import server_router
from broadsheet_postmark_sandbox.api.streams import streams_router
from broadsheet_postmark_sandbox.control import control_router
from broadsheet_postmark_sandbox.events.deliver_automatically import deliver_automatically
from broadsheet_postmark_sandbox.inbox.pages import Inbox, inbox_router
from broadsheet_postmark_sandbox.same_site import SameSite
from broadsheet_postmark_sandbox.settings import SandboxSettings
from broadsheet_postmark_sandbox.state import Sandbox


def create_app(settings: SandboxSettings) -> Litestar:
    """Make the application. Its state, including files, lives from the start to the end of its lifespan."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        sandbox = Sandbox(settings)
        app.state.sandbox = sandbox
        sandbox.webhooks.start()
        automatic = asyncio.create_task(deliver_automatically(sandbox))
        try:
            yield
        finally:
            automatic.cancel()
            await asyncio.gather(automatic, return_exceptions=True)
            await sandbox.webhooks.stop()
            sandbox.close()

    return Litestar(
        route_handlers=[
            email_router(),
            messages_router(),
            streams_router(),
            bounces_router(),
            server_router(),
            control_router(),
            inbox_router(),
        ],
        lifespan=[lifespan],
        middleware=[SameSite(settings.allowed_hosts)],
        openapi_config=None,
        logging_config=None,
        exception_handlers={
            PostmarkError: answer_postmark_error,
            HTTPException: answer_problem,
            Exception: answer_failure,
        },
        state=State({"inbox": Inbox()}),
    )


def answer_failure(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A bug of ours or a full disk: logged as an error, and answered with Postmark's error 500."""
    structlog.get_logger().error("sandbox.request_failed", path=request.scope["path"], exc_info=error)
    if _is_control(request):
        return answer_problem(request, HTTPException(status_code=500, detail="the sandbox failed; see its log"))
    return answer_postmark_error(request, PostmarkError(500, 101, default_text(101)))


def _is_control(request: AnyRequest) -> bool:
    return request.scope["path"].startswith(("/_sandbox", "/inbox"))


def answer_problem(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Errors that are not Postmark's: RFC 9457 for the control API; a body that is too large in Postmark's form."""
    if error.status_code == 413 and not _is_control(request):  # noqa: PLR2004
        return answer_postmark_error(request, payload_too_large(50 * 1024 * 1024))
    problem: dict[str, Any] = {"type": "about:blank", "title": error.detail, "status": error.status_code}
    if isinstance(error, ClientException) and error.extra:
        problem["errors"] = error.extra
    return Response(
        msgspec.json.encode(problem),
        status_code=error.status_code,
        media_type="application/problem+json",
        headers=error.headers,
    )
