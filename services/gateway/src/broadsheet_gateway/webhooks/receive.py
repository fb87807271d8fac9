"""`POST /webhooks/postmark`: store Postmark's events; delivery applies them.

An event is stored first and answered 200 after: Postmark tries again on anything but a 4xx, after which it drops
the event. So what cannot be stored is 503, and what is not JSON, which no retry would mend, is 400. Unknown
events are stored like all others. There is no signature: basic authentication is the credential. No session, no
CSRF, and no rate limit, because a refused webhook is a lost event.
"""

import base64
import binascii
import hmac

import msgspec
import structlog
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.http.problems import MalformedRequestError, UnauthenticatedError
from broadsheet_common.process.settings import Secret
from broadsheet_gateway.http.request_body import read_body
from broadsheet_gateway.http.responses import AnyRequest
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_gateway.webhooks.store_webhooks import WebhookInbox

BODY_MAX_BYTES = 5 * 1024 * 1024

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="webhooks", charset="UTF-8"'}

_log = structlog.get_logger()


class WebhookDoor:
    """The credentials for events. Without both nobody is accepted."""

    def __init__(self, *, user: str | None, password: Secret | None) -> None:
        complete = user is not None and password is not None
        self._expected = f"{user}:{password.reveal() if password else ''}".encode() if complete else None
        if self._expected is None:
            _log.warning(
                "webhooks.refused_without_credentials", needs="POSTMARK_WEBHOOK_USER and POSTMARK_WEBHOOK_PASSWORD"
            )

    def admits(self, authorization: str) -> bool:
        """Compared in constant time, whatever was sent."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        same = hmac.compare_digest(given, self._expected or b"\x00")
        return same and self._expected is not None and scheme.lower() == "basic"


@post("/webhooks/postmark", status_code=200, include_in_schema=False)
async def take_webhook(
    request: AnyRequest,
    settings: NamedDependency[GatewaySettings],
    webhook_door: NamedDependency[WebhookDoor],
    webhook_inbox: NamedDependency[WebhookInbox],
) -> Response[str]:
    """One event a request."""
    if not webhook_door.admits(request.headers.get("authorization", "")):
        _log.warning("security.webhook_credentials_refused")
        raise UnauthenticatedError(headers=_CHALLENGE)
    body = await read_body(
        request.receive, request.headers, max_bytes=BODY_MAX_BYTES, timeout_s=settings.body_timeout_s
    )
    await webhook_inbox.store(_read_json(body), size_bytes=len(body))
    return Response("", media_type="text/plain")


def _read_json(body: bytes) -> str:
    """The body's text, once it is known to be one JSON document. Raises MalformedRequestError."""
    try:
        msgspec.json.decode(body)
        return body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequestError("The body must be JSON.") from error


WEBHOOK_HANDLERS: tuple[HTTPRouteHandler, ...] = (take_webhook,)
