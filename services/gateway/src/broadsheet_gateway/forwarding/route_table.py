"""The operations of the public API: who answers each, and which permission it needs.

A path or method that is not in this table does not exist. The services check the permission once more, and for the
newsletter in question; a test compares this table with theirs.
"""

import re
from typing import Final, Literal

import msgspec

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.contracts.permissions import Permission
from broadsheet_common.http.service_app import allow_header

API_PREFIX = "/api/v1/"

RouteOwner = ServiceName | Literal["gateway"]

ROUTES: Final[tuple[tuple[str, RouteOwner, dict[str, Permission]], ...]] = (
    ("/api/v1/subscribers", "subscriptions", {"GET": "subscribers:read", "POST": "subscribers:write"}),
    ("/api/v1/subscribers/batch", "subscriptions", {"POST": "subscribers:write"}),
    ("/api/v1/subscribers/search", "subscriptions", {"POST": "subscribers:read"}),
    ("/api/v1/subscribers/{id}", "subscriptions", {"GET": "subscribers:read", "PATCH": "subscribers:write"}),
    ("/api/v1/subscribers/{id}/send-confirmation", "subscriptions", {"POST": "subscribers:write"}),
    ("/api/v1/subscribers/{id}/unsubscribe", "subscriptions", {"POST": "subscribers:write"}),
    ("/api/v1/subscribers/{id}/export", "subscriptions", {"GET": "personal-data:export"}),
    ("/api/v1/subscribers/{id}/erase", "subscriptions", {"POST": "personal-data:erase"}),
    ("/api/v1/webhook-endpoints", "subscriptions", {"GET": "webhooks:read", "POST": "webhooks:write"}),
    (
        "/api/v1/webhook-endpoints/{id}",
        "subscriptions",
        {"DELETE": "webhooks:write", "GET": "webhooks:read", "PATCH": "webhooks:write"},
    ),
    ("/api/v1/webhook-endpoints/{id}/rotate-secret", "subscriptions", {"POST": "webhooks:write"}),
    ("/api/v1/webhook-endpoints/{id}/test", "subscriptions", {"POST": "webhooks:write"}),
    ("/api/v1/webhook-endpoints/{id}/deliveries", "subscriptions", {"GET": "webhooks:read"}),
    ("/api/v1/webhook-deliveries/{id}", "subscriptions", {"GET": "webhooks:read"}),
    ("/api/v1/webhook-deliveries/{id}/retry", "subscriptions", {"POST": "webhooks:write"}),
    ("/api/v1/imports", "subscriptions", {"GET": "imports:read", "POST": "imports:write"}),
    ("/api/v1/imports/{id}", "subscriptions", {"GET": "imports:read"}),
    ("/api/v1/imports/{id}/sample", "subscriptions", {"GET": "imports:read"}),
    ("/api/v1/imports/{id}/rejects", "subscriptions", {"GET": "imports:read"}),
    ("/api/v1/imports/{id}/rejected-rows", "subscriptions", {"GET": "imports:read"}),
    ("/api/v1/imports/{id}/reject-reasons", "subscriptions", {"GET": "imports:read"}),
    ("/api/v1/imports/{id}/start", "subscriptions", {"POST": "imports:write"}),
    ("/api/v1/imports/{id}/cancel", "subscriptions", {"POST": "imports:write"}),
    ("/api/v1/imports/{id}/undo", "subscriptions", {"POST": "imports:write"}),
    ("/api/v1/exports/subscribers", "subscriptions", {"GET": "subscribers:export"}),
    ("/api/v1/attributes", "subscriptions", {"GET": "attributes:read", "POST": "attributes:write"}),
    (
        "/api/v1/attributes/{name}",
        "subscriptions",
        {"DELETE": "attributes:write", "GET": "attributes:read", "PATCH": "attributes:write"},
    ),
    ("/api/v1/segments", "subscriptions", {"GET": "segments:read", "POST": "segments:write"}),
    ("/api/v1/segments/count", "subscriptions", {"POST": "segments:read"}),
    (
        "/api/v1/segments/{id}",
        "subscriptions",
        {"DELETE": "segments:write", "GET": "segments:read", "PATCH": "segments:write"},
    ),
    ("/api/v1/subscribers/{id}/consent", "subscriptions", {"GET": "consents:read"}),
    ("/api/v1/consents", "subscriptions", {"GET": "consents:read"}),
    ("/api/v1/newsletters", "publishing", {"GET": "newsletters:read", "POST": "newsletters:write"}),
    ("/api/v1/newsletters/{id}", "publishing", {"GET": "newsletters:read", "PATCH": "newsletters:write"}),
    ("/api/v1/newsletters/{id}/archive", "publishing", {"POST": "newsletters:write"}),
    ("/api/v1/newsletters/{id}/unarchive", "publishing", {"POST": "newsletters:write"}),
    ("/api/v1/newsletters/{id}/sign-up-mails/preview", "subscriptions", {"POST": "newsletters:read"}),
    ("/api/v1/newsletters/{id}/welcome-mail/preview", "publishing", {"POST": "newsletters:read"}),
    ("/api/v1/newsletters/{id}/welcome-mail/test", "publishing", {"POST": "newsletters:write"}),
    ("/api/v1/layouts", "publishing", {"GET": "layouts:read", "POST": "layouts:write"}),
    (
        "/api/v1/layouts/{id}",
        "publishing",
        {"DELETE": "layouts:write", "GET": "layouts:read", "PATCH": "layouts:write"},
    ),
    ("/api/v1/issues", "publishing", {"GET": "issues:read", "POST": "issues:write"}),
    ("/api/v1/issues/{id}", "publishing", {"DELETE": "issues:write", "GET": "issues:read", "PATCH": "issues:write"}),
    ("/api/v1/issues/{id}/duplicate", "publishing", {"POST": "issues:write"}),
    ("/api/v1/issues/{id}/revisions", "publishing", {"GET": "issues:read"}),
    ("/api/v1/issues/{id}/revisions/{version}", "publishing", {"GET": "issues:read"}),
    ("/api/v1/issues/{id}/revisions/{version}/changes", "publishing", {"GET": "issues:read"}),
    ("/api/v1/issues/{id}/revisions/{version}/restore", "publishing", {"POST": "issues:write"}),
    ("/api/v1/issues/{id}/checks", "publishing", {"POST": "issues:preview"}),
    ("/api/v1/issues/{id}/preview", "publishing", {"POST": "issues:preview"}),
    ("/api/v1/issues/{id}/audience", "publishing", {"POST": "issues:preview"}),
    ("/api/v1/issues/{id}/test", "publishing", {"POST": "issues:test"}),
    ("/api/v1/issues/{id}/approval", "publishing", {"GET": "issues:read", "POST": "issues:write"}),
    ("/api/v1/issues/{id}/approval/decision", "publishing", {"POST": "issues:approve"}),
    ("/api/v1/issues/{id}/history", "publishing", {"GET": "issues:read"}),
    ("/api/v1/issues/{id}/publish", "publishing", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/cancel", "publishing", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/ab-test", "publishing", {"GET": "issues:read"}),
    ("/api/v1/issues/{id}/winner", "publishing", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/waves", "publishing", {"GET": "issues:read"}),
    ("/api/v1/issues/{id}/archive", "publishing", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/schedule", "publishing", {"DELETE": "issues:publish", "POST": "issues:publish"}),
    ("/api/v1/issues/{id}/deliveries", "delivery", {"GET": "deliveries:read"}),
    ("/api/v1/issues/{id}/decide-uncertain", "delivery", {"POST": "deliveries:decide"}),
    ("/api/v1/issues/{id}/decisions", "delivery", {"GET": "deliveries:read"}),
    ("/api/v1/issues/{id}/retry-failed", "delivery", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/report", "delivery", {"GET": "reports:read"}),
    ("/api/v1/issues/{id}/report/csv", "delivery", {"GET": "reports:read"}),
    ("/api/v1/newsletters/{id}/engagement", "delivery", {"GET": "reports:read"}),
    ("/api/v1/newsletters/{id}/engagement/csv", "delivery", {"GET": "reports:read"}),
    ("/api/v1/newsletters/{id}/report", "subscriptions", {"GET": "reports:read"}),
    ("/api/v1/newsletters/{id}/report/csv", "subscriptions", {"GET": "reports:read"}),
    ("/api/v1/issues/{id}/pause", "delivery", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/resume", "delivery", {"POST": "issues:publish"}),
    ("/api/v1/issues/{id}/events", "delivery", {"GET": "issues:read"}),
    ("/api/v1/events", "delivery", {"GET": "issues:read"}),
    ("/api/v1/deliveries", "delivery", {"GET": "deliveries:read"}),
    ("/api/v1/deliveries/{id}", "delivery", {"GET": "deliveries:read"}),
    ("/api/v1/deliveries/{id}/decide", "delivery", {"POST": "deliveries:decide"}),
    ("/api/v1/senders", "delivery", {"GET": "senders:read", "PATCH": "senders:write"}),
    ("/api/v1/senders/pause", "delivery", {"POST": "senders:write"}),
    ("/api/v1/senders/resume", "delivery", {"POST": "senders:write"}),
    ("/api/v1/suppressions", "delivery", {"GET": "suppressions:read", "POST": "suppressions:write"}),
    ("/api/v1/suppressions/{id}", "delivery", {"DELETE": "suppressions:write"}),
    ("/api/v1/users", "gateway", {"GET": "users:read"}),
    ("/api/v1/users/invitations", "gateway", {"GET": "users:read", "POST": "users:write"}),
    ("/api/v1/users/invitations/{id}", "gateway", {"DELETE": "users:write"}),
    ("/api/v1/users/invitations/{id}/send-again", "gateway", {"POST": "users:write"}),
    ("/api/v1/users/{id}", "gateway", {"GET": "users:read", "PATCH": "users:write"}),
    ("/api/v1/users/{id}/deactivate", "gateway", {"POST": "users:write"}),
    ("/api/v1/users/{id}/end-sessions", "gateway", {"POST": "users:write"}),
    ("/api/v1/users/{id}/remove-second-factor", "gateway", {"POST": "users:write"}),
    ("/api/v1/installation", "gateway", {"GET": "users:read", "PATCH": "users:write"}),
    ("/api/v1/users/{id}/reactivate", "gateway", {"POST": "users:write"}),
    ("/api/v1/audit", "gateway", {"GET": "audit:read"}),
    ("/api/v1/audit/export", "gateway", {"GET": "audit:read"}),
    ("/api/v1/api-keys", "gateway", {"GET": "keys:read", "POST": "keys:write"}),
    ("/api/v1/api-keys/{id}", "gateway", {"GET": "keys:read", "PATCH": "keys:write"}),
    ("/api/v1/api-keys/{id}/rotate", "gateway", {"POST": "keys:write"}),
    ("/api/v1/api-keys/{id}/revoke", "gateway", {"POST": "keys:write"}),
    ("/api/v1/api-keys/{id}/uses", "gateway", {"GET": "keys:read"}),
)

FILE_ROUTES = frozenset({"/api/v1/imports"})
"""Routes whose body may be a file, which is larger and takes longer than any other."""

STREAM_ROUTES = frozenset({"/api/v1/issues/{id}/events", "/api/v1/events"})
"""Routes that are answered with a stream of events, which may last for long."""

# A path parameter is one plain segment. Nothing percent-encoded passes, so no hidden slash or dot segment: the service
# sees exactly what was matched here.
_PARAMETER = re.compile(r"\{[a-z_]+\}")
_SEGMENT = r"[A-Za-z0-9_-]{1,64}"


class Route(msgspec.Struct, frozen=True):
    """`template` names the route in logs and metrics; `permissions` holds the permission that each method needs;
    `methods` are all that it takes, with `HEAD` and `OPTIONS`, and `allow` is the header that says so.
    """

    template: str
    owner: RouteOwner
    permissions: dict[str, Permission]
    methods: frozenset[str]
    allow: str


def _route(template: str, owner: RouteOwner, permissions: dict[str, Permission]) -> Route:
    allow = allow_header(permissions)
    return Route(template, owner, permissions, frozenset(allow.split(", ")), allow)


def _compile() -> tuple[re.Pattern[str], tuple[Route, ...]]:
    alternatives = "|".join(f"({_PARAMETER.sub(_SEGMENT, template)})" for template, _, _ in ROUTES)
    return re.compile(alternatives), tuple(_route(*route) for route in ROUTES)


_PATTERN, _BY_GROUP = _compile()


def find_route(path: str) -> Route | None:
    """The route of a path as it was sent (still percent-encoded); None when the API has no such path."""
    match = _PATTERN.fullmatch(path)
    return _BY_GROUP[match.lastindex - 1] if match is not None and match.lastindex is not None else None


def owner_of_template(template: str) -> RouteOwner | None:
    """Who answers for a path template of an OpenAPI document, whatever its parameters are called."""
    route = find_route(_PARAMETER.sub("x", template))
    return route.owner if route is not None else None
