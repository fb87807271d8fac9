"""Fixtures of the tests about outgoing webhooks."""

from collections.abc import AsyncIterator

import pytest

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_subscriptions.webhooks.sending.sender import WebhookSender
from harness.cluster import Database

from .receiver import Receiver, receiving
from .world import World, sending


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    engine = create_engine(
        PostgresUrl(database.url_for("subscriptions")), application_name="test", pool_size=10, timeout_s=10
    )
    yield World(database.owner_url, engine)
    await engine.dispose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def sender(world: World) -> AsyncIterator[WebhookSender]:
    async with sending(world.engine) as driven:
        yield driven
