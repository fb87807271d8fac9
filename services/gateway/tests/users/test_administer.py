"""What owners do to users: by narrow keys, and two of them at the same moment."""

import asyncio

import httpx
import psycopg
import pytest

from harness.waiting import eventually

from ..conftest import Gateway
from ..second_factor.conftest import set_up

USERS = "/api/v1/users"


@pytest.mark.parametrize("path", ["reactivate", "remove-second-factor"])
async def test_a_narrow_key_lets_nobody_in_who_may_do_more_than_it(gateway: Gateway, path: str) -> None:
    """Who is let in again, or by the password alone, has all their roles: it is as giving these."""
    client = await gateway.signed_in("second")
    await set_up(gateway, client)
    ((second,),) = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'second'")
    if path == "reactivate":
        gateway.sql("UPDATE gateway.user_account SET deactivated_at = now() WHERE id = %s", second)
    narrow = await gateway.api_client("users:read", "users:write", "newsletters:read", "keys:read", "keys:write",
                                      "issues:read", "reports:read")  # fmt: skip
    before = (await narrow.get(f"{USERS}/{second}")).json()
    refused = await narrow.post(f"{USERS}/{second}/{path}")
    assert refused.status_code == 403
    assert "The role owner allows" in refused.json()["detail"]
    assert (await narrow.get(f"{USERS}/{second}")).json() == before
    gateway.sql("UPDATE gateway.user_role SET role = 'analyst' WHERE user_id = %s", second)
    assert (await narrow.post(f"{USERS}/{second}/{path}")).is_success
    after = (await narrow.get(f"{USERS}/{second}")).json()
    assert (after["deactivated_at"], after["has_second_factor"]) == (None, path == "reactivate")


async def test_changes_of_several_owners_at_once_do_not_wait_for_each_other_in_a_circle(gateway: Gateway) -> None:
    for username in ("author", "second", "third"):
        await gateway.add_user(username)
    client = await gateway.api_client("admin")
    first, *others = [number for (number,) in gateway.sql("SELECT id FROM gateway.user_account ORDER BY id")]
    with psycopg.connect(gateway.owner_url) as held:
        held.execute("SELECT FROM gateway.user_account WHERE id = %s FOR UPDATE", (first,))
        answers = [asyncio.create_task(client.post(f"{USERS}/{one}/deactivate")) for one in others]

        def are_under_way() -> bool:
            waiting = gateway.sql(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return len(waiting) == 2 or all(answer.done() for answer in answers)

        await eventually(are_under_way, what="each change holds what the other does not need")
    done: list[httpx.Response] = await asyncio.gather(*answers)
    assert [answer.status_code for answer in done] == [200, 200]
    last = await client.post(f"{USERS}/{first}/deactivate")
    assert (last.status_code, last.json()["type"].rpartition(":")[2]) == (409, "last-owner")
