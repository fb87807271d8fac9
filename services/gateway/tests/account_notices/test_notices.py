"""Users are told by mail what was done to their accounts, in the transaction in which it was done."""

import re

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.account_notices.notices import write_address_changed, write_password_changed
from broadsheet_gateway.accounts import change_password
from broadsheet_gateway.recovery.recover import reset_password
from harness.owner import AUDIT_LOG

from ..conftest import PASSWORD, Gateway, csrf_token_of, log_in

ADDRESS = "Ada@example.com"
NEW = "quite another passphrase"
_RESET_LINK = re.compile(r"http://127\.0\.0\.1:8081(/password-reset/[A-Za-z0-9_-]{43})\n")


@pytest.fixture
async def client(gateway: Gateway) -> httpx.AsyncClient:
    """Somebody signed in whose account has an address."""
    gateway.sql("DELETE FROM delivery.single_mail")
    signed_in = await gateway.signed_in()
    gateway.sql("UPDATE gateway.user_account SET email = %s, email_key = lower(%s)", ADDRESS, ADDRESS)
    return signed_in


async def change(client: httpx.AsyncClient, *, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    form = {"current_password": current, "new_password": new, "new_password_check": new}
    return await client.post("/admin/password", data=form | {"csrf_token": await csrf_token_of(client)})


def notices(gateway: Gateway) -> list[tuple[str, str]]:
    return gateway.sql("SELECT to_email, subject FROM delivery.single_mail WHERE kind = 'account_notice' ORDER BY id")


@pytest.mark.parametrize("way", ["page", "link", "command"])
async def test_a_user_is_told_that_the_password_was_changed_whichever_way(
    gateway: Gateway, client: httpx.AsyncClient, way: str
) -> None:
    if way == "page":
        await change(client)
    elif way == "link":
        stranger = await gateway.client()
        await stranger.post("/password-reset", data={"email": ADDRESS})
        ((text,),) = gateway.sql("SELECT text_body FROM delivery.single_mail WHERE kind = 'password_reset'")
        found = _RESET_LINK.search(text)
        assert found is not None
        await stranger.post(found[1], data={"new_password": NEW, "new_password_check": NEW})
    else:
        await reset_password(username="author", password=NEW, engine=gateway.engine)
    assert (await log_in(await gateway.client(), password=NEW)).headers["location"] == "/admin/dashboard"
    assert notices(gateway) == [(ADDRESS, "Your password was changed")]


async def test_who_has_no_address_is_told_nothing(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.sql("UPDATE gateway.user_account SET email = NULL, email_key = NULL")
    await change(client)
    assert (await log_in(await gateway.client(), password=NEW)).headers["location"] == "/admin/dashboard"
    assert notices(gateway) == []


@pytest.mark.parametrize(("current", "new"), [("not my password, 9", NEW), (PASSWORD, "short")])
async def test_nobody_is_told_of_what_was_refused(
    gateway: Gateway, client: httpx.AsyncClient, current: str, new: str
) -> None:
    await change(client, current=current, new=new)
    assert notices(gateway) == []


async def test_the_notice_and_the_change_are_one(
    gateway: Gateway, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_connection: AsyncConnection, *_: object) -> None:
        raise ConnectionError("no mail can be queued")

    monkeypatch.setattr(change_password, "queue_notice", fail)
    assert (await change(client)).status_code >= 500
    assert (await log_in(await gateway.client())).headers["location"] == "/admin/dashboard"


async def test_a_refused_change_is_in_the_audit_log_and_what_was_typed_is_not(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    ((since,),) = gateway.sql("SELECT clock_timestamp()")
    typed = "not my password, 9"
    assert (await change(client, current=typed)).headers["location"] == "/admin/password"
    log = gateway.sql(
        f"SELECT action, actor, target_id, source, after FROM {AUDIT_LOG} WHERE at > %s",
        since,
    )
    assert log == [("user.password_change_refused", "user:1", "1", "127.0.0.1", {"reason": "wrong_current_password"})]
    assert (await log_in(await gateway.client())).headers["location"] == "/admin/dashboard"


def test_notices_hold_no_link_and_say_what_to_do() -> None:
    for mail in (write_password_changed(), write_address_changed()):
        for text in (mail.html_body, mail.text_body):
            assert "href" not in text
            assert "//" not in text.replace("<!DOCTYPE html>", "")
            assert "tell" in text
