"""Sends Delivery events by itself while the setting `automatic_delivery` is on.

A cursor runs over the log, so waiting events need no memory of their own. It waits while too many webhooks are
pending.
"""

import asyncio
from typing import Final

from broadsheet_postmark_sandbox.events.send_events import automatic_delivery
from broadsheet_postmark_sandbox.state import Sandbox

ROOM_MIN: Final = 500
POLL_S: Final = 0.01


async def deliver_automatically(sandbox: Sandbox) -> None:
    """Follow the log until cancelled."""
    while True:
        await sandbox.accepted.wait()
        sandbox.accepted.clear()
        await _catch_up(sandbox)


async def _catch_up(sandbox: Sandbox) -> None:
    while sandbox.live.automatic_delivery and sandbox.delivered_up_to < len(sandbox.log):
        if sandbox.webhooks.room < ROOM_MIN:
            await asyncio.sleep(POLL_S)
            continue
        sandbox.delivered_up_to += 1
        automatic_delivery(sandbox, sandbox.delivered_up_to)
        if sandbox.delivered_up_to % 100 == 0:
            await asyncio.sleep(0)
