"""A service of a few routes for the tests of `serving`: run as a process of its own."""

import asyncio
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.response import Stream

from broadsheet_common.http.application import create_service_app
from broadsheet_common.http.health import OPEN_ROUTE
from broadsheet_common.http.problems import ForbiddenError
from broadsheet_common.process.serving import run_service
from broadsheet_common.process.settings import ServiceSettings


class ExampleSettings(ServiceSettings, frozen=True, kw_only=True):
    answer_after_s: float = 0.5


def create_app(settings: ExampleSettings) -> Litestar:
    @get("/slow", opt=OPEN_ROUTE)
    async def slow() -> dict[str, str]:
        await asyncio.sleep(settings.answer_after_s)
        return {"answer": "whole"}

    @get("/broken", opt=OPEN_ROUTE)
    async def broken() -> None:
        raise RuntimeError("secret detail")

    @post("/refusal", opt=OPEN_ROUTE)
    async def refuse_unread() -> None:
        raise ForbiddenError("not even looked at")

    @post("/length", opt=OPEN_ROUTE, status_code=200)
    async def length(request: Request[Any, Any, Any]) -> dict[str, int]:
        return {"length": len(await request.body())}

    @get("/large", opt=OPEN_ROUTE)
    async def large() -> bytes:
        return bytes(16 * 1024 * 1024)

    @get("/pieces", opt=OPEN_ROUTE)
    async def pieces() -> Stream:
        return Stream(iter([b"one", b"two"]))

    return create_service_app(
        route_handlers=[slow, broken, refuse_unread, length, large, pieces], dependencies={}, readiness_checks={}
    )


if __name__ == "__main__":
    run_service("example", ExampleSettings, create_app)
