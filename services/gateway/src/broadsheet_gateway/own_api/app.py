"""The gateway's own routes of `/api/v1`, as one application behind the same door as the services.

The forwarder has authenticated and limited a request when it comes here, and hands its identity over in the scope. The
routes state what they need as those of services do, and have an OpenAPI document of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp, ControllerRouterHandler, HTTPScope, Receive, Send

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.problems import UnauthenticatedError, problem_handlers
from broadsheet_common.http.ready_dependencies import DependenciesInTurn, provide
from broadsheet_common.http.route_rules import JsonRequest, RawObjects, openapi_config, served_document
from broadsheet_common.http.service_app import ServiceApp
from broadsheet_gateway.settings import API_BODY_MAX_BYTES

_IDENTITY_KEY: Final = "broadsheet.identity"
_SCOPE_KEYS: Final = (
    "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "headers", "client",
    "server", "extensions",
)  # fmt: skip


class _GivenIdentity(AbstractAuthenticationMiddleware):
    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, exclude_http_methods=())

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        identity = connection.scope.get(_IDENTITY_KEY)
        if not isinstance(identity, Identity):
            raise UnauthenticatedError
        return AuthenticationResult(user=identity, auth=None)


class OwnApi:
    """Not reachable but through `answer`."""

    def __init__(self, handlers: Sequence[ControllerRouterHandler], dependencies: Mapping[str, object]) -> None:
        self._app = ServiceApp(
            route_handlers=list(handlers),
            dependencies={name: provide(value) for name, value in dependencies.items()},
            middleware=[_GivenIdentity],
            exception_handlers=problem_handlers(),
            openapi_config=openapi_config("Broadsheet gateway", "Users and API keys."),
            plugins=[RawObjects(), DependenciesInTurn()],
            request_class=JsonRequest,
            request_max_body_size=API_BODY_MAX_BYTES,
            logging_config=None,
        )

    @property
    def app(self) -> Litestar:
        return self._app

    def document(self) -> dict[str, Any]:
        """The OpenAPI document of these routes."""
        return served_document(self._app)

    async def answer(self, scope: HTTPScope, receive: Receive, send: Send, *, identity: Identity) -> None:
        """Answer a request whose sender is known. The scope is a copy without what the outer application noted."""
        own: dict[str, Any] = {key: value for key, value in scope.items() if key in _SCOPE_KEYS}
        own |= {"root_path": "", "state": {}, _IDENTITY_KEY: identity}
        await self._app(cast("HTTPScope", own), receive, send)
