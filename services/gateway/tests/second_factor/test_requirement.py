"""Who must have a second factor can do nothing but set one up."""

import re
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.admin.router import admin_router
from broadsheet_gateway.forwarding.route_table import ROUTES

from ..accounts.test_audited_sign_ins import entries
from ..conftest import PASSWORD, Gateway
from .conftest import FORM, LOGIN, PAGE, give, half_signed_in, is_signed_in, set_up

INSTALLATION = "/api/v1/installation"
HTML = {"accept": "text/html"}
OPEN = {
    ("GET", "/admin/account/second-factor"),
    ("POST", "/admin/account/second-factor/begin"),
    ("GET", "/admin/account/second-factor/set-up"),
    ("POST", "/admin/account/second-factor/set-up"),
    ("POST", "/admin/account/second-factor/recovery-codes"),
    ("POST", "/admin/account/second-factor/remove"),
    ("GET", "/admin/confirm"),
    ("POST", "/admin/confirm"),
    ("GET", "/admin/account/passkeys"),
    ("POST", "/admin/account/passkeys"),
    ("POST", "/admin/account/passkeys/options"),
    ("POST", "/admin/confirm/passkey"),
    ("POST", "/admin/confirm/passkey/options"),
    ("POST", "/admin/logout"),
}
"""Pages that lead to a second factor, and out."""


def admin_pages() -> set[tuple[str, str]]:
    found = set()
    for handler in admin_router().routes:
        if isinstance(handler, HTTPRoute):
            for one in handler.route_handlers:
                found |= {
                    (str(method), handler.path) for method in one.http_methods if method not in {"OPTIONS", "HEAD"}
                }
    return found


@pytest.fixture(autouse=True)
def _nothing_is_required(gateway: Gateway) -> None:
    gateway.sql("DELETE FROM gateway.second_factor_requirement")


def require(gateway: Gateway, newsletter_id: int | None = None) -> None:
    gateway.sql("INSERT INTO gateway.second_factor_requirement (newsletter_id) VALUES (%s)", newsletter_id)


async def add(gateway: Gateway, username: str, *grants: Grant) -> httpx.AsyncClient:
    client = await gateway.signed_in(username)
    gateway.sql(
        "DELETE FROM gateway.user_role USING gateway.user_account AS one WHERE user_id = one.id AND username = %s",
        username,
    )
    for grant in grants:
        gateway.sql(
            "INSERT INTO gateway.user_role (user_id, role, newsletter_id) "
            "SELECT id, %s, %s FROM gateway.user_account WHERE username = %s",
            grant.role, grant.newsletter_id, username,
        )  # fmt: skip
    return client


