"""The subscriptions service in this process, as its callers use it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter, ServiceName
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import HttpUrl, PostgresUrl
from broadsheet_subscriptions.app import create_app
from broadsheet_subscriptions.settings import SubscriptionsSettings
from harness.cluster import Cluster, Database
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, SECRET_ENCRYPTION_KEYS, identity_keys, scopes
from harness.owner import Owner

PUBLIC_URL = "https://news.example.com"


class Subscriptions(Owner):
    """The service as its callers use it, and its database as the owner sees it."""

    def __init__(
        self, app: Litestar, client: AsyncTestClient[Litestar], minter: IdentityMinter, owner_url: str
    ) -> None:
        self.app = app
        self.client = client
        super().__init__(owner_url)
        self.signer = LinkSigner.parse(LINK_SIGNING_KEYS.reveal())
        self._minter = minter

    def identity(self, *names: str, subject: str = "key:1", audience: ServiceName = "subscriptions") -> dict[str, str]:
        return {IDENTITY_HEADER: self._minter.mint(Identity(subject, scopes(*names)), audience)}

    async def public(self, path: str, **body: object) -> Response:
        return await self.client.post(f"/public/{path}", json=body, headers=self.identity("public", subject="public"))

    async def get(self, path: str, **query: Any) -> Response:
        return await self.client.get(f"/api/v1/subscribers{path}", params=query, headers=self.identity("read"))

    async def post(self, path: str, body: object, *, key: str | None = None, subject: str = "key:1") -> Response:
        headers = self.identity("write", subject=subject) | ({"Idempotency-Key": key} if key else {})
        return await self.client.post(f"/api/v1/subscribers{path}", json=body, headers=headers)

    async def api(
        self, method: str, path: str, body: object = None, *, if_match: str | None = None, key: str | None = None
    ) -> Response:
        """Any route of `/api/v1/`, with every scope."""
        headers = self.identity("read", "write")
        headers |= {"If-Match": if_match} if if_match else {}
        headers |= {"Idempotency-Key": key} if key else {}
        content: dict[str, Any] = {} if body is None else {"json": body}
        return await self.client.request(method, f"/api/v1/{path}", headers=headers, **content)

    async def sign_up(self, email: str = "ada@example.com", name: str = "Ada") -> Response:
        return await self.public("subscriptions", email=email, name=name)

    def mails(self) -> list[tuple[str, str, str, str]]:
        """Address, subject, HTML and text of each queued mail, oldest first."""
        return [
            (to, subject, html, text)
            for to, subject, html, text in self.rows(
                "SELECT to_email, subject, html_body, text_body FROM delivery.single_mail ORDER BY id"
            )
        ]

    def tokens(self) -> list[str]:
        """The token in each queued mail's link, oldest first."""
        return [text.partition("subscription_token=")[2].split()[0] for _, _, _, text in self.mails()]

    def state(self, email: str = "ada@example.com") -> str:
        ((state,),) = self.rows(
            "SELECT state FROM subscriptions.published_recipients WHERE email_key = %s", email.lower()
        )
        return str(state)

    async def subscribe_and_confirm(self, email: str = "ada@example.com") -> None:
        await self.sign_up(email)
        assert (await self.public("confirmations", token=self.tokens()[-1])).status_code == 200

    def end_cool_down(self) -> None:
        """Let the last confirmation mail of everybody be a little older than the cool-down."""
        self.rows(
            "UPDATE subscriptions.subscription SET confirmation_queued_at = confirmation_queued_at - interval '61 s'"
        )

    def subscription_id(self, email: str = "ada@example.com", newsletter_id: int = 1) -> int:
        ((subscription_id,),) = self.rows(
            "SELECT subscription_id FROM subscriptions.published_recipients "
            "WHERE email_key = %s AND newsletter_id = %s",
            email.lower(),
            newsletter_id,
        )
        return int(subscription_id)

    def unsubscribe_token(self, email: str = "ada@example.com") -> str:
        return self.signer.sign("unsubscribe", self.subscription_id(email))


def engine_for(database: Database) -> AsyncEngine:
    """A pool of the service's role, for tests that call a use case directly."""
    url = PostgresUrl(database.url_for("broadsheet_subscriptions"))
    return create_engine(url, application_name="test", pool_size=5, timeout_s=10)


def settings_for(database: Database) -> SubscriptionsSettings:
    return SubscriptionsSettings(
        bind_port=1,
        database_url=PostgresUrl(database.url_for("broadsheet_subscriptions")),
        public_url=HttpUrl(PUBLIC_URL),
        link_signing_keys=LINK_SIGNING_KEYS,
        erasure_keys=ERASURE_KEYS,
        secret_encryption_keys=SECRET_ENCRYPTION_KEYS,
        identity_public_key=identity_keys()[1],
    )


@asynccontextmanager
async def running_subscriptions(database: Database) -> AsyncGenerator[Subscriptions]:
    # Tests about webhooks send them themselves, step by step.
    app = create_app(settings_for(database), sends_webhooks=False)
    async with AsyncTestClient(app) as client:
        yield Subscriptions(app, client, IdentityMinter(identity_keys()[0]), database.owner_url)


@pytest.fixture
async def subscriptions(database: Database) -> AsyncIterator[Subscriptions]:
    async with running_subscriptions(database) as running:
        yield running


@pytest.fixture(scope="module")
async def shared_subscriptions(cluster: Cluster) -> AsyncIterator[Subscriptions]:
    """One for all tests of a module: for requests that must change nothing."""
    with cluster.database() as database:
        async with running_subscriptions(database) as running:
            yield running
