"""The whole system in one process: the four real apps over real Postgres, real Redis and the sandbox.

The gateway reaches the services over ASGI instead of sockets; everything else is what runs in production. Delivery is
driven by the test (`deliver_all_pending`), so nothing is a matter of time.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import msgspec
from broadsheet_common.database import create_engine
from broadsheet_common.identity import ServiceName
from broadsheet_common.settings import HttpUrl, PostgresUrl, RedisUrl, Secret
from broadsheet_delivery.app import create_app as create_delivery_app
from broadsheet_gateway.app import create_app as create_gateway_app
from broadsheet_gateway.create_api_key import KeyStored, create_api_key
from broadsheet_gateway.create_user import create_user
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_postmark_sandbox.testing import RunningSandbox
from broadsheet_publishing.app import create_app as create_publishing_app
from broadsheet_publishing.settings import PublishingSettings
from broadsheet_subscriptions.app import create_app as create_subscriptions_app
from broadsheet_subscriptions.settings import SubscriptionsSettings
from litestar import Litestar

from harness.cluster import Database
from harness.delivering import Delivering, delivering, delivery_settings
from harness.keys import LINK_SIGNING_KEYS, identity_keys
from harness.oracle import Captured, Oracle
from harness.queue_time import make_due
from harness.seeding import Seed
from harness.waiting import eventually

PUBLIC_URL = "http://127.0.0.1:8081"
USERNAME = "admin"
PASSWORD = "everythinghastostartsomewhere"  # noqa: S105  # the local set-up's well-known one
_LINK = re.compile(r"https?://[^\s\"'<>]+")


class System(msgspec.Struct, frozen=True):
    """`visitor` is a browser without a session; `api` a client with an API key. Neither follows redirects."""

    visitor: httpx.AsyncClient
    api: httpx.AsyncClient
    delivery: Delivering
    seed: Seed
    oracle: Oracle
    apps: dict[str, Litestar]

    async def subscribe(self, email: str, name: str = "Reader") -> httpx.Response:
        return await self.visitor.post("/subscriptions", data={"name": name, "email": email})

    async def confirmation_link(self, email: str) -> str:
        """Let the queue send, and take the link from the newest mail to the address."""
        await self.deliver_all_pending()
        mail = [message for message in self.oracle.messages() if message.to.lower() == email.lower()][-1]
        [link] = set(_LINK.findall(mail.text))
        return link

    async def confirm(self, link: str) -> httpx.Response:
        """What the button on the confirmation page does."""
        token = link.partition("subscription_token=")[2]
        return await self.visitor.post("/subscriptions/confirm", data={"subscription_token": token})

    async def confirmed_subscriber(self, email: str, name: str = "Reader") -> None:
        assert (await self.subscribe(email, name)).status_code == 200
        assert (await self.confirm(await self.confirmation_link(email))).status_code == 200

    async def log_in(self, username: str = USERNAME, password: str = PASSWORD) -> httpx.Response:
        return await self.visitor.post("/login", data={"username": username, "password": password})

    async def publish_by_form(self, **changes: str) -> httpx.Response:
        form = {
            "title": "The first issue",
            "text_content": "Hello in text",
            "html_content": "<p>Hello in HTML</p>",
            "idempotency_key": secrets.token_hex(12),
            **changes,
        }
        return await self.visitor.post("/admin/newsletters", data=form)

    async def deliver_all_pending(self) -> None:
        """Wait for fan-outs to end, then send everything that is queued."""

        def fanned_out() -> bool:
            return self.seed.execute("SELECT 1 FROM publishing.fan_out WHERE finished_at IS NULL") == []

        await eventually(fanned_out, what="every fan-out is finished")
        make_due(self.seed)
        await self.delivery.send_all_due()

    def newsletter_mails(self) -> list[Captured]:
        return [message for message in self.oracle.messages() if message.stream == "broadcast"]


@asynccontextmanager
async def running_system(
    database: Database, redis_url: str, sandbox: RunningSandbox, seed: Seed, **gateway_changes: Any
) -> AsyncIterator[System]:
    private_key, public_key = identity_keys()
    subscriptions = create_subscriptions_app(
        SubscriptionsSettings(
            broadsheet_env="local",
            bind_port=1,
            database_url=PostgresUrl.parse(database.url_for("subscriptions")),
            public_url=HttpUrl.parse(PUBLIC_URL),
            link_signing_keys=LINK_SIGNING_KEYS,
            identity_public_key=public_key,
        )
    )
    publishing = create_publishing_app(
        PublishingSettings(
            broadsheet_env="local",
            bind_port=1,
            database_url=PostgresUrl.parse(database.url_for("publishing")),
            identity_public_key=public_key,
        )
    )
    # Its lifespan, which would start the worker's loops, is not entered: the test drives the steps itself.
    delivery = create_delivery_app(
        delivery_settings(database, sandbox.base_url, sandbox.token, public_url=HttpUrl.parse(PUBLIC_URL))
    )
    async with AsyncExitStack() as stack:
        upstream_apps: dict[ServiceName, Litestar] = {
            "subscriptions": subscriptions,
            "publishing": publishing,
            "delivery": delivery,
        }
        await stack.enter_async_context(subscriptions.lifespan())
        await stack.enter_async_context(publishing.lifespan())
        settings = msgspec.structs.replace(
            GatewaySettings(
                broadsheet_env="local",
                bind_port=1,
                database_url=PostgresUrl.parse(database.url_for("gateway")),
                public_url=HttpUrl.parse(PUBLIC_URL),
                redis_url=RedisUrl.parse(redis_url),
                subscriptions_url=HttpUrl.parse("http://subscriptions"),
                publishing_url=HttpUrl.parse("http://publishing"),
                delivery_url=HttpUrl.parse("http://delivery"),
                identity_private_key=Secret(private_key),
            ),
            **gateway_changes,
        )
        gateway = create_gateway_app(
            settings,
            upstreams={
                service: httpx.ASGITransport(app, raise_app_exceptions=False) for service, app in upstream_apps.items()
            },
        )
        await stack.enter_async_context(gateway.lifespan())
        api_key = await _make_author(database)

        async def client(**headers: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(gateway, raise_app_exceptions=False, client=("127.0.0.1", 50000)),
                    base_url=PUBLIC_URL,
                    headers=headers,
                )
            )

        driven = await stack.enter_async_context(
            delivering(database, sandbox.base_url, sandbox.token, public_url=HttpUrl.parse(PUBLIC_URL))
        )
        yield System(
            visitor=await client(),
            api=await client(authorization=f"Bearer {api_key}"),
            delivery=driven,
            seed=seed,
            oracle=Oracle(sandbox),
            apps={"gateway": gateway, "subscriptions": subscriptions, "publishing": publishing, "delivery": delivery},
        )


async def _make_author(database: Database) -> str:
    """The local author's login, and an API key of theirs."""
    engine = create_engine(
        PostgresUrl.parse(database.url_for("gateway")), application_name="test-author", pool_size=1, timeout_s=10
    )
    try:
        await create_user(username=USERNAME, password=PASSWORD, may_use_default_password=True, engine=engine)
        stored = await create_api_key(
            username=USERNAME,
            name="test",
            scopes=frozenset({"read", "write", "admin"}),
            given=None,
            engine=engine,
        )
    finally:
        await engine.dispose()
    assert isinstance(stored, KeyStored)
    return stored.key.text
