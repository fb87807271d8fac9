"""Linking one's user to an account at the provider, and ending that."""

import pytest

from ..accounts.test_audited_sign_ins import entries
from ..conftest import Gateway, csrf_token_of
from .conftest import PAGE, MakeWithProvider, asked_of_provider, come_back, is_in, link, linked_user, roles_of, sign_in
from .provider import FakeProvider

HTML = {"accept": "text/html"}


async def unlink(gateway: Gateway, username: str = "author") -> str:
    """What the page says then."""
    client = await gateway.signed_in(username)
    answer = await client.post(f"{PAGE}/unlink", data={"csrf_token": await csrf_token_of(client)})
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    return (await client.get(PAGE)).text


async def test_a_user_links_an_account_and_ends_the_link(gateway_with: Gateway, provider: FakeProvider) -> None:
    client = await gateway_with.signed_in()
    assert "Link to the Guild" in (await client.get(PAGE)).text
    assert (await link(client, provider)).headers["location"] == PAGE
    page = (await client.get(PAGE)).text
    assert "Your user is linked" in page
    assert "End the link" in page
    assert "The link is ended" in await unlink(gateway_with)
    assert (await sign_in(await gateway_with.client(), provider)).status_code == 403
    said = [(action, after) for action, *_, after in entries(gateway_with) if "provider" in action]
    host = provider.issuer.removeprefix("http://")
    assert said == [("user.provider_linked", {"provider": host}), ("user.provider_unlinked", {"provider": host})]


async def test_linking_and_its_end_are_told_by_mail(gateway_with: Gateway, provider: FakeProvider) -> None:
    client = await gateway_with.signed_in()
    gateway_with.sql("UPDATE gateway.user_account SET email = 'ada@example.com', email_key = 'ada@example.com'")
    gateway_with.sql("DELETE FROM delivery.single_mail")
    for _ in range(2):  # the second changes nothing
        await link(client, provider)
    for _ in range(2):
        await unlink(gateway_with)
    mails = gateway_with.sql("SELECT kind, to_email, subject, text_body FROM delivery.single_mail ORDER BY id")
    assert [mail[:3] for mail in mails] == [
        ("account_notice", "ada@example.com", "Your account was linked to the Guild"),
        ("account_notice", "ada@example.com", "Your account is no longer linked to the Guild"),
    ]
    assert all("http" not in text for *_, text in mails)


async def test_the_page_on_the_way_goes_on_by_itself_and_by_a_link(gateway_with: Gateway) -> None:
    """A redirect would be held to the policy's `form-action 'self'`."""
    client = await gateway_with.signed_in()
    page = await client.post(f"{PAGE}/link", data={"csrf_token": await csrf_token_of(client)})
    address = page.headers["refresh"].removeprefix("0; url=")
    assert page.status_code == 200
    assert asked_of_provider(address)["state"]
    assert f'href="{address.replace("&", "&amp;")}"' in page.text


async def test_another_site_cannot_begin_a_link(gateway_with: Gateway) -> None:
    client = await gateway_with.signed_in()
    token = await csrf_token_of(client)
    for path in (f"{PAGE}/link", f"{PAGE}/unlink"):
        cross = await client.post(path, data={"csrf_token": token}, headers={"sec-fetch-site": "cross-site"})
        assert cross.status_code == 403
        forged = await client.post(path, data={"csrf_token": "x"}, headers={"sec-fetch-site": "same-origin"})
        assert forged.status_code == 403
    assert (await client.get(f"{PAGE}/link")).status_code == 405


async def test_a_link_belongs_to_the_session_that_asked(gateway_with: Gateway, provider: FakeProvider) -> None:
    """In the same browser, somebody else may have signed in meanwhile."""
    client = await gateway_with.signed_in()
    page = await client.post(f"{PAGE}/link", data={"csrf_token": await csrf_token_of(client)})
    query = asked_of_provider(page.headers["refresh"])
    other = await gateway_with.signed_in("other")
    client.cookies.set("broadsheet_session", other.cookies["broadsheet_session"])
    client.cookies.delete("broadsheet_session", domain="127.0.0.1")
    client.cookies.set("broadsheet_session", other.cookies["broadsheet_session"], domain="127.0.0.1")
    assert (await come_back(client, provider, query)).headers["location"] == "/login"
    assert gateway_with.sql("SELECT count(*) FROM gateway.provider_link") == [(0,)]


