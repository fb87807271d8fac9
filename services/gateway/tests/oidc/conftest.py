"""Gateways whose provider is the small one of these tests, and browsers that sign in by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest
from litestar import Litestar
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.process.settings import Secret
from broadsheet_gateway.app import create_app
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.settings import GatewaySettings
from harness.cluster import Database
from harness.http.carried import CarriedByHttpx
from harness.owner import AUDIT_LOG

from ..conftest import SERVICES, Gateway, RecordingService, csrf_token_of
from .provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, serving_provider

LOGIN = "/login/provider"
PAGE = "/admin/account/provider"
NAME = "the Guild"

MakeWithProvider = Callable[..., Awaitable[Gateway]]


@pytest.fixture(scope="session")
def _served() -> Iterator[FakeProvider]:
    with serving_provider() as provider:
        yield provider


@pytest.fixture
def provider(_served: FakeProvider) -> FakeProvider:
    _served.reset()
    return _served


class _Apps:
    """By the settings that were changed: making one takes longer than most tests. Each lives in a task of its own, so
    that they may end in any order.
    """

    def __init__(self) -> None:
        self.by_changes: dict[str, Litestar] = {}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, changes: str, app: Litestar) -> None:
        is_up = asyncio.Event()
        task = asyncio.create_task(self._run(app, is_up))
        self._tasks.append(task)
        waiting = asyncio.create_task(is_up.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done(), "the gateway did not start"
        self.by_changes[changes] = app

    async def _run(self, app: Litestar, is_up: asyncio.Event) -> None:
        async with app.lifespan():
            is_up.set()
            await self._stop.wait()

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)


@pytest.fixture(scope="session")
async def _apps() -> AsyncIterator[_Apps]:
    apps = _Apps()
    yield apps
    await apps.stop()


@pytest.fixture
async def make(
    _apps: _Apps,
    settings: GatewaySettings,
    database: Database,
    redis: Redis,
    pages: Pages,
    engine: AsyncEngine,
    stack: AsyncExitStack,
    provider: FakeProvider,
) -> MakeWithProvider:
    """A gateway that has not asked the provider yet, with some settings changed. Nothing is behind it."""

    async def made(**changes: Any) -> Gateway:
        given: dict[str, Any] = {
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": Secret(CLIENT_SECRET),
            "oidc_name": NAME,
            "oidc_timeout_s": 30.0,
        }
        changed = msgspec.structs.replace(settings, **(given | changes))
        services = {name: RecordingService(name) for name in SERVICES}
        if (app := _apps.by_changes.get(repr(changes))) is None:
            transports = {name: CarriedByHttpx(httpx.ASGITransport(service)) for name, service in services.items()}
            app = create_app(changed, upstreams=transports, pages=pages)
            await _apps.start(repr(changes), app)
        app.state.provider_door.provider.forget()
        return Gateway(app, changed, services, engine, database.owner_url, redis, stack)

    return made


@pytest.fixture
async def gateway_with(make: MakeWithProvider) -> Gateway:
    """It makes no users."""
    return await make()


def asked_of_provider(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, strict_parsing=True))


async def send_to_provider(client: httpx.AsyncClient) -> dict[str, str]:
    """What the browser brings to the provider."""
    answer = await client.get(LOGIN)
    assert answer.status_code == 303, answer.text
    return asked_of_provider(answer.headers["location"])


async def come_back(client: httpx.AsyncClient, provider: FakeProvider, query: dict[str, str]) -> httpx.Response:
    return await client.get(provider.authorize(query), headers={"accept": "text/html"})


async def sign_in(client: httpx.AsyncClient, provider: FakeProvider) -> httpx.Response:
    return await come_back(client, provider, await send_to_provider(client))


async def link(client: httpx.AsyncClient, provider: FakeProvider) -> httpx.Response:
    """The client's user, to who signs in at the provider."""
    page = await client.post(f"{PAGE}/link", data={"csrf_token": await csrf_token_of(client)})
    assert page.status_code == 200, page.text
    address = page.headers["refresh"].removeprefix("0; url=")
    return await come_back(client, provider, asked_of_provider(address))


async def linked_user(gateway: Gateway, provider: FakeProvider, username: str = "author") -> None:
    answer = await link(await gateway.signed_in(username), provider)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


def is_in(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.headers.get("location")) == (303, "/admin/dashboard")


def roles_of(gateway: Gateway, username: str) -> list[str]:
    rows = gateway.sql(
        "SELECT role || coalesce(':' || newsletter_id, '') FROM gateway.user_role AS r "
        "JOIN gateway.user_account AS u ON u.id = r.user_id WHERE u.username = %s ORDER BY 1",
        username,
    )
    return [role for (role,) in rows]


def reasons(gateway: Gateway) -> list[str]:
    """Why sign-ins were refused since the newest user was made, by the audit log, the newest last."""
    rows = gateway.sql(
        f"SELECT after->>'reason' FROM {AUDIT_LOG} "
        "WHERE action = 'user.sign_in_refused' AND after->>'method' = 'oidc' AND at > "
        "(SELECT coalesce(max(created_at), now() - interval '1 hour') FROM gateway.user_account) ORDER BY at"
    )
    return [reason for (reason,) in rows]
