"""Signing in by the provider: which browser, once, and who they are here."""

import asyncio

import httpx
import pytest

from broadsheet_gateway.oidc.visits import KEY_PREFIX

from ..accounts.test_audited_sign_ins import entries
from ..conftest import Gateway
from ..second_factor.conftest import Authenticator, give, is_signed_in, set_up
from .conftest import (
    LOGIN,
    PAGE,
    MakeWithProvider,
    come_back,
    is_in,
    linked_user,
    reasons,
    roles_of,
    send_to_provider,
    sign_in,
)
from .provider import FakeProvider

CALLBACK = "/login/provider/callback"
MFA = {"amr": ["pwd", "mfa"]}


async def test_a_linked_user_signs_in(gateway_with: Gateway, provider: FakeProvider) -> None:
    await linked_user(gateway_with, provider)
    client = await gateway_with.client(address="203.0.113.9")
    assert is_in(await sign_in(client, provider))
    assert await is_signed_in(client)
    assert entries(gateway_with)[-1][:3] == ("user.signed_in", "user:1", "203.0.113.9")
    assert entries(gateway_with)[-1][-1] == {"method": "oidc"}


async def test_the_button_is_there_where_a_provider_is_set(gateway: Gateway, gateway_with: Gateway) -> None:
    assert "Log in with the Guild" in (await (await gateway_with.client()).get("/login")).text
    assert "Log in with" not in (await (await gateway.client()).get("/login")).text


@pytest.mark.parametrize("path", [LOGIN, f"{CALLBACK}?code=x&state=y"])
async def test_without_a_provider_there_is_nothing(gateway: Gateway, path: str) -> None:
    assert (await (await gateway.client()).get(path)).status_code == 404


async def test_without_a_provider_the_pages_of_the_account_are_not_there(gateway: Gateway) -> None:
    client = await gateway.signed_in()
    assert (await client.get(PAGE)).status_code == 404
    for path in (f"{PAGE}/link", f"{PAGE}/unlink"):
        assert (await client.post(path, data={"csrf_token": ""})).status_code == 404
    assert PAGE not in (await client.get("/admin/password")).text


async def test_an_answer_counts_once(gateway_with: Gateway, provider: FakeProvider) -> None:
    await linked_user(gateway_with, provider)
    client = await gateway_with.client()
    address = provider.authorize(await send_to_provider(client))
    assert is_in(await client.get(address))
    client.cookies.delete("broadsheet_session")
    again = await client.get(address)
    assert again.headers["location"] == "/login"
    assert not await is_signed_in(client)


async def test_of_two_that_bring_the_same_answer_at_once_one_comes_in(
    gateway_with: Gateway, provider: FakeProvider
) -> None:
    await linked_user(gateway_with, provider)
    client = await gateway_with.client()
    address = provider.authorize(await send_to_provider(client))
    answers = await asyncio.gather(client.get(address), client.get(address))
    assert sorted(answer.headers["location"] for answer in answers) == ["/admin/dashboard", "/login"]


async def test_an_answer_belongs_to_the_browser_that_asked(gateway_with: Gateway, provider: FakeProvider) -> None:
    """Nobody is signed in by a link that somebody else made."""
    await linked_user(gateway_with, provider)
    mine, theirs = await gateway_with.client(), await gateway_with.client()
    address = provider.authorize(await send_to_provider(mine))
    assert (await theirs.get(address)).headers["location"] == "/login"
    await send_to_provider(theirs)
    assert (await theirs.get(address)).headers["location"] == "/login"
    assert provider.token_requests == provider.token_requests[:1], "no code is exchanged for a stranger"
    assert is_in(await mine.get(address)), "and the true one is not ended by it"


@pytest.mark.parametrize("query", ["", "code=x", "code=x&state=", "code=x&state=" + "a" * 43])
async def test_an_answer_to_no_question_is_sent_to_the_log_in(
    gateway_with: Gateway, provider: FakeProvider, query: str
) -> None:
    client = await gateway_with.client()
    await send_to_provider(client)
    assert (await client.get(f"{CALLBACK}?{query}")).headers["location"] == "/login"
    assert "token" not in provider.asked


async def test_a_parameter_that_is_there_twice_is_none(gateway_with: Gateway, provider: FakeProvider) -> None:
    await linked_user(gateway_with, provider)
    client = await gateway_with.client()
    address = provider.authorize(await send_to_provider(client))
    assert (await client.get(f"{address}&code=other")).status_code == 403


async def test_redis_holds_no_token_and_forgets_within_minutes(gateway_with: Gateway) -> None:
    client = await gateway_with.client()
    query = await send_to_provider(client)
    [key] = [key async for key in gateway_with.redis.scan_iter(f"{KEY_PREFIX}*")]
    kept = str(await gateway_with.redis.get(key))
    assert client.cookies["broadsheet_provider_visit"] not in kept + str(key)
    assert query["state"] not in kept + str(key)
    assert 0 < await gateway_with.redis.ttl(key) <= 600


async def test_a_stranger_is_told_and_nothing_is_made(gateway_with: Gateway, provider: FakeProvider) -> None:
    await gateway_with.signed_in()
    answer = await sign_in(await gateway_with.client(), provider)
    assert answer.status_code == 403
    assert "belongs to no user here" in answer.text
    assert reasons(gateway_with) == ["not_linked"]
    assert gateway_with.sql("SELECT count(*) FROM gateway.user_account") == [(1,)]


