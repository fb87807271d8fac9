"""Security headers on every answer, errors included.

`Cache-Control: no-store` is set unless a handler set another value, so that no browser or proxy stores a
session's page or a token. A page that needs another policy sets `Content-Security-Policy` itself: two of them would
both be in force.
"""

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

from broadsheet_gateway.http.request_path import sent_path

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
)
_UNLESS_SAID = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"cache-control", b"no-store"),
)
_HSTS = "max-age=31536000"
_TOKEN_PATHS = ("/subscriptions/confirm", "/unsubscribe/", "/preferences/", "/change-of-address/", "/password-reset/")


def security_headers_hook(*, is_https: bool, hsts_subdomains: bool = False) -> BeforeMessageSendHookHandler:
    """A Litestar `before_send` hook: unlike middleware, it also sees the answers to paths that have no route.
    `hsts_subdomains`: browsers are told to use HTTPS for the hosts below this one too (RFC 6797, 6.1.2).
    """
    fixed = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if is_https:
        fixed["Strict-Transport-Security"] = f"{_HSTS}; includeSubDomains" if hsts_subdomains else _HSTS

    fixed_pairs = [(name.lower().encode(), value.encode()) for name, value in fixed.items()]

    async def add_headers(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        given = list(message["headers"])
        # A token in the URL must not leak in a Referer. On other pages the own site may see it: `no-referrer` would
        # also make browsers send `Origin: null` with our own forms.
        is_token_page = sent_path(scope).startswith(_TOKEN_PATHS)
        policy = (b"referrer-policy", b"no-referrer" if is_token_page else b"same-origin")
        said = {name.lower() for name, _ in given}
        unless_said = [pair for pair in _UNLESS_SAID if pair[0] not in said]
        message["headers"] = [*given, *fixed_pairs, policy, *unless_said]

    return add_headers
