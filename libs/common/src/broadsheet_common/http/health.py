"""Liveness, readiness and metrics, the same on every service.

`/health/live` does no I/O. `/health/ready` asks the service's own checks and turns 503 as soon as the process is told
to stop, before the listener closes, so that a load balancer moves on first. `/metrics` is Prometheus text.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from litestar import Response, Router, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

ReadinessCheck = Callable[[], Awaitable[str | None]]
"""Answers None when fine, or a few words on what is wrong; may raise, which counts as wrong."""

CHECK_TIMEOUT_S = 3.0
OPEN_ROUTE: dict[str, Any] = {"exclude_from_auth": True}

_log = structlog.get_logger()


class Readiness(msgspec.Struct, frozen=True):
    """`status` is ready, draining or failing; `checks` holds one entry a dependency: `ok` or what is wrong."""

    status: str
    checks: dict[str, str]


async def _run_check(name: str, check: ReadinessCheck) -> str:
    try:
        return await asyncio.wait_for(check(), CHECK_TIMEOUT_S) or "ok"
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001  # whatever a dependency raises, the answer is "not ready", and it is logged
        _log.warning("health.check_failed", check=name, error=type(error).__name__)
        return type(error).__name__


def health_routes(checks: Mapping[str, ReadinessCheck], registry: CollectorRegistry) -> Router:
    """The routes; `app.state.draining` is set by the process when it is told to stop."""

    @get("/health/live", opt=OPEN_ROUTE, include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready", opt=OPEN_ROUTE, include_in_schema=False)
    async def ready(state: State) -> Response[Readiness]:
        results = dict(zip(checks, await asyncio.gather(*(_run_check(n, c) for n, c in checks.items())), strict=True))
        status = "ready" if all(v == "ok" for v in results.values()) else "failing"
        if state.get("draining", False):
            status = "draining"
        return Response(Readiness(status, results), status_code=200 if status == "ready" else 503)

    @get("/metrics", opt=OPEN_ROUTE, include_in_schema=False, media_type=CONTENT_TYPE_PLAIN_0_0_4)
    async def metrics() -> bytes:
        return generate_latest(registry)

    handlers: list[HTTPRouteHandler] = [live, ready, metrics]
    return Router("/", route_handlers=handlers)
