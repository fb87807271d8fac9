"""What the tests of the pages on imports share."""

import httpx
import pytest

from ...conftest import Gateway


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={
        "items": [{"id": number, "name": name} for number, name in ((1, "First"), (3, "The Weekly"))],
        "next_cursor": None,
    })  # fmt: skip
    gateway.subscriptions.answer("GET", "/api/v1/attributes", body={
        "items": [{"name": "city", "label": "City", "type": "text", "created_at": "2026-01-01T00:00:00Z"}],
        "next_cursor": None,
    })  # fmt: skip
    client = await gateway.signed_in()
    gateway.subscriptions.received.clear()
    return client
