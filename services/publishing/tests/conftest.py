"""The publishing service in this process, as its callers use it."""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter, ServiceName
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import HttpUrl, PostgresUrl
from broadsheet_publishing.app import create_app
from broadsheet_publishing.fan_out.fan_out import Finished, Step, fan_out_step
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.settings import PublishingSettings
from harness.cluster import Cluster, Database
from harness.keys import identity_keys, scopes
from harness.owner import Owner

STEPS_MAX = 1_000
ISSUE = {
    "title": "The first issue",
    "format": "html",
    "content": "<p>Hello {{ subscriber.name }}</p>",
    "text_content": "Hello {{ subscriber.name }}",
}


INSTALLATION = Installation(sender="Broadsheet <news@example.com>", public_url="https://news.example.com")


class PublishingOwner(Owner):
    """With what publishing's tests put in."""

    def add_confirmed(self, count: int, *, newsletter_id: int = 1) -> None:
        self.add_subscribers(count, newsletter_id=newsletter_id, state="confirmed")

    def add_subscribers(self, count: int, *, state: str, newsletter_id: int = 1) -> None:
        """New subscribers, all with this state on the newsletter."""
        self.rows(
            """
            WITH added AS (
                INSERT INTO subscriptions.subscriber (email, email_key, name)
                SELECT format('%%s-%%s@example.com', %s::text, n), format('%%s-%%s@example.com', %s::text, n), 'Reader'
                  FROM generate_series(1, %s) AS n
                RETURNING id)
            INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
            SELECT %s, id, %s, now(), now() FROM added
            """,
            *[secrets.token_hex(4)] * 2,
            count,
            newsletter_id,
            state,
        )

    def add_published_issue(self, newsletter_id: int = 1) -> int:
        """An issue that was published, with nothing enqueued yet."""
        ((issue_id,),) = self.rows(
            "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, status, "
            "published_at) VALUES (%s, 'Title', '<p>x</p>', 'x', 'user:1', 'published', now()) RETURNING id",
            newsletter_id,
        )
        self.rows("INSERT INTO publishing.fan_out (issue_id) VALUES (%s)", issue_id)
        self.rows("SELECT delivery.open_issue_run(%s, %s, %s)", issue_id, newsletter_id, f"00-{'1' * 32}-{'2' * 16}-01")
        return int(issue_id)

    @contextmanager
    def locked(self, statement: str) -> Iterator[None]:
        """While it lasts, a transaction of the owner's holds the locks of `statement`."""
        with psycopg.connect(self.owner_url) as connection:
            connection.execute(statement.encode())
            yield

    async def until_somebody_waits_for_a_lock(self) -> None:
        async def waits() -> bool:
            return self.rows(
                "SELECT count(*) > 0 FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ) == [(True,)]

        await until(waits)

    def enqueued(self, issue_id: int) -> list[int]:
        """Ids of the subscribers that have a delivery, by sequence number."""
        rows = self.rows("SELECT subscriber_id FROM delivery.delivery WHERE issue_id = %s ORDER BY seq", issue_id)
        return [row[0] for row in rows]

    def audience(self, newsletter_id: int = 1) -> list[int]:
        rows = self.rows(
            "SELECT subscriber_id FROM subscriptions.published_audience WHERE newsletter_id = %s ORDER BY 1",
            newsletter_id,
        )
        return [row[0] for row in rows]


class Publishing(PublishingOwner):
    """The service as its callers use it, and its database as the owner sees it."""

    def __init__(
        self, app: Litestar, client: AsyncTestClient[Litestar], minter: IdentityMinter, owner_url: str
    ) -> None:
        self.app = app
        self.client = client
        super().__init__(owner_url)
        self._minter = minter

    def identity(self, *names: str, subject: str = "key:1", audience: ServiceName = "publishing") -> dict[str, str]:
        return {IDENTITY_HEADER: self._minter.mint(Identity(subject, scopes(*names)), audience)}

    async def get(self, path: str, **query: Any) -> Response:
        return await self.client.get(f"/api/v1/{path}", params=query, headers=self.identity("read"))

    async def post(self, path: str, body: object = None, *, key: str | None = None, subject: str = "key:1") -> Response:
        headers = self.identity("read", "write", subject=subject) | ({"Idempotency-Key": key} if key else {})
        content: dict[str, Any] = {} if body is None else {"json": body}
        return await self.client.post(f"/api/v1/{path}", headers=headers, **content)

    async def delete(self, path: str) -> Response:
        return await self.client.delete(f"/api/v1/{path}", headers=self.identity("read", "write"))

    async def patch(
        self,
        path: str,
        body: object,
        *,
        tag: str | None = "*",
        subject: str = "key:1",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Response:
        """`tag`: the If-Match header."""
        headers = self.identity("read", "write", subject=subject) | dict(headers)
        headers |= {} if tag is None else {"If-Match": tag}
        return await self.client.patch(f"/api/v1/{path}", json=body, headers=headers)

    async def write_issue(self, **fields: object) -> Response:
        return await self.post("issues", ISSUE | fields)

    async def publish(self, issue_id: int, *, key: str | None = None, subject: str = "key:1") -> Response:
        return await self.post(f"issues/{issue_id}/publish", key=key, subject=subject)

    async def until_fanned_out(self, issue_id: int) -> None:
        """Waits until the background worker has enqueued the whole audience."""

        async def fanned_out() -> bool:
            return bool((await self.get(f"issues/{issue_id}")).json()["status"] != "publishing")

        await until(fanned_out)


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = 20.0) -> None:
    """Polls until the condition holds."""
    deadline_s = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        await anyio.sleep(0.02)


async def steps_until_finished(engine: AsyncEngine, *, above: int = 20, page_rows: int = 10) -> list[Step]:
    """Fan out the one issue that waits. For tests without the service, whose own loop may take the last step."""
    steps: list[Step] = []
    while not steps or not isinstance(steps[-1], Finished):
        steps.append(await fan_out_step(engine, page_rows=page_rows, partition_above=above))
        assert len(steps) < STEPS_MAX, "it does not end"
    return steps


def engine_for(database: Database) -> AsyncEngine:
    """A pool of the service's role, for tests that call a use case directly."""
    url = PostgresUrl(database.url_for("broadsheet_publishing"))
    return create_engine(url, application_name="test", pool_size=5, timeout_s=10)


def settings_for(database: Database) -> PublishingSettings:
    return PublishingSettings(
        bind_port=1,
        database_url=PostgresUrl(database.url_for("broadsheet_publishing")),
        identity_public_key=identity_keys()[1],
        public_url=HttpUrl(INSTALLATION.public_url),
        mail_from=INSTALLATION.sender,
        # No delivery runs that would answer.
        stream_check_wait_s=0,
    )


@asynccontextmanager
async def running_publishing(database: Database, *, acts_on_time: bool = False) -> AsyncGenerator[Publishing]:
    """Unless it `acts_on_time`, a test does what comes due itself: the service's own loops would race it."""
    app = create_app(settings_for(database), acts_on_time=acts_on_time)
    async with AsyncTestClient(app) as client:
        yield Publishing(app, client, IdentityMinter(identity_keys()[0]), database.owner_url)


@pytest.fixture
async def publishing(database: Database) -> AsyncIterator[Publishing]:
    async with running_publishing(database) as running:
        yield running


@pytest.fixture(scope="module")
async def shared_publishing(cluster: Cluster) -> AsyncIterator[Publishing]:
    """One for all tests of a module: for requests that must change nothing."""
    with cluster.database() as database:
        async with running_publishing(database) as running:
            yield running


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = engine_for(database)
    yield made
    await made.dispose()


@pytest.fixture
def owner(database: Database) -> PublishingOwner:
    return PublishingOwner(database.owner_url)


class ManyConfirmed(msgspec.Struct, frozen=True):
    """200,000 confirmed on the default newsletter, one in ten of them on a second one; no statistics yet."""

    count: int
    sparse_newsletter_id: int
    database: Database


@pytest.fixture
def many_confirmed(database: Database) -> ManyConfirmed:
    owner, count = PublishingOwner(database.owner_url), 200_000
    sparse_id = owner.add_newsletter("sparse")
    # Subscriptions alone: without the triggers of foreign keys they are there in a second.
    owner.rows(f"""
        ALTER TABLE subscriptions.subscription SET (autovacuum_enabled = false);
        SET session_replication_role = replica;
        INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
        SELECT 1, n, 'confirmed', now() FROM generate_series(1, {count}) AS n;
        INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
        SELECT {sparse_id}, n, 'confirmed', now() FROM generate_series(10, {count}, 10) AS n;
    """)
    return ManyConfirmed(count, sparse_id, database)
