"""What the link of an invitation opens, for whom, and until when."""

import asyncio

import pytest

from ..conftest import Gateway, MakeGateway, log_in
from .inviting import ADDRESS, EDITOR, NEW, Owner, accept, links, owner_of, recorded, warm_up

OWNER = {"role": "owner"}


async def test_the_invited_make_their_account_once_and_are_signed_in(gateway: Gateway, owner: Owner) -> None:
    made = (await owner.invite(ADDRESS, EDITOR, {"role": "analyst"})).json()
    (link,) = links(gateway)
    client = await gateway.client()
    for _ in range(2):  # a mail scanner looks, and changes nothing
        page = await client.get(link)
        assert page.status_code == 200
        assert page.headers["referrer-policy"] == "no-referrer"
        assert ADDRESS in page.text
        assert 'value="Grace"' in page.text
    ((since,),) = gateway.sql("SELECT clock_timestamp()")
    form = {"username": " grace ", "name": "Grace  Hopper", "password": NEW, "password_check": NEW}
    done = await client.post(link, data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/admin/dashboard")
    welcome = await client.get("/admin/dashboard")
    assert "Your account is made" in welcome.text
    assert gateway.sql("SELECT username, name, email, email_key FROM gateway.user_account WHERE id = 2") == [
        ("grace", "Grace Hopper", ADDRESS, ADDRESS)
    ]
    roles = gateway.sql("SELECT role, newsletter_id FROM gateway.user_role WHERE user_id = 2 ORDER BY role")
    assert roles == [("analyst", None), ("editor", 3)]
    said = {"roles": ["analyst", "editor:3"], "invitation_id": made["id"]}
    assert recorded(gateway, since) == [
        ("user.created", "user:2", "2", said),
        ("user.invitation_accepted", "user:2", "2", {"invitation_id": made["id"]}),
        ("user.signed_in", "user:2", "2", {"method": "invitation"}),
    ]
    assert (await accept(gateway, link, username="again")).status_code == 410
    assert (await client.get(link)).status_code == 410
    assert await owner.listed() == []
    for name in ("grace", ADDRESS):
        assert (await log_in(await gateway.client(), name, NEW)).headers["location"] == "/admin/dashboard"


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({"username": "author"}, "username", "Somebody has this user name already"),
        ({"username": "Author"}, "username", "Somebody has this user name already"),
        ({"username": "\u0430uthor"}, "username", "mixes letters of scripts"),
        ({"username": "author\ufe0f"}, "username", "or like nothing"),
        ({"username": "\uff41uthor"}, "username", "or like nothing"),
        ({"username": "\u3164"}, "username", "or like nothing"),
        ({"username": "author\u2800"}, "username", "It may hold letters"),
        ({"username": " "}, "username", "A user name is needed"),
        ({"username": "x" * 101}, "username", "at most 100"),
        ({"username": "ada@example.com"}, "username", "may not hold the sign @"),
        ({"username": "a\u202eb"}, "username", "characters"),
        ({"name": "a\u0007b"}, "name", "cannot be shown"),
        ({"name": "x" * 201}, "name", "at most 200"),
        ({"password": "short", "password_check": "short"}, "password", "12 to 128 characters"),
        ({"password_check": NEW + "x"}, "password_check", "not the same"),
        ({"password": "password1234", "password_check": "password1234"}, "password", "Many people"),
        ({"password": "grace hopper 2026", "password_check": "grace hopper 2026"}, "password", "know of you"),
    ],
)
async def test_a_fault_is_said_at_its_field_and_what_was_typed_stays(
    gateway: Gateway, owner: Owner, typed: dict[str, str], field: str, why: str
) -> None:
    await owner.invite()
    (link,) = links(gateway)
    refused = await accept(gateway, link, **typed)
    assert refused.status_code == 422
    assert f'id="{field}-error"' in refused.text
    assert why in refused.text
    assert 'value="Grace Hopper"' in refused.text or field == "name"
    for secret in (NEW, typed.get("password", NEW)):
        assert secret not in refused.text, "passwords are not put back"
    assert gateway.sql("SELECT count(*) FROM gateway.user_account") == [(1,)]
    assert (await accept(gateway, link)).status_code == 303, "the link still works"


async def test_a_field_that_is_missing_is_no_form(gateway: Gateway, owner: Owner) -> None:
    await owner.invite()
    (link,) = links(gateway)
    answer = await (await gateway.client()).post(link, data={"username": "grace"})
    assert answer.status_code == 400


async def test_of_two_acceptances_at_once_one_makes_an_account(gateway: Gateway, owner: Owner) -> None:
    await owner.invite()
    (link,) = links(gateway)
    done = await asyncio.gather(*(accept(gateway, link, username=f"grace{n}") for n in range(3)))
    assert sorted(answer.status_code for answer in done) == [303, 410, 410]
    assert gateway.sql("SELECT count(*) FROM gateway.user_account") == [(2,)]


