"""Security headers on every answer, errors included.

`Cache-Control: no-store` is set unless a handler set another value, so that no browser or proxy stores a
session's page or a token. A page that needs another policy sets `Content-Security-Policy` itself, since two of them
would both be in force; and one that is made for a frame of ours sets `X-Frame-Options`.
"""

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

from broadsheet_gateway.http.content_policy import CONTENT_SECURITY_POLICY
from broadsheet_gateway.http.request_path import sent_path

_UNLESS_SAID = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)
_HSTS = "max-age=31536000"
_TOKEN_PATHS = (
    "/subscriptions/confirm", "/unsubscribe/", "/preferences/", "/change-of-address/", "/password-reset/",
    "/invitation/", "/email-change/", "/login/provider/callback",
)  # fmt: skip


Pairs = list[tuple[bytes, bytes]]


def headers_of_ordinary_pages(*, is_https: bool, hsts_subdomains: bool = False) -> Pairs:
    """All that an answer has whose path holds no token and whose handler sets none of them."""
    fixed = _fixed(is_https=is_https, hsts_subdomains=hsts_subdomains)
    return [*fixed, _referrer_policy(is_token_page=False), *_UNLESS_SAID]


def _referrer_policy(*, is_token_page: bool) -> tuple[bytes, bytes]:
    """A token in the URL must not leak in a Referer. On other pages the own site may see it: `no-referrer` would also
    make browsers send `Origin: null` with our own forms.
    """
    return b"referrer-policy", b"no-referrer" if is_token_page else b"same-origin"


def _fixed(*, is_https: bool, hsts_subdomains: bool) -> Pairs:
    fixed = {
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if is_https:
        fixed["Strict-Transport-Security"] = f"{_HSTS}; includeSubDomains" if hsts_subdomains else _HSTS

    return [(name.lower().encode(), value.encode()) for name, value in fixed.items()]


def security_headers_hook(*, is_https: bool, hsts_subdomains: bool = False) -> BeforeMessageSendHookHandler:
    """A Litestar `before_send` hook: unlike middleware, it also sees the answers to paths that have no route.
    `hsts_subdomains`: browsers are told to use HTTPS for the hosts below this one too (RFC 6797, 6.1.2).
    """
    fixed_pairs = _fixed(is_https=is_https, hsts_subdomains=hsts_subdomains)

    async def add_headers(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        given = list(message["headers"])
        policy = _referrer_policy(is_token_page=sent_path(scope).startswith(_TOKEN_PATHS))
        said = {name.lower() for name, _ in given}
        unless_said = [pair for pair in _UNLESS_SAID if pair[0] not in said]
        message["headers"] = [*given, *fixed_pairs, policy, *unless_said]

    return add_headers
