"""The whole system in one process: the four real apps over real Postgres, real Redis and the sandbox.

The gateway reaches the services over ASGI instead of sockets; everything else is what runs in production.
Delivery is driven by the test (`deliver_all_pending`), so nothing depends on timing.

Making four apps costs a second, so the tests of one process share one system: `reset` makes it as it was at the
start.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast, get_args

import httpx
import msgspec
from litestar import Litestar
from litestar.di import Provide
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.contracts.permissions import GRANTABLE, Permission
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import HttpUrl, PostgresUrl, RedisUrl, Secret
from broadsheet_delivery.app import create_app as create_delivery_app
from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.create_user import UserCreated, create_user
from broadsheet_gateway.accounts.interface import find_user_by_name
from broadsheet_gateway.api_keys.create_api_key import KeyStored, create_api_key
from broadsheet_gateway.app import create_app as create_gateway_app
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_postmark_sandbox.testing import RunningSandbox
from broadsheet_publishing.app import create_app as create_publishing_app
from broadsheet_publishing.settings import PublishingSettings
from broadsheet_subscriptions.app import create_app as create_subscriptions_app
from broadsheet_subscriptions.settings import SubscriptionsSettings
from harness.cluster import Database
from harness.delivering import MAIL_FROM, Delivering, delivering, delivery_settings
from harness.http.carried import CarriedByHttpx
from harness.keys import (
    ERASURE_KEYS,
    LINK_SIGNING_KEYS,
    SECOND_FACTOR_KEYS,
    SECRET_ENCRYPTION_KEYS,
    identity_keys,
    scopes,
)
from harness.oracle import Captured, Oracle
from harness.queue.queue_time import make_due
from harness.seeding import Seed
from harness.waiting import eventually

METRICS_TOKEN = "metrics-token-of-the-tests"
PUBLIC_URL = "http://127.0.0.1:8081"
USERNAME = "admin"
PASSWORD = "everythinghastostartsomewhere"  # the local set-up's well-known one
LINK = re.compile(r"https?://[^\s\"'<>]+")


class System(msgspec.Struct, frozen=True):
    """`visitor` is a browser without a session; `api` a client with an API key. Neither follows redirects.

    `seed`, `oracle`, `database` and `sandbox` are the system's own: the fixtures of these names belong to others.
    """

    visitor: httpx.AsyncClient
    api: httpx.AsyncClient
    delivery: Delivering
    seed: Seed
    oracle: Oracle
    apps: dict[str, Litestar]
    database: Database
    sandbox: RunningSandbox
    api_key: str
    password_hash: str

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Another client of the gateway, with a cookie jar of its own; `user_agent=…` is the header `User-Agent`."""
        return _client(self.apps["gateway"], **headers)

    @asynccontextmanager
    async def as_new(self) -> AsyncIterator["System"]:
        """This system, without anything that tests put into it, and with clients that hold no cookie."""
        await asyncio.to_thread(self._empty)
        async with self.client() as visitor, self.client(authorization=f"Bearer {self.api_key}") as api:
            yield msgspec.structs.replace(self, visitor=visitor, api=api)

    def _empty(self) -> None:
        """Id sequences are not reset, so that nothing an app remembers by id is taken for something new."""
        self.oracle.reset()
        self.seed.empty()
        self.seed.execute(
            "UPDATE gateway.user_account SET password_hash = %s, password_changed_at = clock_timestamp()",
            (self.password_hash,),
        )

    async def run_sql(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """As the owner, off the loop: for statements that may have to wait for a lock that an app holds."""
        return await asyncio.to_thread(self.seed.execute, statement, parameters)

    async def subscribe(self, email: str, name: str = "Reader", *, path: str = "/subscriptions") -> httpx.Response:
        return await self.visitor.post(path, data={"name": name, "email": email})

    async def confirmation_link(self, email: str) -> str:
        """Let the queue send, and take the link from the newest mail to the address."""
        await self.deliver_all_pending()
        mail = [message for message in self.oracle.messages() if message.to.lower() == email.lower()][-1]
        [link] = set(LINK.findall(mail.text))
        return str(link)

    async def confirm(self, link: str) -> httpx.Response:
        """What the button on the confirmation page does."""
        token = link.partition("subscription_token=")[2]
        return await self.visitor.post("/subscriptions/confirm", data={"subscription_token": token})

    async def confirmed_subscriber(self, email: str, name: str = "Reader") -> None:
        assert (await self.subscribe(email, name)).status_code == 200
        assert (await self.confirm(await self.confirmation_link(email))).status_code == 200

    async def log_in(self, username: str = USERNAME, password: str = PASSWORD) -> httpx.Response:
        return await self.visitor.post("/login", data={"username": username, "password": password})

    async def add_user(self, name: str, *grants: Grant, password: str = PASSWORD) -> tuple[int, str]:
        """Id, and the text of a key with every scope."""
        return await make_user(self.database, name, *grants, password=password)

    async def publish_by_form(self, **changes: str) -> httpx.Response:
        form = {
            "title": "The first issue",
            "text_content": "Hello in text",
            "html_content": "<p>Hello in HTML</p>",
            "idempotency_key": secrets.token_hex(12),
            **changes,
        }
        return await self.visitor.post("/admin/newsletters", data=form)

    async def fan_outs_finished(self) -> None:
        """Wait until everybody in the audience of every published issue is in the queue."""

        def finished() -> bool:
            return self.seed.execute("SELECT 1 FROM publishing.fan_out WHERE finished_at IS NULL") == []

        await eventually(finished, what="every fan-out is finished")

    async def deliver_all_pending(self) -> None:
        """Wait for fan-outs to end, then send everything that is queued."""
        await self.fan_outs_finished()
        make_due(self.seed)
        await self.delivery.send_all_due()

    def newsletter_mails(self) -> list[Captured]:
        return [message for message in self.oracle.messages() if message.stream == "broadcast"]


@asynccontextmanager
async def running_system(
    database: Database, redis_url: str, sandbox: RunningSandbox, seed: Seed, **gateway_changes: Any
) -> AsyncIterator[System]:
    apps = make_services(database, sandbox)
    gateway = create_gateway_app(
        msgspec.structs.replace(gateway_settings(database, redis_url), **gateway_changes),
        upstreams={service: CarriedByHttpx(in_this_process(apps[service])) for service in get_args(ServiceName)},
    )
    async with AsyncExitStack() as stack:
        # Delivery's lifespan, which would start the worker's loops, is not entered: the test drives the steps itself.
        stack.push_async_callback(_dispose_engine, apps["delivery"])
        for app in (apps["subscriptions"], apps["publishing"], gateway):
            await stack.enter_async_context(app.lifespan())
        driven = await stack.enter_async_context(
            delivering(database, sandbox.base_url, sandbox.token, public_url=HttpUrl.parse(PUBLIC_URL))
        )
        api_key = await make_author(database)
        [(password_hash,)] = seed.execute("SELECT password_hash FROM gateway.user_account")
        system = System(
            visitor=_client(gateway),
            api=_client(gateway),
            delivery=driven,
            seed=seed,
            oracle=Oracle(sandbox),
            apps={"gateway": gateway, **{str(name): app for name, app in apps.items()}},
            database=database,
            sandbox=sandbox,
            api_key=api_key,
            password_hash=str(password_hash),
        )
        yield await stack.enter_async_context(system.as_new())


def make_services(database: Database, sandbox: RunningSandbox) -> dict[ServiceName, Litestar]:
    """The apps behind the gateway, not running yet."""
    _, public_key = identity_keys()
    subscriptions = create_subscriptions_app(
        SubscriptionsSettings(
            broadsheet_env="local",
            bind_port=1,
            database_url=PostgresUrl.parse(database.url_for("subscriptions")),
            public_url=HttpUrl.parse(PUBLIC_URL),
            link_signing_keys=LINK_SIGNING_KEYS,
            erasure_keys=ERASURE_KEYS,
            secret_encryption_keys=SECRET_ENCRYPTION_KEYS,
            # Receivers of the tests' webhooks are on this machine.
            webhook_allowed_networks="127.0.0.0/8",
            webhook_allow_http=True,
            identity_public_key=public_key,
        )
    )
    publishing = create_publishing_app(
        PublishingSettings(
            broadsheet_env="local",
            bind_port=1,
            database_url=PostgresUrl.parse(database.url_for("publishing")),
            public_url=HttpUrl.parse(PUBLIC_URL),
            mail_from=MAIL_FROM,
            identity_public_key=public_key,
            # Delivery answers when the test drives it.
            stream_check_wait_s=0,
        )
    )
    delivery = create_delivery_app(
        delivery_settings(database, sandbox.base_url, sandbox.token, public_url=HttpUrl.parse(PUBLIC_URL))
    )
    return {"subscriptions": subscriptions, "publishing": publishing, "delivery": delivery}


def in_this_process(app: Litestar) -> httpx.ASGITransport:
    """A transport to an app without sockets; the app sees a local client, and its errors come as answers."""
    return httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False, client=("127.0.0.1", 50000))


