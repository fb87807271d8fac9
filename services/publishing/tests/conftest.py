"""The publishing service in this process, as its callers use it."""

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import psycopg
import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient

from broadsheet_common.identity import IDENTITY_HEADER, Identity, IdentityMinter, Scope
from broadsheet_common.settings import PostgresUrl
from broadsheet_publishing.app import create_app
from broadsheet_publishing.settings import PublishingSettings
from harness.cluster import Database
from harness.keys import identity_keys

ISSUE = {
    "title": "The first issue",
    "html_content": "<p>Hello {{ subscriber.name }}</p>",
    "text_content": "Hello {{ subscriber.name }}",
}


class Publishing:
    """The service as its callers use it, and its database as the owner sees it."""

    def __init__(
        self, app: Litestar, client: AsyncTestClient[Litestar], minter: IdentityMinter, owner_url: str
    ) -> None:
        self.app = app
        self.client = client
        self.owner_url = owner_url
        self._minter = minter

    def identity(self, *scopes: Scope, subject: str = "key:1") -> dict[str, str]:
        return {IDENTITY_HEADER: self._minter.mint(Identity(subject, frozenset(scopes)), "publishing")}

    async def get(self, path: str, **query: Any) -> Response:
        return await self.client.get(f"/api/v1/{path}", params=query, headers=self.identity("read"))

    async def post(self, path: str, body: object = None, *, key: str | None = None, subject: str = "key:1") -> Response:
        headers = self.identity("write", subject=subject) | ({"Idempotency-Key": key} if key else {})
        content: dict[str, Any] = {} if body is None else {"json": body}
        return await self.client.post(f"/api/v1/{path}", headers=headers, **content)

    async def write_issue(self, **fields: object) -> Response:
        return await self.post("issues", ISSUE | fields)

    async def publish(self, issue_id: int, *, key: str | None = None, subject: str = "key:1") -> Response:
        return await self.post(f"issues/{issue_id}/publish", key=key, subject=subject)

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

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

    def add_newsletter(self, slug: str) -> int:
        ((newsletter_id,),) = self.rows(
            "INSERT INTO publishing.newsletter (slug, name) VALUES (%s, %s) RETURNING id", slug, slug.title()
        )
        return int(newsletter_id)

    async def until_fanned_out(self, issue_id: int) -> None:
        """Waits, at most 20 s, until the background worker has enqueued the whole audience."""
        deadline_s = time.monotonic() + 20
        while (await self.get(f"issues/{issue_id}")).json()["status"] == "publishing":
            assert time.monotonic() < deadline_s, "the fan-out did not finish"
            await anyio.sleep(0.02)


@pytest.fixture
def settings(database: Database) -> PublishingSettings:
    return PublishingSettings(
        bind_port=1,
        database_url=PostgresUrl(database.url_for("broadsheet_publishing")),
        identity_public_key=identity_keys()[1],
    )


@pytest.fixture
async def publishing(
    settings: PublishingSettings,
    database: Database,
) -> AsyncIterator[Publishing]:
    app = create_app(settings)
    async with AsyncTestClient(app) as client:
        yield Publishing(app, client, IdentityMinter(identity_keys()[0]), database.owner_url)
