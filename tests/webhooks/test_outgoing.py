"""From a sign-up through the whole system to somebody else's server: signed, once each, and on record."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from broadsheet_local.embedded.ports import LOOPBACK
from harness.system import System
from harness.waiting import eventually

READER = "reader@example.com"
EVENTS = ["subscriber.subscribed", "subscriber.confirmed", "subscriber.unsubscribed"]


class Inbox:
    """What a receiver was sent: headers and body, as they came."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=204)


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    receiver = Inbox()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    receiver.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def test_who_signs_up_confirms_and_leaves_is_told_to_a_receiver_that_verifies_it(
    system: System, inbox: Inbox
) -> None:
    made = await system.api.post(
        "/api/v1/webhook-endpoints",
        json={
            "url": inbox.url,
            "events": [f"subscriber.{what}" for what in ("subscribed", "confirmed", "unsubscribed")],
        },
    )
    assert made.status_code == 201, made.text
    endpoint = made.json()
    await system.confirmed_subscriber(READER)
    found = await system.api.get("/api/v1/subscribers", params={"email": READER})
    [subscriber] = found.json()["items"]
    left = await system.api.post(f"/api/v1/subscribers/{subscriber['id']}/unsubscribe", json={})
    assert left.status_code == 200
    await eventually(lambda: len(inbox.calls) >= 3, what="the receiver has all three")
    verifier = Webhook(endpoint["secret"])
    messages: list[dict[str, Any]] = sorted(
        (verifier.verify(body, headers) for headers, body in inbox.calls), key=lambda message: message["timestamp"]
    )
    assert [(message["type"], message["data"]["state"], message["data"]["source"]) for message in messages] == [
        ("subscriber.subscribed", "pending", "sign_up"),
        ("subscriber.confirmed", "confirmed", "link"),
        ("subscriber.unsubscribed", "unsubscribed", "operator"),
    ]
    assert {message["data"]["subscriber"]["email"] for message in messages} == {READER}

    log = f"/api/v1/webhook-endpoints/{endpoint['id']}/deliveries"

    async def on_record() -> bool:
        items = (await system.api.get(log)).json()["items"]
        return [item["status"] for item in items] == ["delivered"] * 3

    await eventually(on_record, what="all three are on record as delivered")
    [first, *_] = (await system.api.get(log)).json()["items"]
    assert [attempt["http_status"] for attempt in first["attempts"]] == [204]
    assert len({headers["webhook-id"] for headers, _ in inbox.calls}) == 3
