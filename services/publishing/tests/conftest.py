"""A migrated database a test, on the server that TEST_DATABASE_URL names (as a superuser), and the service on it."""

import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import alembic.command
import anyio
import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient
from psycopg import sql

from broadsheet_common.identity import IDENTITY_HEADER, Identity, IdentityMinter, Scope
from broadsheet_common.settings import PostgresUrl
from broadsheet_migrations.history import alembic_config
from broadsheet_publishing.app import create_app
from broadsheet_publishing.settings import PublishingSettings

ISSUE = {
    "title": "The first issue",
    "html_content": "<p>Hello {{ subscriber.name }}</p>",
    "text_content": "Hello {{ subscriber.name }}",
}


class Database(msgspec.Struct, frozen=True):
    owner_url: str

    def url_for(self, role_name: str) -> str:
        parts = urlsplit(self.owner_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role_name}@{host}"))


def _server_url() -> str:
    return os.environ["TEST_DATABASE_URL"]


def _execute(statement: str, *names: str) -> None:
    with psycopg.connect(_server_url(), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def _url_of(name: str) -> str:
    # Spelled out, as urlunsplit drops an empty host.
    parts = urlsplit(_server_url())
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"


@pytest.fixture(scope="session")
def _template() -> Iterator[str]:
    name = f"broadsheet_test_{secrets.token_hex(6)}"
    _execute("CREATE DATABASE {}", name)
    alembic.command.upgrade(alembic_config(_url_of(name)), "head")
    yield name
    _execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def database(_template: str) -> Iterator[Database]:
    name = f"{_template}_{secrets.token_hex(4)}"
    _execute("CREATE DATABASE {} TEMPLATE {}", name, _template)
    yield Database(owner_url=_url_of(name))
    _execute("DROP DATABASE {} WITH (FORCE)", name)


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
        content = {} if body is None else {"json": body}
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


class KeyPair(msgspec.Struct, frozen=True):
    private_pem: str
    public_pem: str


@pytest.fixture(scope="session")
def identity_keys() -> KeyPair:
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


@pytest.fixture
def settings(database: Database, identity_keys: KeyPair) -> PublishingSettings:
    return PublishingSettings(
        bind_port=1,
        database_url=PostgresUrl(database.url_for("broadsheet_publishing")),
        identity_public_key=identity_keys.public_pem,
    )


@pytest.fixture
async def publishing(
    settings: PublishingSettings, database: Database, identity_keys: KeyPair
) -> AsyncIterator[Publishing]:
    app = create_app(settings)
    async with AsyncTestClient(app) as client:
        yield Publishing(app, client, IdentityMinter(identity_keys.private_pem), database.owner_url)