async def test_two_who_want_one_user_name_at_once_do_not_both_get_it(gateway: Gateway, owner: Owner) -> None:
    for address in ("a@example.com", "b@example.com"):
        await owner.invite(address)
    done = await asyncio.gather(*(accept(gateway, link) for link in links(gateway)))
    assert sorted(answer.status_code for answer in done) == [303, 422]
    # Whoever was later chooses another name: the invitation is there still.
    [left] = await owner.listed()
    link = links(gateway)[["a@example.com", "b@example.com"].index(left["email"])]
    assert (await accept(gateway, link, username="grace2")).status_code == 303


async def test_a_link_expires(gateway: Gateway, owner: Owner) -> None:
    await owner.invite()
    (link,) = links(gateway)
    gateway.sql("UPDATE gateway.invitation SET expires_at = now()")
    assert (await (await gateway.client()).get(link)).status_code == 410
    assert (await accept(gateway, link)).status_code == 410


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE gateway.user_account SET deactivated_at = now() WHERE username = 'second'",
        "UPDATE gateway.user_role SET role = 'editor' WHERE user_id = 2",
        "UPDATE gateway.user_role SET newsletter_id = 3 WHERE user_id = 2",
    ],
)
async def test_it_is_void_while_whoever_sent_it_may_let_nobody_in(gateway: Gateway, owner: Owner, change: str) -> None:
    second = await owner_of(gateway, "second")
    await second.invite()
    (link,) = links(gateway)
    gateway.sql(change)
    assert (await accept(gateway, link)).status_code == 410
    [shown] = await owner.listed()
    assert shown["state"] == "void"
    # Another owner vouches for it by sending it again.
    warm_up(gateway)
    await owner.post(f"{shown['id']}/send-again")
    assert (await accept(gateway, links(gateway)[-1])).status_code == 303


async def test_it_is_void_once_a_user_has_the_address(gateway: Gateway, owner: Owner) -> None:
    made = (await owner.invite()).json()
    (link,) = links(gateway)
    gateway.sql("UPDATE gateway.user_account SET email = %s, email_key = %s", ADDRESS, ADDRESS)
    assert (await accept(gateway, link)).status_code == 410
    assert gateway.sql("SELECT count(*) FROM gateway.user_account") == [(1,)]
    warm_up(gateway)
    assert (await owner.post(f"{made['id']}/send-again")).status_code == 422


async def test_a_role_of_a_newsletter_that_was_archived_is_given_all_the_same(gateway: Gateway, owner: Owner) -> None:
    """Newsletters are never deleted: the role opens what is left of it, as it does for users who had it before."""
    gateway.publishing.answer("GET", "/api/v1/newsletters", body={
        "items": [{"id": 3, "name": "The Weekly", "archived_at": "2026-01-01T00:00:00Z"}], "next_cursor": None,
    })  # fmt: skip
    await owner.invite(ADDRESS, EDITOR)
    (link,) = links(gateway)
    assert (await accept(gateway, link)).status_code == 303
    assert gateway.sql("SELECT role, newsletter_id FROM gateway.user_role WHERE user_id = 2") == [("editor", 3)]
    assert "Editor of The Weekly (archived)" in (await owner.client.get("/admin/users")).text


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 44, "A" * 42 + "%00"])
async def test_a_made_up_link_opens_nothing(gateway: Gateway, token: str) -> None:
    client = await gateway.client()
    assert (await client.get(f"/invitation/{token}")).status_code in {400, 404, 410}
    assert (await accept(gateway, f"/invitation/{token}")).status_code in {400, 404, 410}


async def test_another_sites_form_signs_nobody_in(gateway: Gateway, owner: Owner) -> None:
    await owner.invite()
    (link,) = links(gateway)
    client = await gateway.client(sec_fetch_site="cross-site")
    form = {"username": "grace", "name": "", "password": NEW, "password_check": NEW}
    done = await client.post(link, data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/login")
    assert (await client.get("/admin/dashboard")).headers["location"] == "/login"


async def test_with_redis_away_the_account_is_made_and_one_logs_in_later(
    gateway: Gateway, owner: Owner, make_gateway: MakeGateway
) -> None:
    await owner.invite()
    (link,) = links(gateway)
    lonely = await make_gateway(redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.1)
    assert (await accept(lonely, link)).headers["location"] == "/login"
    assert (await log_in(await gateway.client(), "grace", NEW)).headers["location"] == "/admin/dashboard"


async def test_tries_are_limited_by_source(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_ip="2/3600")
    statuses = [(await accept(gateway, f"/invitation/{'A' * 43}")).status_code for _ in range(3)]
    assert statuses == [410, 410, 429]
