"""The delivery service's API, asked with the gateway's signed identity; sending is left to the test."""

from collections.abc import AsyncIterator

import httpx
import pytest

from broadsheet_common.contracts.identity import IDENTITY_HEADER, Identity, IdentityMinter
from broadsheet_delivery.app import create_app
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.delivering import delivery_settings
from harness.http.asgi import asgi_transport
from harness.keys import identity_keys, scopes


def _headers(subject: str, *names: str) -> dict[str, str]:
    identity = Identity(subject, scopes(*names))
    return {IDENTITY_HEADER: IdentityMinter(identity_keys()[0]).mint(identity, "delivery")}


@pytest.fixture
def as_writer() -> dict[str, str]:
    """Headers of somebody who may read and write, and is no admin."""
    return _headers("key:1", "read", "write")


@pytest.fixture
async def delivery_api(database: Database, sandbox: RunningSandbox) -> AsyncIterator[httpx.AsyncClient]:
    """An admin at the API alone: sending is the test's to drive."""
    app = create_app(delivery_settings(database, sandbox.base_url, sandbox.token), sends=False)
    async with (
        app.lifespan(),
        httpx.AsyncClient(
            transport=asgi_transport(app),
            base_url="http://delivery",
            headers=_headers("key:1", "read", "write", "admin"),
        ) as client,
    ):
        yield client


@pytest.fixture
def operator(delivery_api: httpx.AsyncClient) -> httpx.AsyncClient:
    """The API as `key:7` with the scopes read and write uses it."""
    delivery_api.headers.update(_headers("key:7", "read", "write"))
    return delivery_api
