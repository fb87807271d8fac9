"""`/openapi.json`: the merged document, kept for a minute; `/docs`: the page that shows it and can try it."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, get_args

import msgspec
from litestar import Response, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from broadsheet_common.contracts.identity import PUBLIC_IDENTITY, ServiceName
from broadsheet_common.http.problems import ProblemError, UnavailableError
from broadsheet_gateway.accounts.current_session import CurrentSession
from broadsheet_gateway.api_docs.merge_openapi import Document, merge_documents
from broadsheet_gateway.forwarding.route_table import API_PREFIX, RouteOwner
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.http.content_policy import CONTENT_SECURITY_POLICY
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages.views import DocsPage
from broadsheet_gateway.settings import GatewaySettings

CACHE_S = 60.0
RETRY_S = 5.0
_SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)
_CACHE_CONTROL = "public, max-age=60"
_DOCS_POLICY = f"{CONTENT_SECURITY_POLICY}; img-src 'self' data:"
"""Swagger UI's style sheet holds its icons as `data:` addresses."""


class ApiDocument(msgspec.Struct, frozen=True):
    """The merged document, encoded. `etag` is quoted."""

    body: bytes
    etag: str


class ApiDocuments:
    """Asks the services at most once a minute. For a service that is down, its last known part is kept."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        own: Document,
        public_url: str,
        session_cookie_name: str,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstreams = upstreams
        self._own = own
        self._public_url = public_url
        self._session_cookie_name = session_cookie_name
        self._monotonic_s = monotonic_s
        self._parts: dict[ServiceName, Document] = {}
        self._current: ApiDocument | None = None
        self._ask_again_at_s = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self) -> ApiDocument:
        """Raises `UnavailableError` if no service has answered yet."""
        async with self._lock:
            if self._monotonic_s() >= self._ask_again_at_s:
                await self._ask()
        if self._current is None:
            raise UnavailableError
        return self._current

    async def _ask(self) -> None:
        answers = await asyncio.gather(*(self._ask_service(service) for service in _SERVICES))
        found = {service: part for service, part in zip(_SERVICES, answers, strict=True) if part is not None}
        self._ask_again_at_s = self._monotonic_s() + (CACHE_S if len(found) == len(_SERVICES) else RETRY_S)
        parts = {**self._parts, **found}
        if parts and (parts != self._parts or self._current is None):
            self._parts = parts
            self._current = self._make(parts)

    async def _ask_service(self, service: ServiceName) -> Document | None:
        try:
            return await self._upstreams.call(
                service, "GET", "/openapi.json", identity=PUBLIC_IDENTITY, answer=dict[str, Any]
            )
        except (ProblemError, UpstreamRefusalError):
            return None  # logged where it was raised

    def _make(self, parts: dict[ServiceName, Document]) -> ApiDocument:
        with_own: dict[RouteOwner, Document] = {service: part for service, part in parts.items()}  # noqa: C416  # wider keys
        with_own["gateway"] = self._own
        document = merge_documents(
            with_own,
            version=version("broadsheet-gateway"),
            public_url=self._public_url,
            session_cookie_name=self._session_cookie_name,
        )
        body = msgspec.json.encode(document)
        return ApiDocument(body=body, etag=f'"{hashlib.sha256(body).hexdigest()[:16]}"')


@route("/openapi.json", http_method=["GET", "HEAD"], include_in_schema=False)
async def openapi_json(api_documents: NamedDependency[ApiDocuments]) -> Response[bytes]:
    document = await api_documents.get()
    headers = {"Cache-Control": _CACHE_CONTROL, "ETag": document.etag}
    return Response(document.body, headers=headers, media_type="application/json")


@route("/docs", http_method=["GET", "HEAD"], include_in_schema=False)
async def docs_page(
    request: AnyRequest,
    current_session: NamedDependency[CurrentSession],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
) -> PageResponse:
    try:
        session = await current_session.find(request.cookies)
    except UnavailableError:
        session = None  # the reference can be read without one
    signed_in = session.signed_in if session is not None else None
    view = DocsPage(signed_in=signed_in, api_url=f"{settings.public_origin}{API_PREFIX}".rstrip("/"))
    return responder.page(view, headers={"Content-Security-Policy": _DOCS_POLICY})


API_DOCUMENT_HANDLERS: tuple[HTTPRouteHandler, ...] = (openapi_json, docs_page)
