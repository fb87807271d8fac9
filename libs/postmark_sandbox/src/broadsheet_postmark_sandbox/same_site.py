"""Keeps pages of other sites, opened in the developer's browser, from reaching the sandbox.

The control API has no authentication. Two rules replace it:

- Host: an address, `localhost`, or a name that was allowed at the start. Any other name that resolves to the sandbox
  may belong to a hostile page (DNS rebinding): its scripts would have the same origin and could read the mail.
- A request that changes something must not come from another site's page. Browsers say where a request comes from in
  Sec-Fetch-Site, older ones in Origin; other programs send neither.

Sources: the Fetch metadata specification (Sec-Fetch-Site), RFC 9110 7.2 (Host).
"""

import ipaddress
from collections.abc import Collection, Mapping
from typing import cast
from urllib.parse import urlsplit

import msgspec
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from broadsheet_postmark_sandbox.api.answers import json_answer

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})


class _Problem(msgspec.Struct, frozen=True):
    title: str
    status: int
    detail: str
    type: str = "about:blank"


class SameSite(ASGIMiddleware):
    """`allowed_hosts`: lower-case names that are allowed besides `localhost` and addresses."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, allowed_hosts: Collection[str]) -> None:
        self._allowed_hosts = {"localhost", *allowed_hosts}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = Headers.from_scope(scope)
        problem = self._problem(cast("HTTPScope", scope)["method"], headers)
        answer = next_app if problem is None else json_answer(problem.status, problem)
        await answer(scope, receive, send)

    def _problem(self, method: str, headers: Mapping[str, str]) -> _Problem | None:
        host = headers.get("host", "")
        name = host_name(host)
        if name is None or not (name in self._allowed_hosts or _is_address(name)):
            return _Problem(
                "Misdirected Request",
                421,
                "this host name is not the sandbox's: reach it by its address or as localhost, or start it with "
                "--allow-host",
            )
        if method not in _SAFE_METHODS and comes_from_another_site(host, headers):
            return _Problem("Forbidden", 403, "a page of another site must not make changes here")
        return None


def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case and without its port; None if there is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def comes_from_another_site(host: str, headers: Mapping[str, str]) -> bool:
    """Whether the browser's headers say that another site sent the request. `Origin: null` is a page that hides its
    origin.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site.lower() not in _OWN_SITE
    origin = headers.get("origin")
    return origin is not None and origin.lower().partition("://")[2] != host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
