"""A system of one's own that hears from Postmark: the sandbox posts its webhooks to the gateway, over a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import httpx
import uvicorn

from broadsheet_common.process.settings import Secret
from broadsheet_local.embedded.ports import LOOPBACK
from broadsheet_postmark_sandbox.testing import RunningSandbox, running_sandbox_sync
from harness.cluster import Cluster
from harness.seeding import Seed
from harness.system import System, running_system
from harness.waiting import eventually

USER, PASSWORD = "postmark", "webhook-password"
PATH: Final = "/webhooks/postmark"


@asynccontextmanager
async def hooked_system(cluster: Cluster, redis_url: str) -> AsyncIterator[System]:
    """The four apps, with the gateway on a port that the sandbox's webhooks are sent to."""
    with cluster.database() as database, running_sandbox_sync() as sandbox, Seed.connect(database) as seed:
        credentials: dict[str, Any] = {
            "postmark_webhook_user": USER,
            "postmark_webhook_password": Secret(PASSWORD),
        }
        async with running_system(database, redis_url, sandbox, seed, **credentials) as system:
            server = uvicorn.Server(
                uvicorn.Config(system.apps["gateway"], host=LOOPBACK, port=0, lifespan="off", log_config=None)
            )
            serving = asyncio.create_task(server.serve())
            await eventually(lambda: server.started, what="the gateway listens")
            port = server.servers[0].sockets[0].getsockname()[1]
            _send_webhooks_to(sandbox, f"http://{LOOPBACK}:{port}{PATH}")
            try:
                yield system
            finally:
                server.should_exit = True
                with suppress(asyncio.CancelledError):
                    await serving


async def happens_at_postmark(system: System, **fields: Any) -> None:
    """An event of the sandbox's (`POST /_sandbox/events`); what its webhooks tell is applied."""
    base = system.sandbox.base_url
    async with httpx.AsyncClient(base_url=base) as control:
        answer = await control.post("/_sandbox/events", json=fields)
        assert answer.is_success, answer.text
        assert answer.json()["queued"] > 0

        async def arrived() -> bool:
            return bool((await control.get("/_sandbox/webhooks")).json()["pending"] == 0)

        await eventually(arrived, what="every webhook was answered")
    await system.delivery.apply_events()

    def followed() -> bool:
        return system.seed.count("subscriptions.provider_change") == 0

    await eventually(followed, what="subscriptions has followed")


def _send_webhooks_to(sandbox: RunningSandbox, url: str) -> None:
    body = {
        "Url": url,
        "MessageStream": "broadcast",
        "HttpAuth": {"Username": USER, "Password": PASSWORD},
        "Triggers": {
            name: {"Enabled": True}
            for name in ("Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange")
        },
    }
    answer = httpx.post(f"{sandbox.base_url}/webhooks", json=body, headers=sandbox.headers)
    assert answer.is_success, answer.text
