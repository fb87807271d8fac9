"""The subscriptions service on a port of its own, in the server that it has in production, with somebody in it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import httpx
import psycopg
from litestar import Litestar
from litestar.serialization import decode_json, encode_json

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.process.settings import HttpUrl, PostgresUrl
from broadsheet_subscriptions.app import create_app
from broadsheet_subscriptions.settings import SubscriptionsSettings
from harness.cluster import Cluster
from harness.http.served_app import START_TIMEOUT_S, serving_app
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, SECRET_ENCRYPTION_KEYS, identity_keys, scopes
from harness.owner import Owner

TRUNCATE_TRIES_MAX: Final = 10
PEOPLE: Final = ("ada@example.com", "grace@example.com", "edsger@example.com")
ATTRIBUTES: Final = (("age", "number"), ("city", "text"), ("since", "date"))


def app_on(database_url: str) -> Litestar:
    settings = SubscriptionsSettings(
        bind_port=1,
        database_url=PostgresUrl(database_url),
        public_url=HttpUrl("https://news.example.com"),
        link_signing_keys=LINK_SIGNING_KEYS,
        erasure_keys=ERASURE_KEYS,
        secret_encryption_keys=SECRET_ENCRYPTION_KEYS,
        identity_public_key=identity_keys()[1],
    )
    # What is made up may be anybody's URL: nothing is sent there.
    return create_app(settings, sends_webhooks=False)


def read_document() -> dict[str, Any]:
    """The service's OpenAPI document as it is served: known before any test has a database."""
    app = app_on("postgresql://nobody@127.0.0.1:1/none")
    document: dict[str, Any] = decode_json(encode_json(app.openapi_schema.to_schema()))
    return document


class Served(Owner):
    """The running service, and its database as the owner sees it."""

    def __init__(self, owner_url: str, port: int) -> None:
        super().__init__(owner_url)
        self.base_url = f"http://127.0.0.1:{port}"
        self._minter = IdentityMinter(identity_keys()[0])
        self._signer = LinkSigner.parse(LINK_SIGNING_KEYS.reveal())
        self._tokens: dict[str, list[str]] = {}

    def headers(self) -> dict[str, str]:
        """Of a caller who may do everything."""
        identity = Identity("key:1", scopes("read", "write", "admin", "public"))
        return {IDENTITY_HEADER: self._minter.mint(identity, "subscriptions")}

    def start_anew(self) -> None:
        """Nothing is left of what was here; of everything that can be made there are some, with the ids 1, 2 and 3."""
        tables = self.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'subscriptions'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        )
        self._truncate(f"{', '.join(f'subscriptions.{name}' for (name,) in tables)}, delivery.single_mail")
        with httpx.Client(
            base_url=self.base_url, headers=self.headers(), timeout=START_TIMEOUT_S, trust_env=False
        ) as client:
            for name, kind in ATTRIBUTES:
                _made(client.post("/api/v1/attributes", json={"name": name, "type": kind}))
            for number in range(1, 4):
                _made(
                    client.post(
                        "/api/v1/webhook-endpoints",
                        json={"url": f"https://hooks.example.com/{number}", "events": ["subscriber.subscribed"]},
                    )
                )
                _made(
                    client.post(
                        "/api/v1/segments",
                        json={
                            "name": f"Segment {number}",
                            "filter": {"field": "tag", "op": "has", "value": f"tag-{number}"},
                        },
                    )
                )
            for email in PEOPLE:
                _made(client.post("/public/subscriptions", json={"email": email, "name": "Somebody"}))
            subscriptions = self.rows("SELECT id FROM subscriptions.subscription ORDER BY id")
            unsubscribe = [self._signer.sign("unsubscribe", number) for (number,) in subscriptions]
            for token in unsubscribe:
                _made(client.post("/public/preferences-links", json={"token": token}))
            links = self._mailed("preferences_link", "/preferences/")
            for number, token in enumerate(links):
                body = {"token": token, "email": f"new-{number}@example.com"}
                _made(client.post("/public/preferences/address", json=body))
        self._tokens = {
            "/public/preferences/": links,
            "/public/address-changes": self._mailed("address_change", "/change-of-address/"),
            "/": self._mailed("confirmation", "subscription_token=") + unsubscribe,
        }

    def tokens_for(self, path: str) -> list[str]:
        """Good ones, of those that somebody would send there."""
        return next(tokens for start, tokens in self._tokens.items() if path.startswith(start))

    def _mailed(self, kind: str, before: str) -> list[str]:
        mails = self.rows("SELECT text_body FROM delivery.single_mail WHERE kind = %s ORDER BY id", kind)
        return [text.partition(before)[2].split()[0] for (text,) in mails]

    def _truncate(self, tables: str) -> None:
        """The service's loops take locks in an order of their own: whoever Postgres lets give way tries again."""
        for _ in range(TRUNCATE_TRIES_MAX - 1):
            with suppress(psycopg.errors.DeadlockDetected):
                self.rows(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
                return
        self.rows(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")


def _made(answer: httpx.Response) -> None:
    assert answer.status_code in {200, 201, 202}, answer.text


@contextmanager
def serving(cluster: Cluster) -> Iterator[Served]:
    with (
        cluster.database() as database,
        serving_app(app_on(database.url_for("broadsheet_subscriptions"))) as port,
    ):
        yield Served(database.owner_url, port)
