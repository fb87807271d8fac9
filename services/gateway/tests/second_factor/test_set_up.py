"""Setting a second factor up, recovery codes, and removing it."""

import asyncio
import re
from typing import Any

import psycopg
import pytest

from harness.waiting import eventually

from ..accounts.test_audited_sign_ins import entries
from ..conftest import PASSWORD, Gateway, MakeGateway, csrf_token_of
from .conftest import (
    FORM,
    LOGIN,
    PAGE,
    SET_UP,
    Authenticator,
    give,
    half_signed_in,
    is_signed_in,
    recovery_codes_in,
    set_up,
)

HTML = {"accept": "text/html"}
STALE = {"recent_authentication_s": 1}


def mails(gateway: Gateway) -> list[tuple[Any, ...]]:
    return gateway.sql(
        "SELECT to_email, subject, text_body FROM delivery.single_mail WHERE kind = 'account_notice' ORDER BY id"
    )


@pytest.fixture(autouse=True)
def _no_mails(gateway: Gateway) -> None:
    gateway.sql("DELETE FROM delivery.single_mail")


async def test_it_counts_only_after_a_right_code_and_then_every_other_session_ends(gateway: Gateway) -> None:
    other, here = await gateway.signed_in(), await gateway.signed_in()
    await here.post(f"{PAGE}/begin", data=FORM)
    wrong = await here.post(SET_UP, data={"code": "000000"})
    assert wrong.status_code == 422
    assert "not the code that your authenticator shows" in wrong.text
    assert await is_signed_in(other)
    assert await is_signed_in(await gateway.signed_in())
    authenticator, codes = await set_up(gateway, here)
    assert len(codes) == len(set(codes)) == 10
    assert not await is_signed_in(other)
    assert await is_signed_in(here)
    client = await half_signed_in(gateway)
    answer = await give(client, authenticator.code())
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/dashboard")
    assert await is_signed_in(client)


