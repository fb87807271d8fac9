"""Subscribers, endpoints and a sender that a test drives step by step."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_subscriptions.webhooks.endpoints.create_endpoint import create_endpoint
from broadsheet_subscriptions.webhooks.endpoints.endpoint_fields import parse_fields
from broadsheet_subscriptions.webhooks.sending.attempt import Attempter
from broadsheet_subscriptions.webhooks.sending.call_endpoint import open_caller
from broadsheet_subscriptions.webhooks.sending.event import EVENT_TYPES, EventType
from broadsheet_subscriptions.webhooks.sending.sender import SendingPolicy, WebhookMetrics, WebhookSender
from harness.keys import SECRET_ENCRYPTION_KEYS
from harness.owner import Owner

TARGETS = TargetPolicy((ip_network("127.0.0.0/8"),), allow_http=True)
BOX = SecretBox.parse(SECRET_ENCRYPTION_KEYS.reveal())


class World(Owner):
    """The database as its owner sees it, and endpoints made as the service makes them."""

    def __init__(self, owner_url: str, engine: AsyncEngine) -> None:
        super().__init__(owner_url)
        self.engine = engine

    async def add_endpoint(
        self,
        url: str,
        *,
        events: tuple[EventType, ...] = EVENT_TYPES,
        newsletter_ids: list[int] | None = None,
        enabled: bool = True,
    ) -> tuple[int, str]:
        """Its id, and its secret."""
        fields = parse_fields(
            TARGETS, url=url, description="", events=events, newsletter_ids=newsletter_ids, enabled=enabled
        )
        async with self.engine.begin() as connection:
            endpoint, secret = await create_endpoint(connection, fields, box=BOX)
        return endpoint.id, secret.reveal()

    def add_people(
        self, count: int, *, state: str = "confirmed", newsletter_id: int = 1, prefix: str = "reader"
    ) -> None:
        """In one statement."""
        self.rows(
            """
            WITH person AS (
                INSERT INTO subscriptions.subscriber (email, email_key, name)
                SELECT one, one, 'Reader' FROM (
                       SELECT %s || '-' || n || '@example.com' AS one FROM generate_series(1, %s) AS n) AS made
                RETURNING id)
            INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
            SELECT %s, id, %s::text, CASE WHEN %s = 'confirmed' THEN now() END,
                   CASE WHEN %s = 'unsubscribed' THEN now() END
              FROM person
            """,
            prefix, count, newsletter_id, state, state, state,
        )  # fmt: skip

    def queued(self) -> list[tuple[str, str | None, str | None]]:
        """Type, state and source of what was queued, oldest first."""
        return [
            (type_, state, source)
            for type_, state, source in self.rows(
                "SELECT type, state, source FROM subscriptions.webhook_delivery ORDER BY id"
            )
        ]

    def statuses(self) -> dict[str, int]:
        counted = self.rows("SELECT status, count(*) FROM subscriptions.webhook_delivery GROUP BY status")
        return {str(status): int(count) for status, count in counted}

    def make_due(self) -> None:
        """Let every wait be over, and every lease."""
        self.rows("UPDATE subscriptions.webhook_delivery SET run_at = now() WHERE status = 'waiting'")


class DrivenSender(WebhookSender):
    """Its loops run when a test says so."""

    _runner: BackgroundRunner | None = None

    def start(self) -> None:
        self._runner = BackgroundRunner(self.loops)
        self._runner.start()

    async def drain(self, timeout_s: float) -> None:
        if self._runner is not None:
            await self._runner.stop(timeout_s)


@asynccontextmanager
async def sending(
    engine: AsyncEngine,
    *,
    timeout_s: float = 30.0,
    calls_per_endpoint: int = 5,
    failing_max: timedelta = timedelta(days=5),
    log_kept_days: int = 30,
    box: SecretBox = BOX,
    targets: TargetPolicy = TARGETS,
) -> AsyncGenerator[DrivenSender]:
    """A sender whose loops do not run until it is started. A call has long enough on a busy machine too: a test that
    waits for a time-out sets its own.
    """
    async with open_caller(targets, timeout_s=timeout_s) as caller:
        sender = DrivenSender(
            engine,
            Attempter(caller, targets=targets, box=box, random=random.Random(1)),
            policy=SendingPolicy(
                calls_per_endpoint=calls_per_endpoint,
                call=timedelta(seconds=2 * timeout_s),
                failing_max=failing_max,
                log_kept_days=log_kept_days,
            ),
            metrics=WebhookMetrics(CollectorRegistry()),
        )
        try:
            yield sender
        finally:
            await sender.drain(5.0)


async def send_all(sender: WebhookSender, *, rounds_max: int = 1_000) -> int:
    """Until nothing is due; how many attempts were begun."""
    begun = 0
    for _ in range(rounds_max):
        just_begun = await sender.send_due()
        if just_begun == 0:
            return begun
        begun += just_begun
    raise AssertionError(f"still something due after {rounds_max} rounds")