async def test_an_address_makes_nobody_somebody_else(make: MakeWithProvider, provider: FakeProvider) -> None:
    """Also one that the provider says it has verified, and where users are made."""
    gateway = await make(oidc_create_users=True, oidc_group_roles="press=analyst")
    await gateway.add_user("grace")
    gateway.sql("UPDATE gateway.user_account SET email = 'grace@example.com', email_key = 'grace@example.com'")
    provider.claims = {
        "email": "Grace@example.com", "email_verified": True, "preferred_username": "grace", "groups": ["press"],
    }  # fmt: skip
    assert is_in(await sign_in(await gateway.client(), provider))
    made, email = gateway.sql("SELECT username, email FROM gateway.user_account ORDER BY id")[-1]
    assert made.startswith("grace-")
    assert email is None
    assert roles_of(gateway, "grace") == ["owner"]
    assert roles_of(gateway, made) == ["analyst"]


async def test_a_deactivated_user_is_refused_and_keeps_the_roles(
    make: MakeWithProvider, provider: FakeProvider
) -> None:
    gateway = await make(oidc_group_roles="press=editor")
    await gateway.add_user("owner")
    await linked_user(gateway, provider)
    gateway.sql("UPDATE gateway.user_account SET deactivated_at = now() WHERE username = 'author'")
    provider.claims = {"groups": ["press"]}
    client = await gateway.client()
    assert (await sign_in(client, provider)).headers["location"] == "/login"
    assert not await is_signed_in(client)
    assert reasons(gateway) == ["deactivated"]
    assert roles_of(gateway, "author") == ["owner"]


async def _with_factor(gateway: Gateway, provider: FakeProvider) -> Authenticator:
    await linked_user(gateway, provider)
    authenticator, _ = await set_up(gateway, await gateway.signed_in())
    return authenticator


@pytest.mark.parametrize("trusts", [False, True])
async def test_the_second_factor_is_asked_for_all_the_same(
    make: MakeWithProvider, provider: FakeProvider, trusts: bool
) -> None:
    """Whatever the provider says; and where it is trusted, if it says nothing."""
    gateway = await make(oidc_trusts_second_factor=trusts)
    authenticator = await _with_factor(gateway, provider)
    provider.claims = {} if trusts else MFA
    client = await gateway.client()
    assert (await sign_in(client, provider)).headers["location"] == "/login/second-factor"
    assert not await is_signed_in(client)
    assert (await give(client, authenticator.code())).status_code == 303
    assert await is_signed_in(client)
    assert entries(gateway)[-1][-1] == {"method": "oidc+totp"}


async def test_a_provider_that_is_trusted_with_it_vouches_for_the_second_factor(
    make: MakeWithProvider, provider: FakeProvider
) -> None:
    gateway = await make(oidc_trusts_second_factor=True)
    await _with_factor(gateway, provider)
    provider.claims = MFA
    client = await gateway.client()
    assert is_in(await sign_in(client, provider))
    assert await is_signed_in(client)


@pytest.mark.parametrize(("trusts", "claims", "is_open"), [(True, MFA, True), (True, {}, False), (False, MFA, False)])
async def test_who_must_have_a_second_factor_has_one_if_a_trusted_provider_says_so(
    make: MakeWithProvider, provider: FakeProvider, trusts: bool, claims: dict[str, list[str]], is_open: bool
) -> None:
    gateway = await make(oidc_trusts_second_factor=trusts)
    await linked_user(gateway, provider)
    gateway.sql("INSERT INTO gateway.second_factor_requirement (newsletter_id) VALUES (NULL)")
    provider.claims = dict(claims)
    client = await gateway.client()
    assert is_in(await sign_in(client, provider))
    page = await client.get("/admin/password", headers={"accept": "text/html"})
    assert (page.status_code == 200) is is_open
    if not is_open:
        assert page.headers["location"] == "/admin/account/second-factor"


@pytest.mark.parametrize(("age_s", "is_fresh"), [(0, True), (800, True), (2000, False), (None, False), (-600, False)])
async def test_a_proof_at_the_provider_is_as_fresh_as_it_says(
    gateway_with: Gateway, provider: FakeProvider, age_s: int | None, is_fresh: bool
) -> None:
    await linked_user(gateway_with, provider)
    [(now,)] = gateway_with.sql("SELECT extract(epoch FROM clock_timestamp())::bigint")
    provider.claims = {"auth_time": None if age_s is None else now - age_s}
    client = await gateway_with.client()
    assert (await send_to_provider(client))["max_age"] == "900"
    assert is_in(await sign_in(client, provider))
    page = await client.get("/admin/account/second-factor", headers={"accept": "text/html"})
    assert (page.status_code == 200) is is_fresh


async def test_the_way_to_the_provider_is_limited_by_source(make: MakeWithProvider) -> None:
    gateway = await make(login_limit_per_ip="2/300")
    client = await gateway.client(address="203.0.113.9")
    assert [(await client.get(LOGIN)).status_code for _ in range(3)] == [303, 303, 429]
    assert (await (await gateway.client(address="203.0.113.10")).get(LOGIN)).status_code == 303


async def test_neither_the_log_nor_the_audit_log_names_the_account(
    gateway_with: Gateway, provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.claims = {"email": "grace@example.com", "email_verified": True}
    await linked_user(gateway_with, provider)
    assert is_in(await sign_in(await gateway_with.client(), provider))
    written = "".join(capsys.readouterr()) + str(entries(gateway_with))
    assert provider.subject not in written
    assert "grace@" not in written


async def test_the_address_is_the_one_that_is_set(gateway_with: Gateway) -> None:
    client: httpx.AsyncClient = await gateway_with.client(host="attacker.example")
    assert (await send_to_provider(client))["redirect_uri"] == f"http://127.0.0.1:8081{CALLBACK}"


async def test_the_page_of_the_answer_tells_no_other_site_its_address(
    gateway_with: Gateway, provider: FakeProvider
) -> None:
    client = await gateway_with.client()
    answer = await come_back(client, provider, await send_to_provider(client))
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
