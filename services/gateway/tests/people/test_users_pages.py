"""`/admin/users`: what owners see and do there without JavaScript."""

import re
from collections.abc import Awaitable
from typing import cast

import httpx
import msgspec
import pytest

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.sessions import KEY_PREFIX
from broadsheet_gateway.people.role_form import ROWS_MAX, parse_rows, rows_of

from ..conftest import Gateway, csrf_token_of

USERS = "/admin/users"
_INVITE = {"email": "grace@example.com", "name": "Grace", "role_1": "editor", "newsletter_1": "3", "role_2": "",
           "newsletter_2": ""}  # fmt: skip


@pytest.fixture
async def owner(gateway: Gateway) -> httpx.AsyncClient:
    gateway.sql("DELETE FROM delivery.single_mail")
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={
        "items": [{"id": 3, "name": "The Weekly", "archived_at": None}], "next_cursor": None,
    })  # fmt: skip
    return await gateway.signed_in()


async def send(client: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    return await client.post(path, data={"csrf_token": await csrf_token_of(client), **form})


async def age_proof(gateway: Gateway) -> None:
    async for key in gateway.redis.scan_iter(f"{KEY_PREFIX}*"):
        data = msgspec.json.decode(await cast("Awaitable[bytes]", gateway.redis.hget(key, "data")))
        data["authenticated_at_us"] -= 901 * 1_000_000
        await gateway.redis.hset(key, "data", msgspec.json.encode(data))


def version_of(page: httpx.Response) -> str:
    found = re.search(r'name="version" value="&#34;([0-9a-f]+)&#34;"', page.text)
    assert found is not None
    return f'"{found[1]}"'


async def test_somebody_is_invited_by_the_form(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(USERS)
    assert '<option value="3">of The Weekly</option>' in page.text
    done = await send(owner, f"{USERS}/invitations", **_INVITE)
    assert (done.status_code, done.headers["location"]) == (303, USERS)
    page = await owner.get(USERS)
    assert "The invitation is on its way." in page.text
    assert "grace@example.com" in page.text
    assert "Editor of The Weekly" in page.text
    assert gateway.sql("SELECT email, roles FROM gateway.invitation") == [("grace@example.com", ["editor:3"])]
    again = await send(owner, f"{USERS}/invitations/1/send-again")
    assert again.headers["location"] == USERS
    assert "a moment ago" in (await owner.get(USERS)).text
    ((number,),) = gateway.sql("SELECT id FROM gateway.invitation")
    gateway.sql("UPDATE gateway.invitation SET sent_at = sent_at - interval '1 minute'")
    await send(owner, f"{USERS}/invitations/{number}/send-again")
    ((renewed,),) = gateway.sql("SELECT id FROM gateway.invitation")
    assert renewed != number
    await send(owner, f"{USERS}/invitations/{renewed}/withdraw")
    assert "is withdrawn" in (await owner.get(USERS)).text
    assert gateway.sql("SELECT count(*) FROM gateway.invitation") == [(0,)]
    await send(owner, f"{USERS}/invitations/{renewed}/withdraw")
    assert "not there any more" in (await owner.get(USERS)).text


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({"email": "grace"}, "email", "@"),
        ({"role_1": ""}, "role_1", "Choose at least one role"),
        ({"role_1": "king"}, "role_1", "of the lists"),
        ({"newsletter_1": "x"}, "role_1", "of the lists"),
        ({"name": "x" * 201}, "name", "at most 200"),
        ({"email": "x" * 330 + "@example.com"}, "email", "too long"),
    ],
)
async def test_a_fault_is_said_at_its_field_and_what_was_typed_stays(
    gateway: Gateway, owner: httpx.AsyncClient, typed: dict[str, str], field: str, why: str
) -> None:
    refused = await send(owner, f"{USERS}/invitations", **(_INVITE | typed))
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert why in refused.text
    if field != "email":
        assert 'value="grace@example.com"' in refused.text
    assert gateway.sql("SELECT count(*) FROM gateway.invitation") == [(0,)]


