"""A new password by a link in a mail: who gets one, what it opens, and that nobody learns who has an account."""

import asyncio
import re

import httpx
import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.queue import AccountMail, enqueue_account_mail
from broadsheet_gateway.password_reset import request_reset
from harness.owner import AUDIT_LOG

from ..conftest import PASSWORD, Gateway, MakeGateway, log_in

ADDRESS = "ada@example.com"
NEW = "quite another passphrase"
_RECORDED = f"""
    SELECT count(*), (array_agg(target_id ORDER BY at DESC))[1] FROM {AUDIT_LOG}
     WHERE action = 'user.password_reset_requested'
"""
_LINK = re.compile(r"http://127\.0\.0\.1:8081(/password-reset/[A-Za-z0-9_-]{43})\n")


@pytest.fixture
def mailbox(gateway: Gateway) -> None:
    """No mail is queued yet."""
    gateway.sql("DELETE FROM delivery.single_mail")


async def add_user(gateway: Gateway, username: str = "author", address: str = ADDRESS) -> None:
    await gateway.add_user(username)
    gateway.sql(
        "UPDATE gateway.user_account SET email = %s, email_key = lower(%s) WHERE username = %s",
        address, address, username,
    )  # fmt: skip


def without_ids(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "x-request-id"}


async def ask(gateway: Gateway, address: str) -> httpx.Response:
    return await (await gateway.client()).post("/password-reset", data={"email": address})


def links(gateway: Gateway) -> list[str]:
    texts = gateway.sql("SELECT text_body FROM delivery.single_mail WHERE kind = 'password_reset' ORDER BY id")
    return [found[1] for (text,) in texts if (found := _LINK.search(text)) is not None]


async def set_password(gateway: Gateway, link: str, new: str = NEW, again: str | None = None) -> httpx.Response:
    form = {"new_password": new, "new_password_check": new if again is None else again}
    return await (await gateway.client()).post(link, data=form)


