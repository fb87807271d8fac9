"""Recovery on the command line: a password that is lost, an installation without an owner."""

from argon2 import PasswordHasher

from broadsheet_gateway.recovery.recover import (
    Recovered,
    RecoveryRefused,
    UserUnknown,
    make_owner,
    reset_password,
)

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


async def test_both_are_in_the_audit_log_as_done_by_command(gateway: Gateway) -> None:
    await gateway.add_user()
    gateway.sql("DELETE FROM gateway.user_role")
    recorded = """
        WITH recorded AS (
            SELECT at, action, actor, target_id FROM audit.waiting
            UNION ALL SELECT at, action, actor, target_id FROM audit.entry
        )
        SELECT action, actor, target_id FROM recorded ORDER BY at DESC LIMIT 2
    """
    await reset_password(username="author", password=NEW, engine=gateway.engine)
    await make_owner(username="author", may_reactivate=False, engine=gateway.engine)
    assert gateway.sql(recorded) == [("user.roles_changed", "command", "1"), ("user.password_reset", "command", "1")]
