"""Cases about how people arrive: what a spreadsheet leaves around an address, and a form fed one address 200 times."""

import asyncio
from pathlib import Path

import pytest

from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_postmark_sandbox.testing import RunningSandbox
from harness.cluster import Database
from harness.seeding import Seed
from harness.system import System, running_system

READER = "reader@example.com"
TIMES = 200
AT_ONCE = 20
NOTHING_LISTENS = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    "around", ["\ufeff", "\u00a0", "\u200b", "\u2060", "\u00a0\ufeff \t"], ids=["zwnbsp", "nbsp", "zwsp", "wj", "all"]
)
async def test_what_a_spreadsheet_leaves_around_an_address_is_stripped(system: System, around: str) -> None:
    assert (await system.subscribe(f"{around}{READER}{around}")).status_code == 200
    assert (await system.subscribe(READER)).status_code == 200
    created = await system.api.post("/api/v1/subscribers", json={"email": f"{around}{READER}", "name": "Reader"})
    assert (created.status_code, created.json()["email"]) == (200, READER)
    assert system.seed.execute("SELECT email, email_key FROM subscriptions.subscriber") == [(READER, READER)]
    await system.confirm(await system.confirmation_link(READER))
    assert system.oracle.sends() == {READER: 1}


@pytest.mark.parametrize("redis_is_there", [True, False], ids=["redis", "no-redis"])
async def test_200_sign_ups_of_one_address_send_one_mail_a_window(
    database: Database,
    sandbox: RunningSandbox,
    seed: Seed,
    tmp_path: Path,
    redis_is_there: bool,
) -> None:
    with EmbeddedRedis(tmp_path) as redis:
        async with running_system(
            database,
            redis.url if redis_is_there else NOTHING_LISTENS,
            sandbox,
            seed,
            redis_timeout_s=0.2,
            trusted_proxies="127.0.0.0/8",
            signup_limit_per_address=f"{TIMES + 50}/3600",
        ) as system:
            await _feed(system)
            await system.deliver_all_pending()
            assert _sends(system) == 1
            # The cool-down is over: one mail more, however often it is asked for. Of the second 200 the gateway lets
            # about 50 through, which nobody can tell either.
            seed.execute(
                "UPDATE subscriptions.subscription "
                "SET confirmation_queued_at = confirmation_queued_at - interval '61 s'"
            )
            await _feed(system)
            await system.deliver_all_pending()
            assert _sends(system) == 2
    assert seed.count("subscriptions.subscriber") == 1
    assert seed.execute("SELECT mails FROM subscriptions.mailbox_quota") == [(2,)]


def _sends(system: System) -> int:
    """To the one address, however it was spelled."""
    sends = system.oracle.sends()
    assert {address.lower() for address in sends} == {READER}
    return sum(sends.values())


async def _feed(system: System) -> None:
    """The form, 200 times, from as many addresses; every answer is the same page."""
    assert (await system.visitor.get("/")).status_code == 200  # the gateway knows the newsletter's name from here on
    pages: set[tuple[int, str]] = set()
    for first in range(0, TIMES, AT_ONCE):
        answers = await asyncio.gather(
            *(
                system.visitor.post(
                    "/subscriptions",
                    data={"name": f"Bot {n}", "email": READER if n % 2 else READER.upper()},
                    headers={"x-forwarded-for": f"192.0.2.{n}"},
                )
                for n in range(first, first + AT_ONCE)
            )
        )
        pages |= {(answer.status_code, answer.text) for answer in answers}
    [(status, page)] = pages
    assert status == 200
    assert "inbox" in page
