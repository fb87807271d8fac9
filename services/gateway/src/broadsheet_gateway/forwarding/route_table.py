"""Which service owns which path of the public API. What is not in this table does not exist."""

import re

import msgspec

from broadsheet_common.contracts.identity import ServiceName

API_PREFIX = "/api/v1/"

ROUTES: tuple[tuple[str, ServiceName], ...] = (
    ("/api/v1/subscribers", "subscriptions"),
    ("/api/v1/subscribers/search", "subscriptions"),
    ("/api/v1/subscribers/{id}", "subscriptions"),
    ("/api/v1/subscribers/{id}/unsubscribe", "subscriptions"),
    ("/api/v1/subscribers/{id}/export", "subscriptions"),
    ("/api/v1/subscribers/{id}/erase", "subscriptions"),
    ("/api/v1/webhook-endpoints", "subscriptions"),
    ("/api/v1/webhook-endpoints/{id}", "subscriptions"),
    ("/api/v1/webhook-endpoints/{id}/rotate-secret", "subscriptions"),
    ("/api/v1/webhook-endpoints/{id}/test", "subscriptions"),
    ("/api/v1/webhook-endpoints/{id}/deliveries", "subscriptions"),
    ("/api/v1/webhook-deliveries/{id}", "subscriptions"),
    ("/api/v1/webhook-deliveries/{id}/retry", "subscriptions"),
    ("/api/v1/imports", "subscriptions"),
    ("/api/v1/imports/{id}", "subscriptions"),
    ("/api/v1/imports/{id}/rejects", "subscriptions"),
    ("/api/v1/imports/{id}/start", "subscriptions"),
    ("/api/v1/imports/{id}/cancel", "subscriptions"),
    ("/api/v1/imports/{id}/undo", "subscriptions"),
    ("/api/v1/exports/subscribers", "subscriptions"),
    ("/api/v1/attributes", "subscriptions"),
    ("/api/v1/attributes/{name}", "subscriptions"),
    ("/api/v1/segments", "subscriptions"),
    ("/api/v1/segments/count", "subscriptions"),
    ("/api/v1/segments/{id}", "subscriptions"),
    ("/api/v1/subscribers/{id}/consent", "subscriptions"),
    ("/api/v1/consents", "subscriptions"),
    ("/api/v1/newsletters", "publishing"),
    ("/api/v1/newsletters/{id}", "publishing"),
    ("/api/v1/issues", "publishing"),
    ("/api/v1/issues/{id}", "publishing"),
    ("/api/v1/issues/{id}/publish", "publishing"),
    ("/api/v1/issues/{id}/cancel", "publishing"),
    ("/api/v1/issues/{id}/schedule", "publishing"),
    ("/api/v1/issues/{id}/deliveries", "delivery"),
    ("/api/v1/issues/{id}/decide-uncertain", "delivery"),
    ("/api/v1/issues/{id}/decisions", "delivery"),
    ("/api/v1/issues/{id}/retry-failed", "delivery"),
    ("/api/v1/issues/{id}/pause", "delivery"),
    ("/api/v1/issues/{id}/resume", "delivery"),
    ("/api/v1/deliveries", "delivery"),
    ("/api/v1/deliveries/{id}", "delivery"),
    ("/api/v1/deliveries/{id}/decide", "delivery"),
    ("/api/v1/senders", "delivery"),
    ("/api/v1/senders/pause", "delivery"),
    ("/api/v1/senders/resume", "delivery"),
    ("/api/v1/suppressions", "delivery"),
    ("/api/v1/suppressions/{id}", "delivery"),
)

FILE_ROUTES = frozenset({"/api/v1/imports"})
"""Where a body may be a file, which is larger and takes longer than any other."""

# A path parameter is one plain segment. Nothing encoded passes, and so no slash or dot segment in disguise: what was
# matched here is letter by letter what the service sees.
_PARAMETER = re.compile(r"\{[a-z_]+\}")
_SEGMENT = r"[A-Za-z0-9_-]{1,64}"


class Route(msgspec.Struct, frozen=True):
    """`template` names the route in logs and metrics."""

    template: str
    service: ServiceName


def _compile() -> tuple[re.Pattern[str], tuple[Route, ...]]:
    alternatives = "|".join(f"({_PARAMETER.sub(_SEGMENT, template)})" for template, _ in ROUTES)
    return re.compile(alternatives), tuple(Route(template, service) for template, service in ROUTES)


_PATTERN, _BY_GROUP = _compile()


def find_route(path: str) -> Route | None:
    """The route of a path as it was sent (still percent-encoded); None when the API has no such path."""
    match = _PATTERN.fullmatch(path)
    return _BY_GROUP[match.lastindex - 1] if match is not None and match.lastindex is not None else None


def owner_of_template(template: str) -> ServiceName | None:
    """The service that answers for a path template of an OpenAPI document, whatever its parameters are called."""
    route = find_route(_PARAMETER.sub("x", template))
    return route.service if route is not None else None
