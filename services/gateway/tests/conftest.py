"""The gateway over real Postgres and Redis, with services behind it that record what reaches them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any, cast

import httpx
import msgspec
import psycopg
import pytest
from litestar import Litestar
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import Identity, IdentityVerifier, ServiceName
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import HttpUrl, PostgresUrl, RedisUrl, Secret
from broadsheet_gateway.accounts.create_user import UserCreated, create_user
from broadsheet_gateway.api_keys.create_api_key import KeyStored, create_api_key
from broadsheet_gateway.app import create_app
from broadsheet_gateway.forwarding.transport import Transport
from broadsheet_gateway.limits.redis_client import create_redis
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_local.embedded.redis import EmbeddedRedis
from harness.cluster import Cluster, Database
from harness.http.carried import CarriedByHttpx
from harness.keys import SECOND_FACTOR_KEYS, identity_keys, scopes
from harness.waiting import eventually

PUBLIC_URL = "http://127.0.0.1:8081"
PASSWORD = "a long enough passphrase, 1"
SERVICES: tuple[ServiceName, ...] = ("subscriptions", "publishing", "delivery")

_CSRF_FIELD = re.compile(r'name="csrf_token" value="([0-9a-f]+)"')


class Received(msgspec.Struct, frozen=True):
    """One request as a service saw it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Answer(msgspec.Struct, frozen=True):
    status: int = 200
    body: object = {}
    headers: Mapping[str, str] = {}


