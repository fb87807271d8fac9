"""POST /email and its siblings."""

from typing import Final

from litestar import Router, post
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp

from broadsheet_postmark_sandbox.api.common import AnyRequest, is_test_token, postmark_guard, sandbox_of
from broadsheet_postmark_sandbox.api.errors import PostmarkError, payload_too_large
from broadsheet_postmark_sandbox.api.read_body import BodyTooLargeError
from broadsheet_postmark_sandbox.messages.accept_messages import accept_messages

REQUEST_BYTES_MAX: Final = 50 * 1024 * 1024
_NO_TEMPLATE: Final = "The TemplateId or TemplateAlias you provided was not found on this server."


@post("/email", status_code=HTTP_200_OK)
async def send_email(request: AnyRequest) -> ASGIApp:
    return await _accept(request, batch=False)


@post("/email/batch", status_code=HTTP_200_OK)
async def send_batch(request: AnyRequest) -> ASGIApp:
    return await _accept(request, batch=True)


async def _accept(request: AnyRequest, *, batch: bool) -> ASGIApp:
    sandbox = sandbox_of(request)
    path = "/email/batch" if batch else "/email"
    try:
        async with sandbox.buffers.read(request, REQUEST_BYTES_MAX) as body:
            return await accept_messages(sandbox, path, body, batch=batch, test=is_test_token(request))
    except BodyTooLargeError as large:
        raise payload_too_large(REQUEST_BYTES_MAX) from large


@post(["/email/withTemplate", "/email/batchWithTemplates"], status_code=HTTP_200_OK)
async def send_with_template(request: AnyRequest) -> ASGIApp:
    """The sandbox has no templates, so every one is unknown: error 1101."""
    await request.body()
    raise PostmarkError(422, 1101, _NO_TEMPLATE)


@post("/email/bulk", status_code=HTTP_200_OK)
async def send_bulk(request: AnyRequest) -> ASGIApp:
    """Postmark opens this endpoint to approved accounts only: error 14."""
    await request.body()
    raise PostmarkError(422, 14, "This account is not approved for the bulk endpoint.")


def email_router() -> Router:
    return Router(
        path="/",
        route_handlers=[send_email, send_batch, send_with_template, send_bulk],
        guards=[postmark_guard],
        request_max_body_size=REQUEST_BYTES_MAX,
    )
