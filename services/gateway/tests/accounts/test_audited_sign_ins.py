"""What people do with their accounts and keys is in the audit log, with the address it came from, without secrets."""

import re
from typing import Any

import pytest

from broadsheet_gateway.accounts import note_sign_in
from broadsheet_gateway.limits.rate_limit import RateLimit
from harness.owner import AUDIT_LOG

from ..conftest import PASSWORD, Gateway, csrf_token_of, log_in
from ..second_factor.conftest import set_up

ADDRESS = "203.0.113.9"
NEW_PASSWORD = "another long passphrase, 2"


def entries(gateway: Gateway) -> list[tuple[Any, ...]]:
    """Action, actor, source, target and what was said of this test's own user, in order."""
    return gateway.sql(
        f"""
        SELECT action, actor, source, target_id, after FROM {AUDIT_LOG}
         WHERE at > (SELECT coalesce(max(created_at), now() - interval '1 hour') FROM gateway.user_account)
           AND action <> 'user.created'
         ORDER BY at
        """
    )


async def test_a_sign_in_a_change_of_password_and_a_sign_out_are_entries(gateway: Gateway) -> None:
    await gateway.add_user()
    client = await gateway.client(address=ADDRESS)
    await log_in(client)
    token = await csrf_token_of(client)
    form = {
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
        "new_password_check": NEW_PASSWORD,
        "csrf_token": token,
    }
    assert (await client.post("/admin/password", data=form)).status_code == 303
    assert (await client.post("/admin/logout", data={"csrf_token": await csrf_token_of(client)})).status_code == 303
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account")
    who = (f"user:{user_id}", ADDRESS, str(user_id))
    assert entries(gateway) == [
        ("user.signed_in", *who, {"method": "password"}),
        ("user.password_changed", *who, None),
        ("user.signed_out", *who, None),
    ]


async def test_a_proof_that_is_refused_is_an_entry(gateway: Gateway) -> None:
    """Whoever has a session and guesses the password is seen."""
    await gateway.add_user()
    client = await gateway.client(address=ADDRESS)
    await log_in(client)
    token = await csrf_token_of(client)
    tries = [
        ("/admin/confirm", {"password": "not the passphrase"}),
        ("/admin/confirm/passkey", {"credential": "{}"}),
    ]
    for path, form in tries:
        await client.post(path, data=form | {"csrf_token": token})
    await set_up(gateway, client)
    await client.post("/admin/confirm", data={"password": PASSWORD, "code": "000000"})
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account")
    who = (f"user:{user_id}", ADDRESS, str(user_id))
    action = "user.reauthentication_refused"
    assert [entry for entry in entries(gateway) if entry[0] == action] == [
        (action, *who, {"method": "password", "reason": "wrong_password"}),
        (action, *who, {"method": "passkey", "reason": "malformed"}),
        (action, *who, {"method": "password", "reason": "wrong_code"}),
    ]


async def test_one_session_ended_and_a_fresh_proof_are_entries(gateway: Gateway) -> None:
    await gateway.signed_in()
    here = await gateway.client(address=ADDRESS)
    await log_in(here)
    token = await csrf_token_of(here)
    (handle,) = re.findall(r'name="session" value="([0-9a-f]{64})"', (await here.get("/admin/account/sessions")).text)
    ended = await here.post("/admin/account/sessions/end", data={"session": handle, "csrf_token": token})
    again = await here.post("/admin/account/sessions/end", data={"session": handle, "csrf_token": token})
    proven = await here.post("/admin/confirm", data={"password": PASSWORD, "csrf_token": token})
    assert [one.status_code for one in (ended, again, proven)] == [303, 303, 303]
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account")
    who = (f"user:{user_id}", ADDRESS, str(user_id))
    assert entries(gateway)[-2:] == [
        ("user.sessions_ended", *who, {"sessions": 1}),
        ("user.reauthenticated", *who, {"method": "password"}),
    ]


async def test_a_refused_sign_in_names_the_user_if_there_is_one_and_never_what_was_typed(gateway: Gateway) -> None:
    await gateway.add_user()
    client = await gateway.client(address=ADDRESS)
    await log_in(client, "author", "not my password, 9")
    await log_in(client, "my password as the name", "x")
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account")
    refused = {"method": "password", "reason": "wrong_credentials"}
    assert entries(gateway) == [
        ("user.sign_in_refused", "public", ADDRESS, str(user_id), refused),
        ("user.sign_in_refused", "public", ADDRESS, None, refused),
    ]
    assert "typed" not in str(entries(gateway))
    assert "my password" not in str(entries(gateway))


async def test_a_flood_of_refused_sign_ins_does_not_fill_the_log(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(note_sign_in, "REFUSALS_NOTED", RateLimit(3, 600))
    await gateway.add_user()
    client = await gateway.client(address=ADDRESS)
    for _ in range(6):
        await log_in(client, "author", "not my password, 9")
    assert len(entries(gateway)) == 3


async def test_a_key_is_made_changed_rotated_and_revoked_under_its_users_eyes(gateway: Gateway) -> None:
    admin = await gateway.api_client("read", "write", "admin")
    [(user_id, key_id)] = gateway.sql("SELECT user_id, id FROM gateway.api_key")
    made = (await admin.post("/api/v1/api-keys", json={"name": "for the shop", "scopes": ["issues:read"]})).json()
    path = f"/api/v1/api-keys/{made['id']}"
    await admin.patch(path, json={"name": "for the other shop"})
    rotated = (await admin.post(f"{path}/rotate", json={"overlap_s": 60})).json()
    await admin.post(f"{path}/revoke")
    await admin.post(f"{path}/revoke")
    found = [one for one in entries(gateway) if one[0].startswith("key.") and one[1] != "command"]
    who = (f"key:{key_id}", "127.0.0.1", str(made["id"]))
    assert found == [
        (
            "key.created",
            *who,
            {"user_id": user_id, "scopes": ["issues:read"], "newsletter_ids": None, "expires_at": None},
        ),
        ("key.changed", *who, {"changed": ["name"]}),
        ("key.rotated", *who, {"overlap_s": 60}),
        ("key.revoked", *who, None),
    ]
    assert "shop" not in str(found)
    assert rotated["key"] not in str(found)


async def test_a_users_roles_and_whether_they_may_sign_in_are_entries(gateway: Gateway) -> None:
    owner = await gateway.api_client("read", "write", "admin")
    await gateway.add_user("second")
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'second'")
    path = f"/api/v1/users/{user_id}"
    shown = await owner.get(path)
    change = {"name": "Ada Lovelace", "roles": [{"role": "editor", "newsletter_id": 3}]}
    changed = await owner.patch(path, json=change, headers={"if-match": shown.headers["etag"]})
    assert changed.status_code == 200, changed.text
    await owner.post(f"{path}/deactivate")
    await owner.post(f"{path}/reactivate")
    found = [one for one in entries(gateway) if one[0].startswith("user.")]
    assert [(action, target, said) for action, _, _, target, said in found] == [
        ("user.roles_changed", str(user_id), {"roles": ["editor:3"]}),
        ("user.changed", str(user_id), {"changed": ["name"]}),
        ("user.deactivated", str(user_id), None),
        ("user.reactivated", str(user_id), None),
    ]
    assert "Lovelace" not in str(found)
