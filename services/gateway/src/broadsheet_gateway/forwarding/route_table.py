"""Which service owns which path of the public API. A path that is not in this table does not exist."""

import re

import msgspec

from broadsheet_common.contracts.identity import ServiceName

API_PREFIX = "/api/v1/"

ROUTES: tuple[tuple[str, ServiceName, str], ...] = (
    ("/api/v1/subscribers", "subscriptions", "GET POST"),
    ("/api/v1/subscribers/search", "subscriptions", "POST"),
    ("/api/v1/subscribers/{id}", "subscriptions", "GET PATCH"),
    ("/api/v1/subscribers/{id}/unsubscribe", "subscriptions", "POST"),
    ("/api/v1/subscribers/{id}/export", "subscriptions", "GET"),
    ("/api/v1/subscribers/{id}/erase", "subscriptions", "POST"),
    ("/api/v1/webhook-endpoints", "subscriptions", "GET POST"),
    ("/api/v1/webhook-endpoints/{id}", "subscriptions", "DELETE GET PATCH"),
    ("/api/v1/webhook-endpoints/{id}/rotate-secret", "subscriptions", "POST"),
    ("/api/v1/webhook-endpoints/{id}/test", "subscriptions", "POST"),
    ("/api/v1/webhook-endpoints/{id}/deliveries", "subscriptions", "GET"),
    ("/api/v1/webhook-deliveries/{id}", "subscriptions", "GET"),
    ("/api/v1/webhook-deliveries/{id}/retry", "subscriptions", "POST"),
    ("/api/v1/imports", "subscriptions", "GET POST"),
    ("/api/v1/imports/{id}", "subscriptions", "GET"),
    ("/api/v1/imports/{id}/rejects", "subscriptions", "GET"),
    ("/api/v1/imports/{id}/start", "subscriptions", "POST"),
    ("/api/v1/imports/{id}/cancel", "subscriptions", "POST"),
    ("/api/v1/imports/{id}/undo", "subscriptions", "POST"),
    ("/api/v1/exports/subscribers", "subscriptions", "GET"),
    ("/api/v1/attributes", "subscriptions", "GET POST"),
    ("/api/v1/attributes/{name}", "subscriptions", "DELETE GET PATCH"),
    ("/api/v1/segments", "subscriptions", "GET POST"),
    ("/api/v1/segments/count", "subscriptions", "POST"),
    ("/api/v1/segments/{id}", "subscriptions", "DELETE GET PATCH"),
    ("/api/v1/subscribers/{id}/consent", "subscriptions", "GET"),
    ("/api/v1/consents", "subscriptions", "GET"),
    ("/api/v1/newsletters", "publishing", "GET POST"),
    ("/api/v1/newsletters/{id}", "publishing", "GET PATCH"),
    ("/api/v1/newsletters/{id}/archive", "publishing", "POST"),
    ("/api/v1/newsletters/{id}/unarchive", "publishing", "POST"),
    ("/api/v1/newsletters/{id}/welcome-mail/preview", "publishing", "POST"),
    ("/api/v1/newsletters/{id}/welcome-mail/test", "publishing", "POST"),
    ("/api/v1/layouts", "publishing", "GET POST"),
    ("/api/v1/layouts/{id}", "publishing", "DELETE GET PATCH"),
    ("/api/v1/issues", "publishing", "GET POST"),
    ("/api/v1/issues/{id}", "publishing", "DELETE GET PATCH"),
    ("/api/v1/issues/{id}/duplicate", "publishing", "POST"),
    ("/api/v1/issues/{id}/revisions", "publishing", "GET"),
    ("/api/v1/issues/{id}/revisions/{version}", "publishing", "GET"),
    ("/api/v1/issues/{id}/revisions/{version}/changes", "publishing", "GET"),
    ("/api/v1/issues/{id}/revisions/{version}/restore", "publishing", "POST"),
    ("/api/v1/issues/{id}/checks", "publishing", "POST"),
    ("/api/v1/issues/{id}/preview", "publishing", "POST"),
    ("/api/v1/issues/{id}/audience", "publishing", "POST"),
    ("/api/v1/issues/{id}/test", "publishing", "POST"),
    ("/api/v1/issues/{id}/approval", "publishing", "GET POST"),
    ("/api/v1/issues/{id}/approval/decision", "publishing", "POST"),
    ("/api/v1/issues/{id}/history", "publishing", "GET"),
    ("/api/v1/issues/{id}/publish", "publishing", "POST"),
    ("/api/v1/issues/{id}/cancel", "publishing", "POST"),
    ("/api/v1/issues/{id}/ab-test", "publishing", "GET"),
    ("/api/v1/issues/{id}/winner", "publishing", "POST"),
    ("/api/v1/issues/{id}/waves", "publishing", "GET"),
    ("/api/v1/issues/{id}/archive", "publishing", "POST"),
    ("/api/v1/issues/{id}/schedule", "publishing", "DELETE POST"),
    ("/api/v1/issues/{id}/deliveries", "delivery", "GET"),
    ("/api/v1/issues/{id}/decide-uncertain", "delivery", "POST"),
    ("/api/v1/issues/{id}/decisions", "delivery", "GET"),
    ("/api/v1/issues/{id}/retry-failed", "delivery", "POST"),
    ("/api/v1/issues/{id}/events", "delivery", "GET"),
    ("/api/v1/events", "delivery", "GET"),
    ("/api/v1/issues/{id}/report", "delivery", "GET"),
    ("/api/v1/issues/{id}/report/csv", "delivery", "GET"),
    ("/api/v1/newsletters/{id}/engagement", "delivery", "GET"),
    ("/api/v1/newsletters/{id}/engagement/csv", "delivery", "GET"),
    ("/api/v1/newsletters/{id}/report", "subscriptions", "GET"),
    ("/api/v1/newsletters/{id}/report/csv", "subscriptions", "GET"),
    ("/api/v1/issues/{id}/pause", "delivery", "POST"),
    ("/api/v1/issues/{id}/resume", "delivery", "POST"),
    ("/api/v1/deliveries", "delivery", "GET"),
    ("/api/v1/deliveries/{id}", "delivery", "GET"),
    ("/api/v1/deliveries/{id}/decide", "delivery", "POST"),
    ("/api/v1/senders", "delivery", "GET PATCH"),
    ("/api/v1/senders/pause", "delivery", "POST"),
    ("/api/v1/senders/resume", "delivery", "POST"),
    ("/api/v1/suppressions", "delivery", "GET POST"),
    ("/api/v1/suppressions/{id}", "delivery", "DELETE"),
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
    """`template` names the route in logs and metrics; `methods` are those of its service's document."""

    template: str
    service: ServiceName
    methods: frozenset[str]


def _compile() -> tuple[re.Pattern[str], tuple[Route, ...]]:
    alternatives = "|".join(f"({_PARAMETER.sub(_SEGMENT, template)})" for template, _, _ in ROUTES)
    routes = (Route(template, service, frozenset(methods.split())) for template, service, methods in ROUTES)
    return re.compile(alternatives), tuple(routes)


_PATTERN, _BY_GROUP = _compile()


def find_route(path: str) -> Route | None:
    """The route of a path as it was sent (still percent-encoded); None when the API has no such path."""
    match = _PATTERN.fullmatch(path)
    return _BY_GROUP[match.lastindex - 1] if match is not None and match.lastindex is not None else None


def owner_of_template(template: str) -> ServiceName | None:
    """The service that answers for a path template of an OpenAPI document, whatever its parameters are called."""
    route = find_route(_PARAMETER.sub("x", template))
    return route.service if route is not None else None
