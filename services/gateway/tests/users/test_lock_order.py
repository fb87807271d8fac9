"""Changes of how a user signs in, at once: each locks the user before any other row of theirs, so that none waits for
one that waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import psycopg
import pytest
from psycopg import sql

from harness.cluster import Database

from ..conftest import PUBLIC_URL, Gateway, until_lock_is_waited_for
from ..email_change import test_email_change as email_change
from ..passkeys.authenticator import SoftAuthenticator
from ..passkeys.test_passkeys import PAGE as PASSKEYS
from ..passkeys.test_passkeys import register
from ..password_reset import test_password_reset as password_reset
from ..second_factor.conftest import FORM, PAGE, SET_UP, set_up

ADDRESS = password_reset.ADDRESS
TABLES = (
    "second_factor", "second_factor_setup", "second_factor_tries", "recovery_code", "passkey", "password_reset",
    "email_change", "provider_link", "user_role",
)  # fmt: skip
Begin = Callable[[], Awaitable[httpx.Response]]


async def _remove_factor(gateway: Gateway, client: httpx.AsyncClient) -> Begin:
    await set_up(gateway, client)
    return lambda: client.post(f"{PAGE}/remove", data=FORM)


async def _renew_codes(gateway: Gateway, client: httpx.AsyncClient) -> Begin:
    await set_up(gateway, client)
    return lambda: client.post(f"{PAGE}/recovery-codes", data=FORM)


async def _set_factor_up(gateway: Gateway, client: httpx.AsyncClient) -> Begin:
    authenticator, _ = await set_up(gateway, client)
    # As it was before the code was typed.
    gateway.sql(
        "INSERT INTO gateway.second_factor_setup (user_id, sealed_secret, begun_at) "
        "SELECT user_id, sealed_secret, now() FROM gateway.second_factor"
    )
    gateway.sql("DELETE FROM gateway.recovery_code")
    gateway.sql("DELETE FROM gateway.second_factor")
    return lambda: client.post(SET_UP, data={"code": authenticator.code(), **FORM})


async def _remove_passkey(gateway: Gateway, client: httpx.AsyncClient) -> Begin:
    await register(client, SoftAuthenticator(origin=PUBLIC_URL, rp_id="127.0.0.1"))
    ((passkey_id,),) = gateway.sql("SELECT id FROM gateway.passkey")
    return lambda: client.post(f"{PASSKEYS}/remove", data={"passkey": str(passkey_id)})


async def _set_password_by_link(gateway: Gateway, client: httpx.AsyncClient) -> Begin:
    await password_reset.ask(gateway, ADDRESS)
    [link] = password_reset.links(gateway)
    return lambda: password_reset.set_password(gateway, link)


async def _confirm_address(gateway: Gateway, client: httpx.AsyncClient) -> Begin:
    await password_reset.ask(gateway, ADDRESS)
    await email_change.ask(client, email_change.NEW)
    await email_change.confirm(gateway, email_change.links(gateway, email_change.NEW)[-1])
    [link] = email_change.links(gateway, ADDRESS)
    return lambda: email_change.confirm(gateway, link)


CHANGES = [_remove_factor, _renew_codes, _set_factor_up, _remove_passkey, _set_password_by_link, _confirm_address]


@pytest.mark.parametrize("prepare", CHANGES, ids=lambda one: one.__name__.strip("_"))
async def test_a_change_that_waits_for_the_user_holds_nothing_of_theirs(
    gateway: Gateway, database: Database, prepare: Callable[[Gateway, httpx.AsyncClient], Awaitable[Begin]]
) -> None:
    gateway.sql("DELETE FROM delivery.single_mail")
    client = await gateway.signed_in()
    email_change.give(gateway, ADDRESS)
    begin = await prepare(gateway, client)
    with psycopg.connect(gateway.owner_url) as other:
        other.execute("SELECT 1 FROM gateway.user_account WHERE username = 'author' FOR UPDATE")
        change = asyncio.ensure_future(begin())
        await until_lock_is_waited_for(database)
        for table in TABLES:
            # Raises if a row of it is locked.
            other.execute(sql.SQL("SELECT 1 FROM gateway.{} FOR UPDATE NOWAIT").format(sql.Identifier(table)))
        other.rollback()
    answer = await change
    assert answer.status_code in {200, 303}, answer.text


async def test_a_code_and_its_factors_removal_take_their_rows_in_one_order(
    gateway: Gateway, database: Database
) -> None:
    """Whoever gives a code counts the try first, and then uses a recovery code up."""
    client = await gateway.signed_in()
    await set_up(gateway, client)
    ((user_id,),) = gateway.sql("SELECT id FROM gateway.user_account")
    gateway.sql("INSERT INTO gateway.second_factor_tries (user_id, tries, counted_from) VALUES (%s, 1, now())", user_id)
    with psycopg.connect(gateway.owner_url) as giving:
        giving.execute("UPDATE gateway.second_factor_tries SET tries = tries + 1")
        removal = asyncio.ensure_future(client.post(f"{PAGE}/remove", data=FORM))
        await until_lock_is_waited_for(database)
        giving.execute("UPDATE gateway.recovery_code SET used_at = now()")
        giving.commit()
    assert (await removal).status_code == 303
    assert gateway.sql("SELECT count(*) FROM gateway.second_factor") == [(0,)]
