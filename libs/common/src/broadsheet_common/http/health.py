"""Liveness, readiness and metrics, the same on every service.

`/health/live` does no I/O. `/health/ready` runs the service's checks. It turns 503 as soon as the process is told
to stop, before the listener closes, so that a load balancer stops sending requests first. It names each fault,
but stays 200 as long as the service does its main work: a degraded part must not take the rest down. `/metrics`
is Prometheus text.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec
import structlog
from litestar import Response, Router, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.background.status import LoopStatus

ReadinessCheck = Callable[[], Awaitable[str | None]]
"""Returns None if healthy, or a short description of the fault; an exception also counts as a fault."""

CHECK_TIMEOUT_S = 3.0
OPEN_ROUTE: dict[str, Any] = {"exclude_from_auth": True}
LOOP_PREFIX = "loop "

_log = structlog.get_logger()


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """`checks` has one entry per dependency: `ok` or the fault. `failing` and `degraded` name what is not ok:
    dependencies by name, background loops as `loop <name>`. If anything is failing, the service cannot do its
    main work (503); if something is degraded, only a part of it (200). `loops` is the status of each background
    loop.
    """

    status: Literal["ready", "degraded", "failing", "draining"]
    checks: dict[str, str]
    failing: list[str] = []
    degraded: list[str] = []
    loops: dict[str, LoopStatus] = {}


async def _run_check(name: str, check: ReadinessCheck) -> str:
    try:
        return await asyncio.wait_for(check(), CHECK_TIMEOUT_S) or "ok"
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001  # any exception means "not ready", and is logged
        _log.warning("health.check_failed", check=name, error=type(error).__name__)
        return type(error).__name__


async def _run_checks(checks: Mapping[str, ReadinessCheck]) -> dict[str, str]:
    return dict(zip(checks, await asyncio.gather(*(_run_check(n, c) for n, c in checks.items())), strict=True))


async def read_readiness(
    required: Mapping[str, ReadinessCheck],
    optional: Mapping[str, ReadinessCheck],
    background: BackgroundRunner | None,
    *,
    draining: bool,
) -> Readiness:
    """The content of `/health/ready`. If an `optional` check fails, the service is degraded, not down."""
    needed, wanted = await asyncio.gather(_run_checks(required), _run_checks(optional))
    loops = dict(background.statuses()) if background is not None else {}
    late = {LOOP_PREFIX + name: loop.required for name, loop in loops.items() if loop.status != "ok"}
    failing = [name for name, result in needed.items() if result != "ok"] + [n for n, fails in late.items() if fails]
    degraded = [name for name, result in wanted.items() if result != "ok"]
    degraded += [name for name, fails in late.items() if not fails]
    status: Literal["ready", "degraded", "failing", "draining"] = (
        "draining" if draining else "failing" if failing else "degraded" if degraded else "ready"
    )
    return Readiness(status, {**needed, **wanted}, failing, degraded, loops)


def health_routes(
    checks: Mapping[str, ReadinessCheck],
    registry: CollectorRegistry,
    *,
    optional_checks: Mapping[str, ReadinessCheck],
    background: BackgroundRunner | None,
) -> Router:
    """The routes; `app.state.draining` is set by the process when it is told to stop."""

    @get("/health/live", opt=OPEN_ROUTE, include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready", opt=OPEN_ROUTE, include_in_schema=False)
    async def ready(state: State) -> Response[Readiness]:
        readiness = await read_readiness(
            checks, optional_checks, background, draining=bool(state.get("draining", False))
        )
        return Response(readiness, status_code=200 if readiness.status in {"ready", "degraded"} else 503)

    @get("/metrics", opt=OPEN_ROUTE, include_in_schema=False, media_type=CONTENT_TYPE_PLAIN_0_0_4)
    async def metrics() -> bytes:
        return generate_latest(registry)

    handlers: list[HTTPRouteHandler] = [live, ready, metrics]
    return Router("/", route_handlers=handlers)