@pytest.mark.usefixtures("mailbox")
async def test_a_link_sets_the_password_once_and_ends_every_session(gateway: Gateway) -> None:
    await add_user(gateway)
    signed_in = await gateway.signed_in()
    assert (await ask(gateway, " Ada@EXAMPLE.com ")).status_code == 200
    (link,) = links(gateway)
    client = await gateway.client()
    for _ in range(2):  # a mail scanner looks, and changes nothing
        page = await client.get(link)
        assert page.status_code == 200
        assert page.headers["referrer-policy"] == "no-referrer"
    answer = await set_password(gateway, link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert (await signed_in.get("/admin/dashboard")).status_code == 303
    assert (await log_in(client)).headers["location"] == "/login"
    assert (await log_in(client, password=NEW)).headers["location"] == "/admin/dashboard"
    assert (await set_password(gateway, link, "a third passphrase, later")).status_code == 410
    assert (await client.get(link)).status_code == 410
    assert (await log_in(client, password=NEW)).headers["location"] == "/admin/dashboard"


@pytest.mark.usefixtures("mailbox")
async def test_every_address_gets_the_same_answer_and_only_a_users_gets_a_mail(gateway: Gateway) -> None:
    await add_user(gateway)
    await add_user(gateway, "gone", "gone@example.com")
    await gateway.add_user("without-address")
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now() WHERE username = 'gone'")
    known = await ask(gateway, ADDRESS)
    for other in ("stranger@example.com", "gone@example.com", ADDRESS):  # the last: within the cool-down
        answer = await ask(gateway, other)
        assert (answer.status_code, answer.text) == (known.status_code, known.text)
        assert without_ids(answer) == without_ids(known)
    assert gateway.sql("SELECT to_email FROM delivery.single_mail") == [(ADDRESS,)]


@pytest.mark.usefixtures("mailbox")
async def test_known_and_unknown_addresses_cost_one_look_up_one_mail_and_one_entry(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_user(gateway)
    queued: list[str] = []

    async def count_mail(connection: AsyncConnection, mail: AccountMail) -> None:
        queued.append(mail.to)
        await enqueue_account_mail(connection, mail)

    monkeypatch.setattr(request_reset, "enqueue_account_mail", count_mail)
    recorded = []
    for address in (ADDRESS, "stranger@example.com"):
        await ask(gateway, address)
        recorded.append(gateway.sql(_RECORDED))
    assert queued == [ADDRESS, "stranger@example.com"]
    assert [target for ((_, target),) in recorded] == ["1", None]
    assert recorded[0][0][0] + 1 == recorded[1][0][0]


@pytest.mark.usefixtures("mailbox")
async def test_a_mailbox_gets_one_link_a_window_and_a_later_one_takes_its_place(gateway: Gateway) -> None:
    await add_user(gateway)
    await asyncio.gather(*(ask(gateway, ADDRESS) for _ in range(5)))
    (first,) = links(gateway)
    gateway.sql("UPDATE gateway.password_reset SET requested_at = now() - interval '5 minutes'")
    await ask(gateway, ADDRESS)
    (_, second) = links(gateway)
    assert (await set_password(gateway, first)).status_code == 410
    assert (await set_password(gateway, second)).status_code == 303


@pytest.mark.usefixtures("mailbox")
async def test_a_link_expires(gateway: Gateway) -> None:
    await add_user(gateway)
    await ask(gateway, ADDRESS)
    (link,) = links(gateway)
    ((lifetime,),) = gateway.sql(
        "SELECT extract(epoch FROM expires_at - requested_at)::int FROM gateway.password_reset"
    )
    assert lifetime == 3600
    gateway.sql("UPDATE gateway.password_reset SET expires_at = now()")
    assert (await set_password(gateway, link)).status_code == 410
    assert (await log_in(await gateway.client())).headers["location"] == "/admin/dashboard"


@pytest.mark.usefixtures("mailbox")
async def test_a_link_is_void_once_the_password_was_changed_in_another_way(gateway: Gateway) -> None:
    await add_user(gateway)
    client = await gateway.signed_in()
    await ask(gateway, ADDRESS)
    (link,) = links(gateway)
    form = {"current_password": PASSWORD, "new_password": NEW, "new_password_check": NEW}
    await client.post("/admin/password", data=form)
    assert (await set_password(gateway, link, "a third passphrase, later")).status_code == 410


@pytest.mark.usefixtures("mailbox")
async def test_of_two_uses_at_once_one_sets_the_password(gateway: Gateway) -> None:
    await add_user(gateway)
    await ask(gateway, ADDRESS)
    (link,) = links(gateway)
    passwords = ["the first new passphrase", "the second new passphrase"]
    statuses = [r.status_code for r in await asyncio.gather(*(set_password(gateway, link, new) for new in passwords))]
    assert sorted(statuses) == [303, 410]
    client = await gateway.client()
    opened = [(await log_in(client, password=new)).headers["location"] == "/admin/dashboard" for new in passwords]
    assert opened == [status == 303 for status in statuses]


@pytest.mark.usefixtures("mailbox")
@pytest.mark.parametrize(
    ("new", "again", "why"),
    [
        ("short", "short", "12 to 128 characters"),
        (NEW, NEW + "x", "not the same"),
        ("password1234", "password1234", "Many people"),
        ("ada.example 2026", "ada.example 2026", "what others know of you"),
    ],
)
async def test_a_password_that_is_refused_leaves_the_link_as_it_was(
    gateway: Gateway, new: str, again: str, why: str
) -> None:
    await add_user(gateway)
    await ask(gateway, ADDRESS)
    (link,) = links(gateway)
    refused = await set_password(gateway, link, new, again)
    assert refused.status_code == 422
    assert why in refused.text
    assert (await set_password(gateway, link)).status_code == 303


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 44, "..%2F", "A" * 42 + "%00"])
async def test_a_made_up_link_opens_nothing(gateway: Gateway, token: str) -> None:
    client = await gateway.client()
    assert (await client.get(f"/password-reset/{token}")).status_code in {400, 404, 410}
    assert (await set_password(gateway, f"/password-reset/{token}")).status_code in {400, 404, 410}


@pytest.mark.usefixtures("mailbox")
async def test_the_token_is_nowhere_but_in_the_mail(gateway: Gateway) -> None:
    await add_user(gateway)
    with structlog.testing.capture_logs() as logged:
        await ask(gateway, ADDRESS)
        (link,) = links(gateway)
        await set_password(gateway, link)
    token = link.rpartition("/")[2]
    assert token not in str(logged)
    assert ADDRESS not in str(logged)
    assert token not in str(gateway.sql("SELECT * FROM gateway.password_reset"))
    events = [(e["event"], e["user_id"]) for e in logged if e["event"].startswith("security.password")]
    assert events == [("security.password_reset_requested", 1), ("security.password_reset", 1)]


async def test_what_is_no_address_is_said_at_the_field(gateway: Gateway) -> None:
    answer = await ask(gateway, "ada")
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text


async def test_asking_is_limited_by_source(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_ip="2/3600")
    statuses = [(await ask(gateway, f"stranger{n}@example.com")).status_code for n in range(3)]
    assert statuses == [200, 200, 429]


async def test_another_site_cannot_have_a_visitor_ask(gateway: Gateway) -> None:
    client = await gateway.client()
    answer = await client.post("/password-reset", data={"email": ADDRESS}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.usefixtures("mailbox")
async def test_with_redis_away_the_password_is_set_and_old_sessions_are_over(
    gateway: Gateway, make_gateway: MakeGateway
) -> None:
    await add_user(gateway)
    signed_in = await gateway.signed_in(password=PASSWORD)
    await ask(gateway, ADDRESS)
    (link,) = links(gateway)
    lonely = await make_gateway(redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.1)
    assert (await set_password(lonely, link)).status_code == 303
    assert (await signed_in.get("/admin/dashboard")).status_code == 303