async def test_the_code_that_turned_it_on_signs_nobody_in(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    await here.post(f"{PAGE}/begin", data=FORM)
    found = re.search(r"<code>([A-Z2-7 ]{39})</code>", (await here.get(SET_UP)).text)
    assert found is not None
    authenticator = Authenticator(gateway, found[1].replace(" ", ""))
    code = authenticator.code()
    assert (await here.post(SET_UP, data={"code": code})).status_code == 200
    assert (await give(await half_signed_in(gateway), code)).status_code == 422


async def test_the_secret_and_the_recovery_codes_are_not_in_the_database(gateway: Gateway) -> None:
    """Nobody who reads a dump comes in with it."""
    here = await gateway.signed_in()
    await here.post(f"{PAGE}/begin", data=FORM)
    secret = re.search(r"<code>([A-Z2-7 ]{39})</code>", (await here.get(SET_UP)).text)
    assert secret is not None
    waiting = secret[1].replace(" ", "")
    assert waiting not in dump(gateway)
    authenticator, codes = await set_up(gateway, here)
    kept = dump(gateway)
    assert "second_factor" in kept
    for text in (authenticator.secret, *codes, *(code.replace("-", "") for code in codes)):
        assert text not in kept


def dump(gateway: Gateway) -> str:
    """Every row of every table of the gateway's and of the mails, as text."""
    tables = gateway.sql(
        "SELECT format('%%I.%%I', table_schema, table_name) FROM information_schema.tables"
        " WHERE table_schema IN ('gateway', 'audit') OR table_name = 'single_mail'"
    )
    return "\n".join(f"{table}: {gateway.sql(f'SELECT t::text FROM {table} AS t')}" for (table,) in tables)


async def test_a_secret_of_one_user_put_into_anothers_row_opens_nothing(gateway: Gateway) -> None:
    author, second = await gateway.signed_in(), await gateway.signed_in("second")
    own, _ = await set_up(gateway, author)
    await set_up(gateway, second)
    gateway.sql(
        "UPDATE gateway.second_factor SET sealed_secret = (SELECT sealed_secret FROM gateway.second_factor AS own "
        "JOIN gateway.user_account AS account ON account.id = own.user_id WHERE account.username = 'author')"
    )
    assert (await give(await half_signed_in(gateway, "second"), own.code())).status_code == 422
    assert (await give(await half_signed_in(gateway), own.code())).status_code == 303


async def test_a_set_up_that_is_too_old_or_was_replaced_counts_for_nothing(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    assert (await here.post(SET_UP, data={"code": "123456"})).headers["location"] == PAGE
    await here.post(f"{PAGE}/begin", data=FORM)
    first = re.search(r"<code>([A-Z2-7 ]{39})</code>", (await here.get(SET_UP)).text)
    assert first is not None
    await here.post(f"{PAGE}/begin", data=FORM)
    old = Authenticator(gateway, first[1].replace(" ", ""))
    assert (await here.post(SET_UP, data={"code": old.code()})).status_code == 422
    gateway.sql("UPDATE gateway.second_factor_setup SET begun_at = now() - interval '15 minutes 1 second'")
    assert (await here.get(SET_UP)).headers["location"] == PAGE
    assert gateway.sql("SELECT 1 FROM gateway.second_factor") == []


async def test_nobody_replaces_a_factor_that_is_in_force(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    authenticator, _ = await set_up(gateway, here)
    assert (await here.post(f"{PAGE}/begin", data=FORM)).headers["location"] == PAGE
    assert (await give(await half_signed_in(gateway), authenticator.code())).status_code == 303


async def test_every_step_needs_a_fresh_proof(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(**STALE)
    here = await gateway.signed_in()
    gateway.sql("SELECT pg_sleep(1.2)")
    for method, path in [
        ("GET", PAGE), ("GET", SET_UP), ("POST", f"{PAGE}/begin"), ("POST", SET_UP),
        ("POST", f"{PAGE}/recovery-codes"), ("POST", f"{PAGE}/remove"),
    ]:  # fmt: skip
        answer = await here.request(method, path, headers=HTML, data={"code": "123456"} if method == "POST" else None)
        assert answer.headers["location"].startswith("/admin/confirm?next="), path
    assert gateway.sql("SELECT 1 FROM gateway.second_factor_setup") == []


async def test_a_fresh_proof_asks_for_the_factor_too(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    assert 'name="code"' not in (await here.get("/admin/confirm")).text
    authenticator, codes = await set_up(gateway, here)
    assert 'name="code"' in (await here.get("/admin/confirm")).text
    without = await here.post("/admin/confirm", data={"password": PASSWORD})
    assert without.status_code == 422
    wrong = await here.post("/admin/confirm", data={"password": PASSWORD, "code": "000000"})
    assert (wrong.status_code, "This code is not right" in wrong.text) == (422, True)
    not_tried = await here.post("/admin/confirm", data={"password": "wrong", "code": authenticator.code()})
    assert "This is not your password" in not_tried.text
    before = dict(here.cookies)
    right = await here.post("/admin/confirm", data={"password": PASSWORD, "code": authenticator.code()})
    assert right.status_code == 303
    assert dict(here.cookies) != before
    by_recovery = await here.post("/admin/confirm", data={"password": PASSWORD, "code": codes[0]})
    assert by_recovery.status_code == 303
    methods = [said["method"] for action, *_, said in entries(gateway) if action == "user.reauthenticated"]
    assert methods == ["password+totp", "password+recovery_code"]


async def test_a_changed_password_is_no_fresh_proof_of_who_has_a_second_factor(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(recent_authentication_s=4)
    here = await gateway.signed_in()
    await set_up(gateway, here)
    gateway.sql("SELECT pg_sleep(4.2)")
    new = "another long passphrase, 2"
    form = {"current_password": PASSWORD, "new_password": new, "new_password_check": new}
    assert (await here.post("/admin/password", data=form)).status_code == 303
    assert await is_signed_in(here)
    assert (await here.get(PAGE, headers=HTML)).headers["location"].startswith("/admin/confirm")


async def test_recovery_codes_are_renewed_and_the_ones_before_work_no_more(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    _, old = await set_up(gateway, here)
    renewed = await here.post(f"{PAGE}/recovery-codes", data=FORM)
    new = recovery_codes_in(renewed.text)
    assert len(new) == 10
    assert set(new) & set(old) == set()
    assert renewed.headers["cache-control"] == "no-store"
    client = await half_signed_in(gateway)
    assert (await give(client, old[0])).status_code == 422
    assert (await give(client, new[0])).status_code == 303
    assert "9 are left" in (await client.get(PAGE)).text


async def test_without_a_factor_there_are_no_recovery_codes(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    assert (await here.post(f"{PAGE}/recovery-codes", data=FORM)).headers["location"] == PAGE
    assert gateway.sql("SELECT 1 FROM gateway.recovery_code") == []


async def test_removed_it_is_asked_no_more_and_its_codes_open_nothing(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    await set_up(gateway, here)
    other = await half_signed_in(gateway)
    removed = await here.post(f"{PAGE}/remove", data=FORM)
    assert (removed.status_code, removed.headers["location"]) == (303, PAGE)
    assert "Your second factor is removed" in (await here.get(PAGE)).text
    assert gateway.sql("SELECT 1 FROM gateway.recovery_code") == []
    assert (await give(other, "123456")).headers["location"] == "/login"
    assert await is_signed_in(await gateway.signed_in())


async def test_what_was_done_is_in_the_audit_log_and_told_by_mail_without_codes(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET email = 'ada@example.com', email_key = 'ada@example.com'")
    here = await gateway.signed_in()
    authenticator, _ = await set_up(gateway, here)
    codes = recovery_codes_in((await here.post(f"{PAGE}/recovery-codes", data=FORM)).text)
    await give(await half_signed_in(gateway), codes[0])
    await here.post(f"{PAGE}/remove", data=FORM)
    assert [(action, said) for action, *_, said in entries(gateway) if "sign" not in action] == [
        ("user.second_factor_added", {"method": "totp"}),
        ("user.recovery_codes_renewed", None),
        ("user.recovery_code_used", None),
        ("user.second_factor_removed", {"method": "totp"}),
    ]
    assert [(to, subject) for to, subject, _ in mails(gateway)] == [
        ("ada@example.com", "A second factor was added"),
        ("ada@example.com", "New recovery codes were made"),
        ("ada@example.com", "A recovery code was used"),
        ("ada@example.com", "Your second factor was removed"),
    ]
    said = str(mails(gateway)) + str(entries(gateway))
    assert not [code for code in (authenticator.secret, *codes) if code in said]


async def test_a_form_from_another_site_changes_nothing(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    for path in (f"{PAGE}/begin", SET_UP, f"{PAGE}/recovery-codes", f"{PAGE}/remove"):
        for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-origin"}):
            assert (await here.post(path, data={"code": "123456"}, headers=headers)).status_code == 403
    browser = {"sec-fetch-site": "same-origin"}
    token = await csrf_token_of(here)
    assert (await here.post(f"{PAGE}/begin", data={"csrf_token": token}, headers=browser)).status_code == 303
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert (await here.post(LOGIN, data={"code": "123456"}, headers=elsewhere)).status_code == 403


async def test_of_new_codes_that_are_made_twice_at_once_ten_work(gateway: Gateway) -> None:
    here = await gateway.signed_in()
    await set_up(gateway, here)
    with psycopg.connect(gateway.owner_url) as held:
        held.execute("SELECT FROM gateway.recovery_code FOR UPDATE")
        answers = [asyncio.create_task(here.post(f"{PAGE}/recovery-codes", data=FORM)) for _ in range(2)]

        def both_wait() -> bool:
            waiting = gateway.sql(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return len(waiting) == len(answers)

        await eventually(both_wait, what="both are under way")
    done = await asyncio.gather(*answers)
    assert [answer.status_code for answer in done] == [200, 200]
    assert gateway.sql("SELECT count(*) FROM gateway.recovery_code") == [(10,)]
