"""Another address for one's account: asked for with a fresh proof, confirmed from both mailboxes, and made once."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, cast

import httpx
import msgspec
import pytest
import structlog

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.accounts.sessions import KEY_PREFIX
from broadsheet_gateway.recovery.recover import set_email
from harness.owner import AUDIT_LOG

from ..conftest import PASSWORD, Gateway, MakeGateway, csrf_token_of, log_in

OLD = "ada@example.com"
NEW = "ada@analytical.example"
PAGE = "/admin/account/email"
_LINK = re.compile(r"http://127\.0\.0\.1:8081(/email-change/[A-Za-z0-9_-]{43})\n")
_RECORDED = f"""
    SELECT action, actor, target_id, after FROM {AUDIT_LOG} WHERE at > %s AND action LIKE 'user.email%%' ORDER BY at
"""


@pytest.fixture
async def client(gateway: Gateway) -> httpx.AsyncClient:
    """Somebody signed in whose account has an address."""
    gateway.sql("DELETE FROM delivery.single_mail")
    signed_in = await gateway.signed_in()
    give(gateway, OLD)
    return signed_in


def give(gateway: Gateway, address: str, username: str = "author") -> None:
    gateway.sql(
        "UPDATE gateway.user_account SET email = %s, email_key = lower(%s) WHERE username = %s",
        address, address, username,
    )  # fmt: skip


async def ask(client: httpx.AsyncClient, address: str = NEW) -> httpx.Response:
    return await client.post(PAGE, data={"csrf_token": await csrf_token_of(client), "email": address})


def links(gateway: Gateway, to: str) -> list[str]:
    texts = gateway.sql(
        "SELECT text_body FROM delivery.single_mail WHERE kind = 'account_address' AND to_email = %s ORDER BY id", to
    )
    return [found[1] for (text,) in texts if (found := _LINK.search(text)) is not None]


def mails(gateway: Gateway) -> list[tuple[Any, ...]]:
    return gateway.sql("SELECT kind, to_email, subject FROM delivery.single_mail ORDER BY id")


def address(gateway: Gateway, username: str = "author") -> str | None:
    ((found, key),) = gateway.sql("SELECT email, email_key FROM gateway.user_account WHERE username = %s", username)
    assert key == (None if found is None else found.lower())
    return cast("str | None", found)


async def confirm(gateway: Gateway, link: str) -> httpx.Response:
    return await (await gateway.client()).post(link, data={})


def warm_up(gateway: Gateway) -> None:
    gateway.sql("UPDATE gateway.email_change SET requested_at = requested_at - interval '5 minutes'")


@pytest.mark.parametrize("first", [0, 1])
async def test_the_address_changes_once_both_mailboxes_have_confirmed_it(
    gateway: Gateway, client: httpx.AsyncClient, first: int
) -> None:
    ((since,),) = gateway.sql("SELECT clock_timestamp()")
    asked = await ask(client, f" {NEW.upper()} ".replace("ANALYTICAL.EXAMPLE", "Analytical.EXAMPLE"))
    assert (asked.status_code, asked.headers["location"]) == (303, PAGE)
    to_new = "ADA@analytical.example"
    both = [*links(gateway, OLD), *links(gateway, to_new)]
    assert len(both) == 2
    shown = await client.get(PAGE)
    assert "Links are mailed" in shown.text
    assert "the links in both mailboxes" in shown.text
    stranger = await gateway.client()
    for link in both * 2:  # a mail scanner looks, and changes nothing
        page = await stranger.get(link)
        assert page.status_code == 200
        assert page.headers["referrer-policy"] == "no-referrer"
    for _ in range(2):  # the same mailbox twice is one
        half = await confirm(gateway, both[first])
        assert (half.status_code, "One more link" in half.text) == (200, True)
        assert address(gateway) == OLD
    assert "You have confirmed this" in (await stranger.get(both[first])).text
    done = await confirm(gateway, both[1 - first])
    assert (done.status_code, "The address is changed" in done.text) == (200, True)
    assert address(gateway) == to_new
    for link in both:
        assert (await stranger.get(link)).status_code == 410
        assert (await confirm(gateway, link)).status_code == 410
    assert recorded(gateway, since) == [
        ("user.email_change_requested", "user:1", "1", None),
        ("user.email_changed", "user:1", "1", None),
    ]
    assert mails(gateway)[2:] == [("account_notice", OLD, "The address of your account was changed")]
    assert (await client.get(PAGE)).status_code == 200, "sessions go on"
    assert (await log_in(stranger, NEW)).headers["location"] == "/admin/dashboard"
    assert (await log_in(stranger, OLD)).headers["location"] == "/login"


def recorded(gateway: Gateway, since: object) -> list[tuple[Any, ...]]:
    return gateway.sql(_RECORDED, since)


async def test_without_an_address_the_new_mailbox_alone_confirms(gateway: Gateway) -> None:
    gateway.sql("DELETE FROM delivery.single_mail")
    client = await gateway.signed_in()
    await ask(client)
    (link,) = links(gateway, NEW)
    assert len(mails(gateway)) == 1
    assert "The address is changed" in (await confirm(gateway, link)).text
    assert address(gateway) == NEW
    assert len(mails(gateway)) == 1, "there is nobody to tell"


async def test_the_answer_is_the_same_whoever_has_the_address(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await gateway.add_user("other")
    give(gateway, "taken@example.com", "other")
    pages = []
    for new in ("taken@example.com", "free0@example.com"):
        asked = await ask(client, new)
        shown = await client.get(PAGE)
        pages.append((asked.status_code, asked.headers["location"], shown.text.replace(new, "it")))
        warm_up(gateway)
    assert re.sub(r"until [^.]+", "", pages[0][2]) == re.sub(r"until [^.]+", "", pages[1][2])
    assert pages[0][:2] == pages[1][:2]
    # Who has it learns of it, and cannot give it away.
    assert links(gateway, "taken@example.com") == []
    assert mails(gateway)[:2] == [
        ("account_address", OLD, "Change the address of your account?"),
        ("account_address", "taken@example.com", "You have an account with this address"),
    ]


async def test_of_two_who_confirm_one_address_one_gets_it(gateway: Gateway, client: httpx.AsyncClient) -> None:
    other = await gateway.signed_in("other")
    await ask(client)
    await ask(other)
    mine, theirs = links(gateway, NEW)
    await confirm(gateway, links(gateway, OLD)[0])
    answers = await asyncio.gather(confirm(gateway, mine), confirm(gateway, theirs))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert "Another account got this address meanwhile" in lost.text
    holders = gateway.sql("SELECT username FROM gateway.user_account WHERE email_key = %s", NEW)
    assert len(holders) == 1
    # The loser's change has ended, and the address of before is kept.
    loser = mine if holders == [("other",)] else theirs
    assert (await confirm(gateway, loser)).status_code == 410
    assert address(gateway) == (OLD if holders == [("other",)] else NEW)


async def test_both_links_at_once_change_it_once(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await ask(client)
    answers = await asyncio.gather(*(confirm(gateway, *links(gateway, to)) for to in (OLD, NEW)))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert address(gateway) == NEW
    assert [kind for kind, _, _ in mails(gateway)].count("account_notice") == 1


@pytest.mark.parametrize("typed", ["ada", "ada@", "ada@localhost", OLD, " ADA@example.com", ""])
async def test_what_is_no_new_address_is_said_at_the_field(
    gateway: Gateway, client: httpx.AsyncClient, typed: str
) -> None:
    refused = await ask(client, typed)
    assert refused.status_code == 422
    assert 'id="email-error"' in refused.text
    assert mails(gateway) == []


async def test_there_is_a_cool_down_and_a_later_change_takes_the_place(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(ask(client, f"ada{n}@example.com") for n in range(3)))
    assert sorted(answer.status_code for answer in answers) == [303, 429, 429]
    assert "retry-after" in next(answer for answer in answers if answer.status_code == 429).headers
    [(to,)] = gateway.sql("SELECT new_email FROM gateway.email_change")
    old_links = [*links(gateway, OLD), *links(gateway, to)]
    assert len(old_links) == 2
    warm_up(gateway)
    assert (await ask(client)).status_code == 303
    assert [(await confirm(gateway, link)).status_code for link in old_links] == [410, 410]
    await confirm(gateway, links(gateway, OLD)[-1])
    assert "The address is changed" in (await confirm(gateway, *links(gateway, NEW))).text


async def test_it_expires(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await ask(client)
    ((lifetime,),) = gateway.sql("SELECT extract(epoch FROM expires_at - requested_at)::int FROM gateway.email_change")
    assert lifetime == 86_400
    await confirm(gateway, *links(gateway, OLD))
    gateway.sql("UPDATE gateway.email_change SET expires_at = now()")
    assert (await confirm(gateway, *links(gateway, NEW))).status_code == 410
    assert address(gateway) == OLD
    assert "waits for" not in (await client.get(PAGE)).text


@pytest.mark.parametrize("between", ["password", "address", "deactivated"])
async def test_what_changes_meanwhile_makes_it_void(gateway: Gateway, client: httpx.AsyncClient, between: str) -> None:
    await ask(client)
    await confirm(gateway, *links(gateway, OLD))
    if between == "password":
        new = "quite another passphrase"
        await client.post("/admin/password", data={
            "csrf_token": await csrf_token_of(client), "current_password": PASSWORD, "new_password": new,
            "new_password_check": new,
        })  # fmt: skip
    elif between == "address":
        await set_email(username="author", address=EmailAddress("third@example.com"), engine=gateway.engine)
    else:
        gateway.sql("UPDATE gateway.user_account SET deactivated_at = now()")
    assert (await confirm(gateway, *links(gateway, NEW))).status_code == 410
    assert address(gateway) == ("third@example.com" if between == "address" else OLD)


async def test_a_reset_link_in_the_old_mailbox_opens_nothing_after_it(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    await (await gateway.client()).post("/password-reset", data={"email": OLD})
    await ask(client)
    for to in (OLD, NEW):
        await confirm(gateway, *links(gateway, to))
    assert gateway.sql("SELECT used_at IS NOT NULL FROM gateway.password_reset") == [(True,)]


async def test_it_needs_a_fresh_proof(gateway: Gateway, client: httpx.AsyncClient) -> None:
    async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*"):
        data = msgspec.json.decode(await cast("Awaitable[bytes]", gateway.redis.hget(key, "data")))
        data["authenticated_at_us"] -= 901 * 1_000_000
        await gateway.redis.hset(key, "data", msgspec.json.encode(data))
    page = await client.get(PAGE)
    assert f"/admin/confirm?next={PAGE}" in page.text
    assert f'action="{PAGE}"' not in page.text
    refused = await ask(client)
    assert (refused.status_code, refused.headers["location"]) == (303, f"/admin/confirm?next={PAGE}")
    assert mails(gateway) == []


async def test_no_token_and_no_address_is_in_the_logs_or_the_table(gateway: Gateway, client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logged:
        await ask(client)
        both = [*links(gateway, OLD), *links(gateway, NEW)]
        for link in both:
            await confirm(gateway, link)
    kept = str(gateway.sql("SELECT * FROM gateway.email_change"))
    for link in both:
        assert link.rpartition("/")[2] not in str(logged) + kept
    for private in (OLD, NEW):
        assert private not in str(logged)
    events = [(entry["event"], entry["user_id"]) for entry in logged if entry["event"].startswith("security.email")]
    assert events == [("security.email_change_requested", 1), ("security.email_changed", 1)]


async def test_the_new_mailbox_learns_nothing_of_the_account(gateway: Gateway, client: httpx.AsyncClient) -> None:
    """The address may be mistyped, and a stranger's."""
    await ask(client)
    ((html, text),) = gateway.sql("SELECT html_body, text_body FROM delivery.single_mail WHERE to_email = %s", NEW)
    page = await (await gateway.client()).get(*links(gateway, NEW))
    for private in (OLD, "author"):
        assert private not in html + text + page.text


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 44, "A" * 42 + "%00"])
async def test_a_made_up_link_opens_nothing(gateway: Gateway, token: str) -> None:
    client = await gateway.client()
    assert (await client.get(f"/email-change/{token}")).status_code in {400, 404, 410}
    assert (await client.post(f"/email-change/{token}", data={})).status_code in {400, 404, 410}


async def test_tries_are_limited_by_source(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_ip="2/3600")
    statuses = [(await confirm(gateway, f"/email-change/{'A' * 43}")).status_code for _ in range(3)]
    assert statuses == [410, 410, 429]