async def test_an_account_belongs_to_one_user(gateway_with: Gateway, provider: FakeProvider) -> None:
    await linked_user(gateway_with, provider)
    other = await gateway_with.signed_in("other")
    assert (await link(other, provider)).headers["location"] == PAGE
    assert "belongs to another user" in (await other.get(PAGE)).text
    assert gateway_with.sql("SELECT user_id FROM gateway.provider_link") == [(1,)]


async def test_a_user_has_one_account_and_linking_it_again_changes_nothing(
    gateway_with: Gateway, provider: FakeProvider
) -> None:
    client = await gateway_with.signed_in()
    await link(client, provider)
    before = entries(gateway_with)
    assert (await link(client, provider)).headers["location"] == PAGE
    assert entries(gateway_with) == before
    provider.subject = "another"
    await link(client, provider)
    assert "you are linked to another account" in (await client.get(PAGE)).text


async def test_changing_a_link_needs_a_fresh_proof(make: MakeWithProvider, provider: FakeProvider) -> None:
    gateway = await make(recent_authentication_s=1)
    client = await gateway.signed_in()
    token = await csrf_token_of(client)
    gateway.sql("SELECT pg_sleep(1.2)")
    for path in (f"{PAGE}/link", f"{PAGE}/unlink"):
        answer = await client.post(path, data={"csrf_token": token})
        assert answer.headers["location"] == f"/admin/confirm?next={PAGE}"
    page = (await client.get(PAGE)).text
    assert "confirm that it is you" in page
    assert "End the link" not in page
    assert provider.asked == []
    assert "log in again with the Guild" in (await client.get("/admin/confirm")).text


@pytest.fixture
async def made(make: MakeWithProvider, provider: FakeProvider) -> Gateway:
    """Where `grace` came by the provider, without a password; the owner beside has one."""
    gateway = await make(oidc_create_users=True, oidc_group_roles="press=editor; chiefs=owner")
    await gateway.add_user("owner")
    provider.claims = {"groups": ["press"], "preferred_username": "grace"}
    return gateway


async def test_the_only_way_in_stays(made: Gateway, provider: FakeProvider) -> None:
    client = await made.client()
    assert is_in(await sign_in(client, provider))
    form = {"csrf_token": await csrf_token_of(client)}
    await client.post(f"{PAGE}/unlink", data=form)
    assert "You could not come in any more" in (await client.get(PAGE)).text
    assert is_in(await sign_in(await made.client(), provider))
    made.sql("UPDATE gateway.user_account SET email = 'g@example.com', email_key = 'g@example.com' WHERE id = 2")
    await client.post(f"{PAGE}/unlink", data=form)
    assert "The link is ended" in (await client.get(PAGE)).text
    assert made.sql("SELECT count(*) FROM gateway.provider_link") == [(0,)]


async def test_roles_of_groups_go_with_the_link(made: Gateway, provider: FakeProvider) -> None:
    """Nobody keeps them by ending it before the group ends."""
    await linked_user(made, provider, "author")
    assert is_in(await sign_in(await made.client(), provider))
    assert roles_of(made, "author") == ["editor", "owner"]
    page = (await (await made.signed_in("author")).get(PAGE)).text
    assert "<code>editor</code>" in page
    assert "The link is ended" in await unlink(made)
    assert roles_of(made, "author") == ["owner"]


async def test_who_is_the_last_owner_by_the_provider_alone_keeps_the_link(
    made: Gateway, provider: FakeProvider
) -> None:
    await linked_user(made, provider, "author")
    made.sql("DELETE FROM gateway.user_role")
    provider.claims = {"groups": ["chiefs"]}
    assert is_in(await sign_in(await made.client(), provider))
    assert "This is the last owner" in await unlink(made)
    assert roles_of(made, "author") == ["owner"]
    assert made.sql("SELECT count(*) FROM gateway.provider_link") == [(1,)]


async def test_without_a_session_there_is_no_link_page(gateway_with: Gateway) -> None:
    assert (await (await gateway_with.client()).get(PAGE, headers=HTML)).headers["location"] == "/login"
