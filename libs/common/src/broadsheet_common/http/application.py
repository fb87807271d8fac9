"""The Litestar application that every service starts from: errors, tracing, access log, metrics, health, limits."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp, ControllerRouterHandler, HTTPScope, Message, Middleware, Receive, Scope, Send
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.http.health import ReadinessCheck, health_routes
from broadsheet_common.http.problems import ProblemError, problem_handlers
from broadsheet_common.http.ready_dependencies import DependenciesInTurn, provide
from broadsheet_common.http.request_rules import RequestRules
from broadsheet_common.http.route_rules import JsonRequest, RawObjects
from broadsheet_common.http.service_app import ReadyAnswer, ServiceApp, sent_method
from broadsheet_common.process.log_output import lost_lines
from broadsheet_common.process.metrics import Counter, Gauge, Histogram, metric_faults
from broadsheet_common.process.tracing import enter_trace, start_trace

API_BODY_MAX_BYTES = 10 * 1024 * 1024

_QUIET_PATHS = frozenset({"/health/live", "/health/ready", "/metrics", "/health-check"})

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = structlog.get_logger()


class _ReportingFaults(Collector):
    """Counts lost log lines and metrics. A failed report never stops the work, so these counts are all that is
    known.
    """

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily("log_lines_lost", "Log lines that could not be written", value=lost_lines())
        yield CounterMetricFamily("metric_faults", "Metrics that could not be set", value=metric_faults())


class ServerMetrics:
    """The HTTP metrics of one process, in a registry of its own (tests start several in one process)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_ReportingFaults())
        self.requests = Counter(
            "http_requests_total",
            "Requests by route template, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.connections_closed = Counter(
            "http_connections_closed_total",
            "Connections that the server closed because of a limit, by limit",
            ("reason",),
            registry=self.registry,
        )
        self.connections = Gauge("http_connections", "Open client connections", registry=self.registry)
        self.durations_s = Histogram(
            "http_request_duration_seconds",
            "From request to last byte of the answer",
            ("route",),
            registry=self.registry,
        )


class _RequestMiddleware(ASGIMiddleware):
    """Enters the trace, measures the time, and logs one line per request: route template and ids, never the query
    string.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics
        # As many as routes, methods and statuses: looking labels up costs more than counting.
        self._known_series: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def _series(self, route: str, method: str, status: int) -> tuple[Any, Any]:
        known = self._known_series.get((route, method, status))
        if known is None:
            known = (
                self._metrics.requests.labels(route, method, str(status)),
                self._metrics.durations_s.labels(route),
            )
            self._known_series[route, method, status] = known
        return known

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        sent = sent_method(cast("dict[str, Any]", scope))
        # A client may invent methods, and each would become a metric series.
        method = sent if sent in _METHODS else "other"
        headers = dict(scope["headers"])
        trace = start_trace(
            headers.get(b"traceparent", b"").decode("latin-1"),
            headers.get(b"x-request-id", b"").decode("latin-1"),
        )
        enter_trace(trace)
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", trace.request_id.encode())]
            await send(message)

        try:
            await next_app(scope, receive, send_with_id)
        except ProblemError as error:
            status = error.status  # an outer layer sends the answer when a middleware refuses a request
            raise
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            duration_s = time.perf_counter() - started
            # The template, not the path: each id or token in a path would become a metric series, and tokens would
            # leak.
            route = scope.get("path_template") or "(none)"
            if route not in _QUIET_PATHS:
                count, durations_s = self._series(route, method, status)
                count.inc()
                durations_s.observe(duration_s)
                _log.info(
                    "http.request",
                    method=method,
                    route=route,
                    status=status,
                    duration_ms=round(duration_s * 1000, 2),
                )


def create_service_app(
    *,
    route_handlers: Sequence[ControllerRouterHandler],
    dependencies: Mapping[str, object],
    readiness_checks: Mapping[str, ReadinessCheck],
    optional_checks: Mapping[str, ReadinessCheck] | None = None,
    background: BackgroundRunner | None = None,
    middleware: Sequence[Middleware] = (),
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
    state: Mapping[str, object] | None = None,
    metrics: ServerMetrics | None = None,
    openapi_config: OpenAPIConfig | None = None,
    body_max_bytes: int = API_BODY_MAX_BYTES,
    configure: Callable[[AppConfig], AppConfig] | None = None,
    token_paths: tuple[str, ...] = (),
    coded_body_paths: tuple[str, ...] = (),
    answer_at_once: Callable[[HTTPScope], ReadyAnswer | None] | None = None,
) -> Litestar:
    """A Litestar app with everything that all services share.

    `dependencies` are ready objects, injected by name (`engine: NamedDependency[AsyncEngine]`). `lifespan`
    managers open and close what the app owns; one of them runs `background`, whose loops readiness shows. If one
    of the `optional_checks` fails, the service is degraded but still ready. Nothing is started here.
    `token_paths`, `coded_body_paths`: see `RequestRules`. What is in `state.on_draining` is called when the process is
    told to stop: for answers that would not end by themselves. `answer_at_once`: see `ServiceApp`.
    """
    metrics = metrics or ServerMetrics()
    app = ServiceApp(
        route_handlers=[
            *route_handlers,
            health_routes(
                readiness_checks, metrics.registry, optional_checks=optional_checks or {}, background=background
            ),
        ],
        dependencies={name: provide(value) for name, value in dependencies.items()},
        middleware=[_RequestMiddleware(metrics), RequestRules(token_paths, coded_body_paths), *middleware],
        exception_handlers=problem_handlers(),
        lifespan=list(lifespan),
        state=State(
            {
                "on_draining": (),
                **(state or {}),
                "draining": False,
                "background": background,
                "server_metrics": metrics,
            }
        ),
        openapi_config=openapi_config,
        plugins=[RawObjects(), DependenciesInTurn()],
        request_class=JsonRequest,
        request_max_body_size=body_max_bytes,
        logging_config=None,
        on_app_init=[configure] if configure else [],
    )
    app.answer_at_once = answer_at_once
    return app
