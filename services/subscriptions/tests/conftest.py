"""A migrated database a test, on the server that TEST_DATABASE_URL names (as a superuser), and the service on it."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import alembic.command
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
from broadsheet_common.link_token import LinkSigner
from broadsheet_common.settings import HttpUrl, PostgresUrl, Secret
from broadsheet_migrations.history import alembic_config
from broadsheet_subscriptions.app import create_app
from broadsheet_subscriptions.settings import SubscriptionsSettings

PUBLIC_URL = "https://news.example.com"
SIGNING_KEYS = f"k1:{'ab' * 32}"


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


class Subscriptions:
    """The service as its callers use it, and its database as the owner sees it."""

    def __init__(
        self, app: Litestar, client: AsyncTestClient[Litestar], minter: IdentityMinter, owner_url: str
    ) -> None:
        self.app = app
        self.client = client
        self.owner_url = owner_url
        self.signer = LinkSigner.parse(SIGNING_KEYS)
        self._minter = minter

    def identity(self, *scopes: Scope, subject: str = "key:1") -> dict[str, str]:
        return {IDENTITY_HEADER: self._minter.mint(Identity(subject, frozenset(scopes)), "subscriptions")}

    async def public(self, path: str, **body: object) -> Response:
        return await self.client.post(f"/public/{path}", json=body, headers=self.identity("public", subject="public"))

    async def get(self, path: str, **query: Any) -> Response:
        return await self.client.get(f"/api/v1/subscribers{path}", params=query, headers=self.identity("read"))

    async def post(self, path: str, body: object, *, key: str | None = None, subject: str = "key:1") -> Response:
        headers = self.identity("write", subject=subject) | ({"Idempotency-Key": key} if key else {})
        return await self.client.post(f"/api/v1/subscribers{path}", json=body, headers=headers)

    async def sign_up(self, email: str = "ada@example.com", name: str = "Ada") -> Response:
        return await self.public("subscriptions", email=email, name=name)

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

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

    def unsubscribe_token(self, email: str = "ada@example.com") -> str:
        ((subscription_id,),) = self.rows(
            "SELECT subscription_id FROM subscriptions.published_recipients WHERE email_key = %s", email.lower()
        )
        return self.signer.sign("unsubscribe", subscription_id)


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
def settings(database: Database, identity_keys: KeyPair) -> SubscriptionsSettings:
    return SubscriptionsSettings(
        bind_port=1,
        database_url=PostgresUrl(database.url_for("broadsheet_subscriptions")),
        public_url=HttpUrl(PUBLIC_URL),
        link_signing_keys=Secret(SIGNING_KEYS),
        identity_public_key=identity_keys.public_pem,
    )


@pytest.fixture
async def subscriptions(
    settings: SubscriptionsSettings, database: Database, identity_keys: KeyPair
) -> AsyncIterator[Subscriptions]:
    app = create_app(settings)
    async with AsyncTestClient(app) as client:
        yield Subscriptions(app, client, IdentityMinter(identity_keys.private_pem), database.owner_url)
