"""The publishing service on a port of its own, in the server that it has in production; and things to ask it about."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import msgspec
from litestar import Litestar
from litestar.serialization import decode_json, encode_json

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_common.http.route_rules import served_document
from broadsheet_common.process.settings import HttpUrl, PostgresUrl
from broadsheet_publishing.app import create_app
from broadsheet_publishing.settings import PublishingSettings
from harness.cluster import POSTAL_ADDRESS, Cluster
from harness.http.served_app import START_TIMEOUT_S, serving_app
from harness.keys import identity_keys, scopes

from ..conftest import INSTALLATION, PublishingOwner

AUTHOR, EDITOR = "user:1", "user:2"
FIRST_ID: Final = 5_000_001
SCHEDULED_FOR: Final = "2027-01-15T08:00:00Z"
CONTENT: Final = "# Hello {{ subscriber.name | default: 'reader' }}\n\nYour town is {{ subscriber.attributes.city }}.\n"
LAYOUT: Final = '<!doctype html><html lang="en"><body>{{ content }}</body></html>'


def app_on(database_url: str) -> Litestar:
    return create_app(
        PublishingSettings(
            bind_port=1,
            database_url=PostgresUrl(database_url),
            identity_public_key=identity_keys()[1],
            public_url=HttpUrl(INSTALLATION.public_url),
            mail_from=INSTALLATION.sender,
        )
    )


def read_document() -> dict[str, Any]:
    """The service's OpenAPI document as it is served: known before any test has a database."""
    app = app_on("postgresql://nobody@127.0.0.1:1/none")
    document: dict[str, Any] = decode_json(encode_json(served_document(app)))
    return document


class World(msgspec.Struct, frozen=True):
    """A newsletter with an archive and a reader, and issues of it in every state that a step begins in."""

    newsletter: int
    slug: str
    empty_newsletter: int
    archived_newsletter: int
    layout: int
    spare_layout: int
    segment: int
    reader: int
    email: str
    draft: int
    """Saved twice."""
    asked: int
    """A draft whose approval was asked for."""
    scheduled: int
    published: int
    published_slug: str
    tested: int
    """Published with an A/B test that a person decides."""


class Served(PublishingOwner):
    """The running service, and its database as the owner sees it."""

    def __init__(self, owner_url: str, port: int) -> None:
        super().__init__(owner_url)
        self.base_url = f"http://127.0.0.1:{port}"
        self._minter = IdentityMinter(identity_keys()[0])
        self._numbers = itertools.count(1)
        for table in ("newsletter", "layout", "issue"):
            # Nobody guesses what is there: made-up numbers are small, or at the bounds.
            self.rows(f"ALTER TABLE publishing.{table} ALTER COLUMN id RESTART WITH {FIRST_ID}")
        self.rows("INSERT INTO subscriptions.attribute (name, type, label) VALUES ('city', 'text', 'City')")

    def headers(self, subject: str = AUTHOR) -> dict[str, str]:
        """Of a caller who may do everything."""
        identity = Identity(subject, scopes("read", "write", "admin", "public"))
        return {IDENTITY_HEADER: self._minter.mint(identity, "publishing")}

    def make_world(self) -> World:
        """A new one beside those that are there already."""
        name = f"world-{next(self._numbers)}"
        with httpx.Client(
            base_url=f"{self.base_url}/api/v1/", headers=self.headers(), timeout=START_TIMEOUT_S, trust_env=False
        ) as client:

            def make(path: str, body: object = None) -> dict[str, Any]:
                answer = client.post(path, json=body) if body is not None else client.post(path)
                assert answer.is_success, answer.text
                made: dict[str, Any] = answer.json()
                return made

            def newsletter(suffix: str = "") -> int:
                return int(make("newsletters", {"name": name + suffix, "postal_address": POSTAL_ADDRESS})["id"])

            def layout(suffix: str) -> int:
                return int(make("layouts", {"name": name + suffix, "format": "html", "source": LAYOUT})["id"])

            def issue(title: str) -> int:
                return int(make("issues", {"newsletter_id": own, "title": title, "content": CONTENT})["id"])

            own, empty, archived = newsletter(), newsletter("-empty"), newsletter("-archived")
            make(f"newsletters/{archived}/archive")
            self.add_confirmed(1, newsletter_id=own)
            ((reader, email),) = self.rows("SELECT id, email FROM subscriptions.subscriber ORDER BY id DESC LIMIT 1")
            tree = '{"field": "tag", "op": "has", "value": "x"}'
            ((segment,),) = self.rows(
                "INSERT INTO subscriptions.segment (name, filter) VALUES (%s, %s) RETURNING id", name, tree
            )
            draft, asked, scheduled, published = (issue(one) for one in ("Draft", "Asked", "Scheduled", "Published"))
            saved = client.patch(f"issues/{draft}", json={"preheader": "Saved twice"}, headers={"If-Match": "*"})
            assert saved.is_success, saved.text
            make(f"issues/{asked}/approval", {})
            make(f"issues/{scheduled}/schedule", {"at": SCHEDULED_FOR})
            shown = make(f"issues/{published}/publish")
            test = {"others": [{"subject": "Another"}], "share_percent": 50, "decide_by": "hand"}
            tested = make(
                "issues",
                {"newsletter_id": own, "title": "Tested", "content": CONTENT, "ab_test": test, "publish": True},
            )
            return World(
                newsletter=own,
                slug=name,
                empty_newsletter=empty,
                archived_newsletter=archived,
                layout=layout("-used"),
                spare_layout=layout("-spare"),
                segment=segment,
                reader=reader,
                email=email,
                draft=draft,
                asked=asked,
                scheduled=scheduled,
                published=published,
                published_slug=shown["slug"],
                tested=tested["id"],
            )


@contextmanager
def serving(cluster: Cluster) -> Iterator[Served]:
    with (
        cluster.database() as database,
        serving_app(app_on(database.url_for("broadsheet_publishing"))) as port,
    ):
        yield Served(database.owner_url, port)