def _client(gateway: Litestar, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=in_this_process(gateway),
        base_url=PUBLIC_URL,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def gateway_settings(database: Database, redis_url: str) -> GatewaySettings:
    """The services are named, not found: for a gateway that is given its upstreams, or whose settings are changed."""
    private_key, _ = identity_keys()
    return GatewaySettings(
        broadsheet_env="local",
        bind_port=1,
        database_url=PostgresUrl.parse(database.url_for("gateway")),
        public_url=HttpUrl.parse(PUBLIC_URL),
        redis_url=RedisUrl.parse(redis_url),
        subscriptions_url=HttpUrl.parse("http://subscriptions"),
        publishing_url=HttpUrl.parse("http://publishing"),
        delivery_url=HttpUrl.parse("http://delivery"),
        identity_private_key=Secret(private_key),
        second_factor_keys=SECOND_FACTOR_KEYS,
        metrics_token=Secret(METRICS_TOKEN),
        # Tests change newsletters and keys between two requests.
        newsletter_cache_s=0.001,
        api_key_cache_s=0.001,
        archive_cache_s=0.001,
        # On a busy machine a test is slow, not wrong; one that waits for a time-out sets its own.
        redis_timeout_s=5.0,
        upstream_timeout_s=60.0,
    )


async def _dispose_engine(app: Litestar) -> None:
    """What the lifespan would do at its end."""
    engine = cast("Provide", app.dependencies["engine"]).dependency()
    await engine.dispose()


async def make_author(database: Database) -> str:
    """The local author's login, and an API key of theirs with every scope."""
    engine = create_engine(
        PostgresUrl.parse(database.url_for("gateway")), application_name="test-author", pool_size=1, timeout_s=10
    )
    try:
        await create_user(username=USERNAME, password=PASSWORD, may_use_default_password=True, engine=engine)
        return await make_api_key(engine, "test", scopes("read", "write", "admin"))
    finally:
        await engine.dispose()


async def make_user(database: Database, name: str, *grants: Grant, password: str = PASSWORD) -> tuple[int, str]:
    """Id, and the text of a key with every scope."""
    engine = create_engine(
        PostgresUrl.parse(database.url_for("gateway")), application_name="test", pool_size=1, timeout_s=30
    )
    try:
        made = await create_user(
            username=name, password=password, may_use_default_password=True, engine=engine, grants=grants
        )
        assert isinstance(made, UserCreated)
        stored = await create_api_key(username=name, name="all", scopes=GRANTABLE, given=None, engine=engine)
        async with engine.connect() as connection:
            user = await find_user_by_name(connection, name)
    finally:
        await engine.dispose()
    assert isinstance(stored, KeyStored)
    assert user is not None
    return user.id, stored.key.text


async def make_api_key(engine: AsyncEngine, name: str, granted: frozenset[Permission]) -> str:
    stored = await create_api_key(username=USERNAME, name=name, scopes=granted, given=None, engine=engine)
    assert isinstance(stored, KeyStored)
    return stored.key.text