async def test_without_a_fresh_proof_there_are_no_forms_and_nothing_is_changed(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    await gateway.add_user("eve")
    await age_proof(gateway)
    page = await owner.get(USERS)
    assert f"/admin/confirm?next={USERS}" in page.text
    assert f'action="{USERS}' not in page.text
    assert f'action="{USERS}' not in (await owner.get(f"{USERS}/2")).text
    paths = ("invitations", "invitations/1/withdraw", "invitations/1/send-again", "2", "2/deactivate", "2/reactivate",
             "2/end-sessions")  # fmt: skip
    for path in paths:
        refused = await send(owner, f"{USERS}/{path}", **_INVITE)
        assert refused.status_code == 303, path
        assert refused.headers["location"].startswith("/admin/confirm?next=/admin/users"), path
    assert gateway.sql("SELECT count(*) FROM gateway.invitation") == [(0,)]
    assert gateway.sql("SELECT count(*) FROM gateway.user_account WHERE deactivated_at IS NOT NULL") == [(0,)]


async def test_name_and_roles_are_changed_unless_somebody_else_was_first(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    await gateway.add_user("eve")
    page = await owner.get(f"{USERS}/2")
    assert '<option value="owner" selected>' in page.text
    form = {"version": version_of(page), "name": "Eve", "role_1": "editor", "newsletter_1": "3", "role_2": "analyst",
            "newsletter_2": ""}  # fmt: skip
    done = await send(owner, f"{USERS}/2", **form)
    assert (done.status_code, done.headers["location"]) == (303, f"{USERS}/2")
    changed = await owner.get(f"{USERS}/2")
    assert "Analyst of every newsletter, Editor of The Weekly" in changed.text
    late = await send(owner, f"{USERS}/2", **(form | {"name": "Late"}))
    assert late.status_code == 412
    assert "Somebody else changed this user meanwhile" in late.text
    assert gateway.sql("SELECT name FROM gateway.user_account WHERE id = 2") == [("Eve",)]


async def test_a_role_of_a_newsletter_that_is_not_listed_is_not_lost(
    gateway: Gateway, owner: httpx.AsyncClient
) -> None:
    await gateway.add_user("eve")
    gateway.sql("UPDATE gateway.user_role SET role = 'editor', newsletter_id = 77 WHERE user_id = 2")
    gateway.publishing.refuse("GET", "/api/v1/newsletters", 503, "unavailable")
    page = await owner.get(f"{USERS}/2")
    assert '<option value="77" selected>of Newsletter 77</option>' in page.text


async def test_who_has_more_roles_than_the_form_has_rows_keeps_them(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    await gateway.add_user("eve")
    gateway.sql(
        "INSERT INTO gateway.user_role (user_id, role, newsletter_id)"
        " SELECT 2, 'editor', n FROM generate_series(1, 30) AS n"
    )
    page = await owner.get(f"{USERS}/2")
    assert "too many roles for this form" in page.text
    assert (await send(owner, f"{USERS}/2", version=version_of(page), name="Eve")).status_code == 303
    assert gateway.sql("SELECT count(*) FROM gateway.user_role WHERE user_id = 2") == [(31,)]


async def test_a_user_is_signed_out_shut_out_and_let_in_again(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    eve = await gateway.signed_in("eve")
    await send(owner, f"{USERS}/2/end-sessions")
    assert (await eve.get("/admin/dashboard")).headers["location"] == "/login"
    eve = await gateway.signed_in("eve")
    await send(owner, f"{USERS}/2/deactivate")
    assert (await eve.get("/admin/dashboard")).headers["location"] == "/login"
    assert "Deactivated" in (await owner.get(USERS)).text
    await send(owner, f"{USERS}/2/reactivate")
    await gateway.signed_in("eve")


async def test_the_last_owner_stays_one(gateway: Gateway, owner: httpx.AsyncClient) -> None:
    page = await owner.get(f"{USERS}/1")
    refused = await send(owner, f"{USERS}/1", version=version_of(page), name="", role_1="editor", newsletter_1="")
    assert refused.status_code == 409
    assert "last owner" in refused.text
    await send(owner, f"{USERS}/1/deactivate")
    assert "last owner" in (await owner.get(f"{USERS}/1")).text
    assert gateway.sql("SELECT role FROM gateway.user_role") == [("owner",)]
    assert gateway.sql("SELECT deactivated_at FROM gateway.user_account") == [(None,)]


@pytest.mark.parametrize("path", ["9", "x", "9/deactivate", "9/end-sessions", "0", "99999999999999999999"])
async def test_who_is_not_there_is_not_found(owner: httpx.AsyncClient, path: str) -> None:
    assert (await send(owner, f"{USERS}/{path}", version="", name="")).status_code == 404


async def test_a_form_of_another_page_is_refused(owner: httpx.AsyncClient) -> None:
    refused = await owner.post(f"{USERS}/1/deactivate", data={}, headers={"sec-fetch-site": "cross-site"})
    assert refused.status_code == 403


def test_rows_hold_every_role_and_some_empty_ones() -> None:
    assert len(rows_of([])) == 3
    grants = [Grant("editor", number) for number in range(1, ROWS_MAX + 1)]
    for count in (1, 5, ROWS_MAX - 1, ROWS_MAX):
        rows = rows_of(grants[:count])
        assert len(rows) <= ROWS_MAX
        parsed, errors = parse_rows(rows)
        assert ([Grant(one.role, one.newsletter_id) for one in parsed], errors) == (grants[:count], {})
