"""Dependencies of a handler: resolved in the task that calls it, and without a task of their own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException
from litestar.testing import TestClient

from broadsheet_common.http.ready_dependencies import DependenciesInTurn, provide
from broadsheet_common.http.service_app import ServiceApp

closed: list[str] = []


async def _first() -> Any:
    return asyncio.current_task()


async def _second() -> Any:
    return asyncio.current_task()


async def _needs(first: NamedDependency[Any]) -> Any:
    return first, asyncio.current_task()


async def _opened() -> AsyncIterator[str]:
    yield "open"
    closed.append("it")


async def _fails() -> str:
    raise NotAuthorizedException


@get("/tasks")
async def tasks(
    first: NamedDependency[Any],
    second: NamedDependency[Any],
    third: NamedDependency[Any],
    word: NamedDependency[str],
    opened: NamedDependency[str],
) -> dict[str, Any]:
    mine = asyncio.current_task()
    return {"same": [first is mine, second is mine, third == (mine, mine)], "word": word, "opened": opened}


@get("/fails")
async def fails(word: NamedDependency[str], broken: NamedDependency[str]) -> str:
    return word + broken


def app(*plugins: Any) -> ServiceApp:
    return ServiceApp(
        [tasks, fails],
        dependencies={
            "first": Provide(_first), "second": Provide(_second), "third": Provide(_needs), "word": provide("ready"),
            "opened": Provide(_opened), "broken": Provide(_fails),
        },
        openapi_config=None,
        plugins=plugins,
    )  # fmt: skip


def test_all_are_resolved_by_who_calls_the_handler_those_first_that_others_need() -> None:
    closed.clear()
    with TestClient(app(DependenciesInTurn())) as client:
        assert client.get("/tasks").json() == {"same": [True, True, True], "word": "ready", "opened": "open"}
    assert closed == ["it"]


def test_without_it_litestar_starts_a_task_for_each() -> None:
    """When this fails, Litestar has changed, and the plugin may not be needed any more."""
    with TestClient(app()) as client:
        assert client.get("/tasks").json()["same"] == [False, False, False]


def test_what_one_raises_is_answered() -> None:
    with TestClient(app(DependenciesInTurn())) as client:
        assert client.get("/fails").status_code == 401