async def test_no_page_is_open_before_the_factor_is_set_up_but_those_that_lead_to_it(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    require(gateway)
    pages = admin_pages()
    assert pages > OPEN
    for method, path in sorted(pages - OPEN):
        filled = re.sub(r"\{rest:path\}", "no/such/page", re.sub(r"\{\w+:str\}", "1", path))
        answer = await client.request(method, filled, headers=HTML)
        assert (answer.status_code, answer.headers.get("location")) == (303, PAGE), (method, path)
        as_program = await client.request(method, filled)
        assert as_program.status_code == 403, (method, path)
        assert as_program.json()["type"] == "urn:broadsheet:problem:second-factor-needed"


async def test_no_operation_of_the_api_is_open_to_the_session_either(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    require(gateway)
    for template, _, permissions in ROUTES:
        for method in permissions:
            path = template.replace("{id}", "1").replace("{version}", "1").replace("{name}", "city")
            answer = await client.request(method, path)
            assert answer.status_code == 403, (method, template)
            assert answer.json()["type"] == "urn:broadsheet:problem:second-factor-needed"
    for service in (gateway.publishing, gateway.subscriptions, gateway.delivery):
        assert service.received == []


async def test_after_signing_in_one_is_led_to_the_set_up_and_then_everything_is_open(gateway: Gateway) -> None:
    await gateway.add_user()
    require(gateway)
    client = await gateway.client()
    await client.post("/login", data={"username": "author", "password": PASSWORD})
    assert (await client.get("/admin/dashboard", headers=HTML)).headers["location"] == PAGE
    page = (await client.get(PAGE)).text
    assert "Your role needs a second factor" in page
    authenticator, _ = await set_up(gateway, client)
    assert await is_signed_in(client)
    await client.post(f"{PAGE}/remove", data=FORM)
    assert (await client.get("/admin/password", headers=HTML)).headers["location"] == PAGE
    authenticator, _ = await set_up(gateway, client)
    again = await half_signed_in(gateway)
    await give(again, authenticator.code())
    assert await is_signed_in(again)


async def test_it_holds_from_the_next_request_of_sessions_that_are_there(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    assert await is_signed_in(client)
    require(gateway)
    assert not await is_signed_in(client)
    gateway.sql("DELETE FROM gateway.second_factor_requirement")
    assert await is_signed_in(client)


async def test_a_newsletter_requires_it_of_those_who_have_a_role_for_it(gateway: Gateway) -> None:
    of_all = await add(gateway, "everywhere", Grant("editor"))
    of_three = await add(gateway, "three", Grant("editor", 3), Grant("analyst", 4))
    of_five = await add(gateway, "five", Grant("publisher", 5))
    nobody = await add(gateway, "nobody")
    require(gateway, 3)
    assert [await is_signed_in(client) for client in (of_all, of_three, of_five, nobody)] == [False, False, True, True]
    require(gateway)
    assert not any([await is_signed_in(client) for client in (of_all, of_three, of_five, nobody)])


async def test_keys_work_on(gateway: Gateway) -> None:
    api = await gateway.api_client("read", "admin")
    require(gateway)
    assert (await api.get("/api/v1/users")).status_code == 200


async def tag(client: httpx.AsyncClient) -> dict[str, str]:
    return {"if-match": (await client.get(INSTALLATION)).headers["etag"]}


async def change(client: httpx.AsyncClient, **values: Any) -> httpx.Response:
    return await client.patch(INSTALLATION, json=values, headers=await tag(client))


async def test_an_owner_with_a_factor_requires_it_of_everybody_or_of_newsletters(gateway: Gateway) -> None:
    owner = await gateway.signed_in()
    shown = await owner.get(INSTALLATION)
    assert shown.json() == {"requires_second_factor": False, "second_factor_newsletter_ids": []}
    await set_up(gateway, owner)
    changed = await change(owner, second_factor_newsletter_ids=[5, 3, 5])
    assert changed.json() == {"requires_second_factor": False, "second_factor_newsletter_ids": [3, 5]}
    changed = await change(owner, requires_second_factor=True)
    assert changed.json() == {"requires_second_factor": True, "second_factor_newsletter_ids": [3, 5]}
    assert (await owner.get(INSTALLATION)).json() == changed.json()
    changed = await change(owner, requires_second_factor=False, second_factor_newsletter_ids=[])
    assert changed.json() == shown.json()
    said = [one for one in entries(gateway) if one[0] == "installation.changed"]
    assert [after for *_, after in said] == [
        {"requires_second_factor": False, "newsletter_ids": [3, 5]},
        {"requires_second_factor": True, "newsletter_ids": [3, 5]},
        {"requires_second_factor": False, "newsletter_ids": []},
    ]


@pytest.mark.parametrize("values", [{"requires_second_factor": True}, {"second_factor_newsletter_ids": [3]}])
async def test_nobody_requires_what_they_do_not_have(gateway: Gateway, values: dict[str, Any]) -> None:
    owner = await gateway.signed_in()
    api = await gateway.api_client("read", "admin")
    for client in (owner, api):
        refused = await change(client, **values)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:no-own-second-factor")
    assert gateway.sql("SELECT 1 FROM gateway.second_factor_requirement") == []
    require(gateway, 3)
    require(gateway)
    assert (await change(api, requires_second_factor=False)).status_code == 200


async def test_only_owners_change_it_knowing_what_it_is(gateway: Gateway) -> None:
    owner = await gateway.signed_in()
    await set_up(gateway, owner)
    editor = await add(gateway, "eve", Grant("editor"), Grant("owner", 3))
    assert (await editor.get(INSTALLATION)).status_code == 403
    assert (await editor.patch(INSTALLATION, json={"requires_second_factor": True})).status_code == 403
    assert (await owner.patch(INSTALLATION, json={"requires_second_factor": True})).status_code == 428
    stale = {"if-match": '"0"'}
    assert (await owner.patch(INSTALLATION, json={"requires_second_factor": True}, headers=stale)).status_code == 412
    for wrong in ({"requires_second_factor": "yes"}, {"second_factor_newsletter_ids": [0]}, {"other": 1},
                  {"second_factor_newsletter_ids": list(range(1, 102))}):  # fmt: skip
        assert (await change(owner, **wrong)).status_code in {400, 422}, wrong
    assert gateway.sql("SELECT 1 FROM gateway.second_factor_requirement") == []


async def test_an_owner_removes_the_factor_of_somebody_who_has_lost_it_and_not_their_own(gateway: Gateway) -> None:
    owner, lost = await gateway.signed_in(), await gateway.signed_in("lost")
    await set_up(gateway, owner)
    await set_up(gateway, lost)
    users = {one["username"]: one for one in (await owner.get("/api/v1/users")).json()["items"]}
    assert [users[name]["has_second_factor"] for name in ("author", "lost")] == [True, True]
    path = "/api/v1/users/{}/remove-second-factor"
    own = await owner.post(path.format(users["author"]["id"]))
    assert (own.status_code, own.json()["type"]) == (409, "urn:broadsheet:problem:own-second-factor")
    assert (await owner.post(path.format(users["lost"]["id"]))).status_code == 204
    assert (await owner.post(path.format(users["lost"]["id"]))).status_code == 204
    assert (await owner.post(path.format(987654321))).status_code == 404
    assert not await is_signed_in(lost)
    again = await gateway.client()
    assert (await again.post("/login", data={"username": "lost", "password": PASSWORD})).headers["location"] != LOGIN
    removed = [one for one in entries(gateway) if one[0] == "user.second_factor_removed"]
    assert [(actor, target) for _, actor, _, target, _ in removed] == [
        (f"user:{users['author']['id']}", str(users["lost"]["id"]))
    ]


async def test_an_owner_removes_it_on_the_users_page_too(gateway: Gateway) -> None:
    owner, lost = await gateway.signed_in(), await gateway.signed_in("lost")
    await set_up(gateway, lost)
    [(user_id,)] = gateway.sql("SELECT id FROM gateway.user_account WHERE username = 'lost'")
    path = f"/admin/users/{user_id}"
    assert f'action="{path}/remove-second-factor"' in (await owner.get(path)).text
    assert (await owner.post(f"{path}/remove-second-factor", data=FORM)).headers["location"] == path
    assert "without a second factor" in (await owner.get(path)).text
    assert not await is_signed_in(lost)


WHO = "/admin/users/second-factor"
_VERSION = re.compile(r'name="version" value="(&#34;[0-9a-f]+&#34;)"')


async def version_of(client: httpx.AsyncClient) -> dict[str, str]:
    found = _VERSION.search((await client.get(WHO)).text)
    assert found is not None
    return {"version": found[1].replace("&#34;", '"')}


async def test_an_owner_chooses_on_a_page_who_needs_it(gateway: Gateway) -> None:
    newsletters = [{"id": 3, "name": "Harbour notes"}, {"id": 5, "name": "The Weekly"}]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": newsletters, "next_cursor": None})
    owner = await gateway.signed_in()
    form = {**await version_of(owner), "everybody": "yes"}
    refused = await owner.post(WHO, data=form)
    assert (refused.status_code, "of your own" in refused.text) == (409, True)
    await set_up(gateway, owner)
    boxes = {"has_newsletters": "yes", "newsletter_5": "yes"}
    answer = await owner.post(WHO, data={**await version_of(owner), **boxes})
    assert (answer.status_code, answer.headers["location"]) == (303, WHO)
    assert gateway.sql("SELECT newsletter_id FROM gateway.second_factor_requirement") == [(5,)]
    page = (await owner.get(WHO)).text
    assert 'name="newsletter_5" value="yes" checked' in page
    assert 'name="newsletter_3" value="yes">' in page
    await owner.post(WHO, data={**await version_of(owner), "everybody": "yes"})
    assert gateway.sql("SELECT newsletter_id FROM gateway.second_factor_requirement ORDER BY 1") == [(5,), (None,)]
    stale = await owner.post(WHO, data={"version": '"0"'})
    assert (stale.status_code, "meanwhile" in stale.text) == (412, True)
    await owner.post(WHO, data={**await version_of(owner), "has_newsletters": "yes"})
    assert gateway.sql("SELECT 1 FROM gateway.second_factor_requirement") == []
    assert (await (await add(gateway, "eve", Grant("editor"), Grant("owner", 3))).get(WHO)).status_code == 403


async def test_a_page_with_too_many_newsletters_leaves_them_as_they_are(gateway: Gateway) -> None:
    many = [{"id": number, "name": f"Letter {number}"} for number in range(1, 50)]
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={"items": many, "next_cursor": None})
    owner = await gateway.signed_in()
    await set_up(gateway, owner)
    require(gateway, 7)
    assert "too many newsletters" in (await owner.get(WHO)).text
    await owner.post(WHO, data={**await version_of(owner), "everybody": "yes"})
    assert gateway.sql("SELECT newsletter_id FROM gateway.second_factor_requirement ORDER BY 1") == [(7,), (None,)]
