"""A delivery replica driven step by step: it claims and sends when the test says so. Or with its loops, as in
production.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from broadsheet_common.http.application import ServerMetrics
from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import HttpUrl, PostgresUrl, Secret
from broadsheet_delivery.app import create_context, create_postmark_http_client, create_worker
from broadsheet_delivery.context import DeliveryContext
from broadsheet_delivery.erasure.finish_erasures import finish_erasures
from broadsheet_delivery.events.apply_events import apply_provider_events
from broadsheet_delivery.events.run_backstop import run_backstop
from broadsheet_delivery.preflight.check_stream import preflight_issues
from broadsheet_delivery.queue.claim_chunk import ClaimedChunk, IssueRotation, claim_chunk
from broadsheet_delivery.queue.rescue_leases import rescue_leases
from broadsheet_delivery.reports.roll_up_reports import roll_up_reports
from broadsheet_delivery.retention.remove_old import retain
from broadsheet_delivery.sending.send_chunk import send_chunk
from broadsheet_delivery.sending.send_single_mails import ClaimedMails, claim_single_mails, send_single_mails
from broadsheet_delivery.sending.send_welcome_mails import ClaimedWelcome, claim_welcome_mails, send_welcome_mails
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_delivery.settling.cancel_remainders import cancel_remainders
from broadsheet_delivery.settling.finish_issues import finish_issues
from broadsheet_delivery.settling.reconcile import reconcile
from broadsheet_delivery.suppressions.tell_postmark import tell_postmark
from broadsheet_delivery.worker import DeliveryWorker
from harness.cluster import Database
from harness.keys import ERASURE_KEYS, LINK_SIGNING_KEYS, identity_keys

MAIL_FROM = "Broadsheet <newsletter@example.com>"
STEPS_MAX = 10_000


def delivery_settings(database: Database, base_url: str, token: str, **changes: object) -> DeliverySettings:
    """Settings for a test's replica. A call has so much of its lease left to begin in that a machine that stands
    still for some seconds changes no test: a test that waits for a time-out, or for a lease that runs out, sets its
    own.
    """
    settings = DeliverySettings(
        broadsheet_env="local",
        bind_port=1,
        database_url=PostgresUrl.parse(database.url_for("delivery")),
        public_url=HttpUrl.parse("https://news.example.com"),
        identity_public_key=identity_keys()[1],
        link_signing_keys=LINK_SIGNING_KEYS,
        erasure_keys=ERASURE_KEYS,
        mail_from=MAIL_FROM,
        postmark_base_url=HttpUrl.parse(base_url),
        postmark_server_token=Secret(token),
        delivery_http_timeout_s=30.0,
        delivery_lease_s=60.0,
        delivery_reconcile_floor_s=0.001,
    )
    return msgspec.structs.replace(settings, **changes)


class Delivering:
    """`context` is the replica's; each call is one pass of a loop that `worker` runs for ever."""

    def __init__(self, context: DeliveryContext) -> None:
        self.context = context
        self._rotation = IssueRotation()

    async def preflight(self) -> int:
        return await preflight_issues(self.context)

    async def claim(self) -> ClaimedChunk | None:
        """The next chunk, of issues whose preflight passes."""
        await self.preflight()
        claimed = await claim_chunk(self.context, self._rotation)
        return claimed if isinstance(claimed, ClaimedChunk) else None

    async def send_one_chunk(self) -> bool:
        claimed = await self.claim()
        if claimed is None:
            return False
        await send_chunk(self.context, claimed)
        return True

    async def send_one_single_batch(self) -> bool:
        await self.preflight()
        for part in ("transactional", "newsletter"):
            claimed = await claim_single_mails(self.context, part)
            if isinstance(claimed, ClaimedMails):
                await send_single_mails(self.context, claimed)
                return True
        welcome = await claim_welcome_mails(self.context)
        if isinstance(welcome, ClaimedWelcome):
            await send_welcome_mails(self.context, welcome)
            return True
        return False

    async def send_all_due(self) -> None:
        """Everything in both lanes that is due now, then close what is settled."""
        for _ in range(STEPS_MAX):
            if not (await self.send_one_single_batch() or await self.send_one_chunk()):
                break
        else:
            raise AssertionError(f"there was still work after {STEPS_MAX} steps")
        await cancel_remainders(self.context)
        await finish_issues(self.context)

    async def rescue(self) -> int:
        return await rescue_leases(self.context)

    async def reconcile(self) -> int:
        return await reconcile(self.context)

    async def cancel_remainders(self) -> int:
        return await cancel_remainders(self.context)

    async def retain(self) -> int:
        """When reports are up to date, for which what is to be removed waits."""
        for _ in range(STEPS_MAX):
            if await roll_up_reports(self.context) == 0:
                break
        return await retain(self.context)

    async def apply_events(self) -> int:
        return await apply_provider_events(self.context)

    async def finish_erasures(self) -> int:
        return await finish_erasures(self.context)

    async def tell_postmark(self) -> int:
        return await tell_postmark(self.context)

    async def run_backstop(self) -> bool:
        return await run_backstop(self.context)


@asynccontextmanager
async def delivering(database: Database, base_url: str, token: str, **changes: object) -> AsyncIterator[Delivering]:
    settings = delivery_settings(database, base_url, token, **changes)
    engine = create_engine(
        settings.database_url, application_name="test-delivery", pool_size=8, timeout_s=settings.database_timeout_s
    )
    http_client: httpx.AsyncClient = create_postmark_http_client(settings)
    try:
        yield Delivering(create_context(settings, engine, http_client, ServerMetrics()))
    finally:
        await http_client.aclose()
        await engine.dispose()


@asynccontextmanager
async def running_worker(
    database: Database, base_url: str, token: str, **changes: object
) -> AsyncIterator[DeliveryWorker]:
    """A replica with its loops and its listener for wake-ups; drained at the end, if the test did not do it."""
    settings = delivery_settings(database, base_url, token, **changes)
    async with delivering(database, base_url, token, **changes) as driven:
        worker = create_worker(settings, driven.context)
        worker.start()
        try:
            yield worker
        finally:
            await worker.drain(settings.drain_s)
