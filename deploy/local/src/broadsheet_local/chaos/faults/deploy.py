"""A new version comes while mail is sent and people use the site."""

import asyncio
import signal

from broadsheet_local.chaos.api import Api
from broadsheet_local.chaos.faults.database import is_settled
from broadsheet_local.chaos.people_at_work import Visitors, visiting
from broadsheet_local.chaos.stack import StackOptions
from broadsheet_local.chaos.stage import Stage

BALANCED = StackOptions(balanced=True)
FRONT_SERVICES = ("gateway", "subscriptions", "publishing")


async def rolling_deploy(stage: Stage) -> None:
    """Every process is replaced: the new one starts beside the old one, which drains on SIGTERM. 0 failed requests,
    0 mails twice.
    """
    await stage.slow_calls(high_ms=300)
    campaign = await stage.publish(stage.random.randint(1000, 1500))
    api = Api(stage.api.url, stage.stack.credentials.api_key, fresh_connections=True)
    visitors = Visitors()
    slug = stage.slug()

    async def visit(number: int) -> None:
        if number % 3 == 0:
            visitors.saw(await api.sign_up("Visitor", f"visitor-{number}-{slug}@example.com"), "sign-up")
        elif number % 3 == 1:
            visitors.saw(await api.request("GET", f"/api/v1/issues/{campaign.issue_id}"), "issue")
        else:
            visitors.saw(await api.request("GET", "/api/v1/senders"), "senders")

    try:
        async with visiting(visitors, visit):
            await stage.moment(campaign, high=0.3)
            order = [*FRONT_SERVICES, "delivery"]
            stage.random.shuffle(order)
            for service in order:
                await _replace(stage, service)
            await stage.pause_s(0.2, 0.5)
    finally:
        await api.aclose()
    stage.note(f"requests were answered {dict(visitors.answers)}")
    stage.expect(not visitors.faults, f"{len(visitors.faults)} requests failed: {'; '.join(visitors.faults[:5])}")
    await is_settled(stage, campaign)


async def _replace(stage: Stage, service: str) -> None:
    """New processes are ready before requests are routed to them; the old ones are told to end after that."""
    stack = stage.stack
    old = sorted(name for name, one in stack.running.items() if one.service == service)
    new = [f"{service}-{_generation(name) + len(old)}" for name in old]
    for name in new:
        stack.spawn(name, port=stack.free_port())
    await asyncio.gather(*(stack.wait_ready(name) for name in new))
    stack.doors[service].turn_to(stack.running[new[0]].port)
    stage.note(f"{', '.join(new)} took over from {', '.join(old)}")
    codes = await asyncio.gather(*(stack.end(name, signal.SIGTERM) for name in old))
    stage.expect(not any(codes), f"{', '.join(old)} ended with {codes} on SIGTERM")
    for name in old:
        stack.forget(name)


def _generation(name: str) -> int:
    number = name.partition("-")[2]
    return int(number) if number else 1