class RecordingService:
    """A service that answers what it was told to (`answers`, by method and path) and keeps what it received."""

    def __init__(self, name: ServiceName) -> None:
        self.name = name
        self.received: list[Received] = []
        self.answers: dict[tuple[str, str], Answer | Exception | Callable[[], Awaitable[Answer]]] = {}

    def answer(self, method: str, path: str, status: int = 200, body: object = None, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[method, path] = Answer(status, {} if body is None else body, named)

    def refuse(self, method: str, path: str, status: int, slug: str, **members: object) -> None:
        body = {"type": f"urn:broadsheet:problem:{slug}", "title": f"Refused: {slug}", "status": status, **members}
        self.answers[method, path] = Answer(status, body)

    def fail(self, method: str, path: str, error: Exception) -> None:
        """The transport raises `error`, as a broken connection would."""
        self.answers[method, path] = error

    @property
    def last(self) -> Received:
        return self.received[-1]

    def last_identity(self) -> Identity:
        token = self.last.headers["x-broadsheet-identity"]
        return IdentityVerifier(identity_keys()[1], self.name).verify(token)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # what broke off was no request, as for the services
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        request = Received(
            method=scope["method"],
            path=scope["raw_path"].decode().partition("?")[0],
            query=scope["query_string"].decode(),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=body,
        )
        self.received.append(request)
        planned = self.answers.get((request.method, request.path), Answer())
        if isinstance(planned, Exception):
            raise planned
        answer = planned if isinstance(planned, Answer) else await planned()
        content = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        kind = "application/json" if answer.status < 400 else "application/problem+json"
        headers = {"content-type": kind, "content-length": str(len(content)), **answer.headers}
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": content})


class Gateway:
    """The gateway's app, what is behind it, and browsers before it."""

    def __init__(
        self,
        app: Litestar,
        settings: GatewaySettings,
        services: dict[ServiceName, RecordingService],
        engine: AsyncEngine,
        owner_url: str,
        redis: Redis,
        stack: AsyncExitStack,
    ) -> None:
        self.app = app
        self.settings = settings
        self.subscriptions = services["subscriptions"]
        self.publishing = services["publishing"]
        self.delivery = services["delivery"]
        self.engine = engine
        self.owner_url = owner_url
        self.redis = redis
        self._stack = stack

    async def client(self, *, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A client with a cookie jar of its own, which follows no redirect."""
        transport = httpx.ASGITransport(cast("Any", self.app), raise_app_exceptions=False, client=(address, 50_000))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=str(self.settings.public_url), headers=named)
        )

    async def add_user(self, username: str = "author", password: str = PASSWORD) -> None:
        result = await create_user(
            username=username, password=password, may_use_default_password=False, engine=self.engine
        )
        assert isinstance(result, UserCreated)

    async def signed_in(self, username: str = "author", password: str = PASSWORD, **headers: str) -> httpx.AsyncClient:
        """A client that has logged in; the user is created if missing."""
        await create_user(username=username, password=password, may_use_default_password=False, engine=self.engine)
        client = await self.client(**headers)
        response = await log_in(client, username, password)
        assert (response.status_code, response.headers["location"]) == (303, "/admin/dashboard")
        return client

    async def add_api_key(self, *names: str, name: str = "test", username: str = "author") -> str:
        await create_user(username=username, password=PASSWORD, may_use_default_password=False, engine=self.engine)
        result = await create_api_key(
            username=username, name=name, scopes=scopes(*(names or ("read", "write"))), given=None, engine=self.engine
        )
        assert isinstance(result, KeyStored)
        return result.key.text

    async def api_client(self, *names: str) -> httpx.AsyncClient:
        return await self.client(authorization=f"Bearer {await self.add_api_key(*names)}")

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        return execute(self.owner_url, statement, *parameters)


def execute(owner_url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """One statement as the database's owner; answers the rows it gives.

    It holds the event loop up. If an app in this process has a lock that it needs, they would wait for each other, so
    it waits for a bounded time: take `DELETE`, not `TRUNCATE`.
    """
    with psycopg.connect(owner_url, autocommit=True, options="-c lock_timeout=30s") as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def inbox_blocked(database: Database) -> Iterator[psycopg.Connection]:
    """No webhook can be stored until it ends."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("LOCK TABLE delivery.provider_event_inbox IN SHARE MODE")
        yield connection
        connection.rollback()


async def until_lock_is_waited_for(database: Database) -> None:
    """Until a transaction waits for a lock in that database, of a table or of a row."""

    def is_waiting() -> bool:
        rows = execute(
            database.owner_url,
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        return bool(rows)

    await eventually(is_waiting, what="a transaction waits")


async def log_in(client: httpx.AsyncClient, username: str = "author", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/login", data={"username": username, "password": password})


async def csrf_token_of(client: httpx.AsyncClient) -> str:
    """The token in the forms of the client's session."""
    page = await client.get("/admin/password")
    match = _CSRF_FIELD.search(page.text)
    assert match is not None
    return match[1]


@pytest.fixture(scope="session")
def gateway_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis that these tests may empty and stop."""
    with EmbeddedRedis(tmp_path_factory.mktemp("gateway-redis")) as running:
        yield running


@pytest.fixture
async def redis(gateway_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    """Emptied, and with its owner's rights: for looking at keys. What the gateway does runs with `limited_redis`."""
    client = create_redis(gateway_redis.owner_url, timeout_s=2.0, connections_max=10)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def limited_redis(redis: Redis, gateway_redis: EmbeddedRedis) -> AsyncIterator[Redis]:
    """The same Redis, with the rights that a gateway has."""
    client = create_redis(gateway_redis.url, timeout_s=2.0, connections_max=10)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def pages() -> Pages:
    return Pages()


@pytest.fixture(scope="session")
def _gateway_database(cluster: Cluster) -> Iterator[Database]:
    with cluster.database() as made:
        yield made


@pytest.fixture
async def database(_gateway_database: Database, anyio_backend: object) -> Database:
    """One database for all tests here, emptied for each: its few tables are quicker emptied than cloned."""

    def empty() -> None:
        with psycopg.connect(_gateway_database.owner_url, autocommit=True) as connection:
            # With all that belongs to a user; what is required of everybody belongs to none.
            connection.execute(
                "TRUNCATE gateway.user_account, gateway.api_key, gateway.second_factor_requirement "
                "RESTART IDENTITY CASCADE"
            )

    # Beside the event loop. An app that serves all tests may be in the middle of a statement, and gives its locks back
    # only when the loop goes on.
    await asyncio.to_thread(empty)
    return _gateway_database


@pytest.fixture(scope="session")
def settings(_gateway_database: Database, gateway_redis: EmbeddedRedis) -> GatewaySettings:
    return GatewaySettings(
        broadsheet_env="local",
        bind_port=1,
        database_url=PostgresUrl.parse(_gateway_database.url_for("gateway")),
        public_url=HttpUrl.parse(PUBLIC_URL),
        redis_url=RedisUrl.parse(gateway_redis.url),
        subscriptions_url=HttpUrl.parse("http://subscriptions"),
        publishing_url=HttpUrl.parse("http://publishing"),
        delivery_url=HttpUrl.parse("http://delivery"),
        identity_private_key=Secret(identity_keys()[0]),
        second_factor_keys=SECOND_FACTOR_KEYS,
        # On a busy machine a test is slow, not wrong; one that waits for a time-out sets its own.
        redis_timeout_s=5.0,
        upstream_timeout_s=60.0,
        # Tests share this gateway, and let its services fail; what the breaker does has tests of its own.
        upstream_breaker_failures=1_000_000,
    )


@pytest.fixture(scope="session")
async def engine(settings: GatewaySettings) -> AsyncIterator[AsyncEngine]:
    made = create_engine(settings.database_url, application_name="gateway-test", pool_size=2, timeout_s=10.0)
    yield made
    await made.dispose()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes at the test's end what was opened for it."""
    async with AsyncExitStack() as opened:
        yield opened


Services = dict[ServiceName, RecordingService]
Transports = dict[ServiceName, Transport]
MakeGateway = Callable[..., Awaitable[Gateway]]


def _tell_the_newsletters_name(services: Services) -> None:
    newsletters = [
        {"name": "The Weekly", "is_default": True},
        {"id": 1, "name": "The Weekly", "slug": "weekly", "time_zone": "Europe/Paris"},
    ]
    services["publishing"].answer("GET", "/api/v1/newsletters", body={"items": newsletters})


def _transports(services: Services) -> Transports:
    return {name: CarriedByHttpx(httpx.ASGITransport(service)) for name, service in services.items()}


@pytest.fixture
async def make_gateway(
    settings: GatewaySettings,
    database: Database,
    redis: Redis,
    pages: Pages,
    engine: AsyncEngine,
    stack: AsyncExitStack,
) -> MakeGateway:
    """Makes a gateway that nobody has asked yet, with some settings, or some transports to services, changed."""

    async def make(*, transports: Transports | None = None, **changes: Any) -> Gateway:
        changed = msgspec.structs.replace(settings, **changes)
        services: Services = {name: RecordingService(name) for name in SERVICES}
        _tell_the_newsletters_name(services)
        app = create_app(changed, upstreams={**_transports(services), **(transports or {})}, pages=pages)
        await stack.enter_async_context(app.lifespan())
        return Gateway(app, changed, services, engine, database.owner_url, redis, stack)

    return make


@pytest.fixture(scope="session")
async def _shared_app(settings: GatewaySettings, pages: Pages) -> AsyncIterator[tuple[Litestar, Services]]:
    services: Services = {name: RecordingService(name) for name in SERVICES}
    _tell_the_newsletters_name(services)
    kept = msgspec.structs.replace(settings, newsletter_cache_s=86_400.0)
    app = create_app(kept, upstreams=_transports(services), pages=pages)
    async with app.lifespan():
        # It knows the newsletters from here on: no test meets its call for them among its own.
        transport = httpx.ASGITransport(cast("Any", app))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            await client.get("/")
        yield app, services


@pytest.fixture
def gateway(
    _shared_app: tuple[Litestar, Services],
    settings: GatewaySettings,
    database: Database,
    redis: Redis,
    engine: AsyncEngine,
    stack: AsyncExitStack,
) -> Gateway:
    """A gateway without users or sessions. Its app serves all tests, since making one takes longer than most of them;
    a test about what it remembers (the API document, the newsletter's name) makes one of its own.
    """
    app, services = _shared_app
    for service in services.values():
        service.received.clear()
        service.answers.clear()
    _tell_the_newsletters_name(services)
    return Gateway(app, settings, services, engine, database.owner_url, redis, stack)
