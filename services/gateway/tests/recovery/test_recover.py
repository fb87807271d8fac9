"""Recovery on the command line: a password that is lost, an installation without an owner."""

import asyncio

from argon2 import PasswordHasher

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_gateway.recovery.recover import (
    Recovered,
    RecoveryRefused,
    UserUnknown,
    make_owner,
    reset_password,
    reset_second_factor,
    set_email,
)
from harness.owner import AUDIT_LOG

from ..conftest import Gateway, log_in

NEW = "quite another passphrase"


async def test_a_password_is_set_and_the_users_sessions_are_over(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    assert await reset_password(username="author", password=NEW, engine=gateway.engine) == Recovered()
    assert (await client.get("/admin/dashboard")).status_code == 303
    assert (await log_in(client, password=NEW)).headers["location"] == "/admin/dashboard"


async def test_a_user_without_a_password_gets_one(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET password_hash = NULL")
    await reset_password(username="author", password=NEW, engine=gateway.engine)
    ((made,),) = gateway.sql("SELECT password_hash FROM gateway.user_account")
    assert PasswordHasher().verify(made, NEW)


async def test_what_is_easy_to_guess_is_refused_here_too(gateway: Gateway) -> None:
    await gateway.add_user()
    refused = await reset_password(username="author", password="Author2026!!", engine=gateway.engine)
    assert isinstance(refused, RecoveryRefused)
    assert await reset_password(username="nobody", password=NEW, engine=gateway.engine) == UserUnknown()


async def test_an_owner_is_made_where_none_is_left(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("DELETE FROM gateway.user_role")
    gateway.sql("INSERT INTO gateway.user_role (user_id, role, newsletter_id) VALUES (1, 'analyst', 3)")
    made = await make_owner(username="author", may_reactivate=False, engine=gateway.engine)
    assert made == Recovered(changed=True)
    assert gateway.sql("SELECT role, newsletter_id FROM gateway.user_role ORDER BY id") == [
        ("analyst", 3),
        ("owner", None),
    ]
    again = await make_owner(username="author", may_reactivate=False, engine=gateway.engine)
    assert again == Recovered(changed=False)
    assert await make_owner(username="nobody", may_reactivate=True, engine=gateway.engine) == UserUnknown()


async def test_a_deactivated_user_is_made_an_owner_only_on_purpose(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now()")
    refused = await make_owner(username="author", may_reactivate=False, engine=gateway.engine)
    assert isinstance(refused, RecoveryRefused)
    await make_owner(username="author", may_reactivate=True, engine=gateway.engine)
    assert gateway.sql("SELECT deactivated_at FROM gateway.user_account") == [(None,)]
    assert (await log_in(await gateway.client())).headers["location"] == "/admin/dashboard"


async def test_an_address_is_set_and_belongs_to_one_user(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    await gateway.add_user("other")

    async def set_to(username: str, address: str) -> object:
        return await set_email(username=username, address=EmailAddress.parse(address), engine=gateway.engine)

    assert await set_to("author", "Ada@example.com") == Recovered()
    assert await set_to("author", "Ada@example.com") == Recovered(changed=False)
    refused = await set_to("other", "ADA@example.com")
    assert isinstance(refused, RecoveryRefused)
    assert "another user" in refused.reason
    assert await set_to("nobody", "ada@example.com") == UserUnknown()
    # In another spelling it is the same address of the same user.
    assert await set_to("author", "ada@example.com") == Recovered()
    assert gateway.sql("SELECT email, email_key FROM gateway.user_account ORDER BY id") == [
        ("ada@example.com", "ada@example.com"),
        (None, None),
    ]
    assert (await client.get("/admin/dashboard")).status_code == 200, "no session ends"
    assert (await log_in(await gateway.client(), "ada@example.com")).headers["location"] == "/admin/dashboard"


async def test_of_two_who_are_given_one_address_at_once_one_has_it(gateway: Gateway) -> None:
    await gateway.add_user()
    await gateway.add_user("other")
    address = EmailAddress("ada@example.com")
    done = await asyncio.gather(
        *(set_email(username=name, address=address, engine=gateway.engine) for name in ("author", "other"))
    )
    assert sorted(type(one).__name__ for one in done) == ["Recovered", "RecoveryRefused"]


async def test_a_link_that_was_mailed_to_the_address_before_opens_nothing_and_it_is_told(gateway: Gateway) -> None:
    await gateway.add_user()
    await set_email(username="author", address=EmailAddress("old@example.com"), engine=gateway.engine)
    await (await gateway.client()).post("/password-reset", data={"email": "old@example.com"})
    gateway.sql("DELETE FROM delivery.single_mail")
    await set_email(username="author", address=EmailAddress("new@example.com"), engine=gateway.engine)
    assert gateway.sql("SELECT used_at IS NOT NULL FROM gateway.password_reset") == [(True,)]
    assert gateway.sql("SELECT kind, to_email, subject FROM delivery.single_mail") == [
        ("account_notice", "old@example.com", "The address of your account was changed")
    ]


async def test_all_are_in_the_audit_log_as_done_by_command(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("DELETE FROM gateway.user_role")
    recorded = f"SELECT action, actor, target_id FROM {AUDIT_LOG} ORDER BY at DESC LIMIT 3"
    await reset_password(username="author", password=NEW, engine=gateway.engine)
    await make_owner(username="author", may_reactivate=False, engine=gateway.engine)
    for _ in range(2):  # the second changes nothing
        await set_email(username="author", address=EmailAddress("ada@example.com"), engine=gateway.engine)
    assert gateway.sql(recorded) == [
        ("user.email_changed", "command", "1"),
        ("user.roles_changed", "command", "1"),
        ("user.password_reset", "command", "1"),
    ]


async def test_a_second_factor_is_removed_for_who_has_lost_it(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("INSERT INTO gateway.second_factor (user_id, sealed_secret, last_step) VALUES (1, 'x', 0)")
    assert (await log_in(await gateway.client())).headers["location"] == "/login/second-factor"
    assert await reset_password(username="author", password=NEW, engine=gateway.engine) == Recovered()
    assert (await log_in(await gateway.client(), password=NEW)).headers["location"] == "/login/second-factor"
    assert await reset_second_factor(username="author", engine=gateway.engine) == Recovered()
    assert await reset_second_factor(username="author", engine=gateway.engine) == Recovered(changed=False)
    assert await reset_second_factor(username="nobody", engine=gateway.engine) == UserUnknown()
    assert (await log_in(await gateway.client(), password=NEW)).headers["location"] == "/admin/dashboard"
    recorded = f"SELECT count(*) FROM {AUDIT_LOG} WHERE action = 'user.second_factor_removed' AND actor = 'command'"
    assert gateway.sql(recorded) == [(1,)]
