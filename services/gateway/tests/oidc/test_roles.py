"""Groups at the provider give roles here, beside those that were given by hand; users are made where that is set."""

import asyncio

import pytest

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.oidc.configuration import parse_group_roles
from harness.owner import AUDIT_LOG

from ..accounts.test_audited_sign_ins import entries
from ..conftest import Gateway
from .conftest import MakeWithProvider, is_in, linked_user, reasons, roles_of, sign_in
from .provider import FakeProvider

MAPPING = "press=editor; press=analyst:3; chiefs=owner; cn=desk,ou=news=publisher:4"


@pytest.fixture
async def mapped(make: MakeWithProvider, provider: FakeProvider) -> Gateway:
    """With a linked user `grace` who has no role by hand, and an owner beside."""
    gateway = await make(oidc_group_roles=MAPPING)
    await gateway.add_user("owner")
    await linked_user(gateway, provider, "grace")
    gateway.sql("DELETE FROM gateway.user_role WHERE user_id = (SELECT max(id) FROM gateway.user_account)")
    return gateway


async def come_in(gateway: Gateway, provider: FakeProvider, *groups: str) -> list[str]:
    """The roles of `grace` after a sign-in with these groups."""
    provider.claims = {"groups": list(groups)}
    assert is_in(await sign_in(await gateway.client(), provider))
    return roles_of(gateway, "grace")


async def test_groups_give_roles_and_take_them(mapped: Gateway, provider: FakeProvider) -> None:
    assert await come_in(mapped, provider, "press", "unknown") == ["analyst:3", "editor"]
    assert await come_in(mapped, provider, "cn=desk,ou=news") == ["publisher:4"]
    assert await come_in(mapped, provider) == []
    changed = [entry for entry in entries(mapped) if entry[0] == "user.roles_changed"]
    assert [(entry[1], entry[-1]["roles"]) for entry in changed] == [
        ("provider", ["analyst:3", "editor"]),
        ("provider", ["publisher:4"]),
        ("provider", []),
    ]


async def test_a_token_without_groups_gives_none(mapped: Gateway, provider: FakeProvider) -> None:
    assert await come_in(mapped, provider, "press")
    provider.claims = {}
    assert is_in(await sign_in(await mapped.client(), provider))
    assert roles_of(mapped, "grace") == []


async def test_one_group_may_be_a_text(mapped: Gateway, provider: FakeProvider) -> None:
    provider.claims = {"groups": "chiefs"}
    assert is_in(await sign_in(await mapped.client(), provider))
    assert roles_of(mapped, "grace") == ["owner"]


async def test_roles_that_were_given_by_hand_stay(mapped: Gateway, provider: FakeProvider) -> None:
    for role in ("support", "editor"):
        mapped.sql("INSERT INTO gateway.user_role (user_id, role) SELECT max(id), %s FROM gateway.user_account", role)
    assert await come_in(mapped, provider, "press") == ["analyst:3", "editor", "support"]
    assert await come_in(mapped, provider) == ["editor", "support"]


async def test_a_sign_in_that_changes_no_role_is_no_change(mapped: Gateway, provider: FakeProvider) -> None:
    await come_in(mapped, provider, "press")
    count = [entry[0] for entry in entries(mapped)].count("user.roles_changed")
    await come_in(mapped, provider, "press")
    assert [entry[0] for entry in entries(mapped)].count("user.roles_changed") == count


async def test_the_last_owner_stays_one_until_there_is_another(mapped: Gateway, provider: FakeProvider) -> None:
    await come_in(mapped, provider, "chiefs")
    mapped.sql("DELETE FROM gateway.user_role WHERE user_id = (SELECT min(id) FROM gateway.user_account)")
    assert await come_in(mapped, provider, "press") == ["analyst:3", "editor", "owner"]
    mapped.sql("INSERT INTO gateway.user_role (user_id, role) SELECT min(id), 'owner' FROM gateway.user_account")
    assert await come_in(mapped, provider, "press") == ["analyst:3", "editor"]


async def test_sign_ins_at_once_leave_the_roles_of_one_of_them(mapped: Gateway, provider: FakeProvider) -> None:
    provider.claims = {"groups": ["press"]}
    clients = [await mapped.client() for _ in range(4)]
    assert all(is_in(answer) for answer in await asyncio.gather(*(sign_in(client, provider) for client in clients)))
    assert roles_of(mapped, "grace") == ["analyst:3", "editor"]
    assert await come_in(mapped, provider) == [], "none of them counts as given by hand"


@pytest.fixture
async def making(make: MakeWithProvider) -> Gateway:
    """A gateway that makes users of who is in a group."""
    gateway = await make(oidc_group_roles=MAPPING, oidc_create_users=True)
    await gateway.add_user("owner")
    return gateway


async def test_somebody_in_a_group_becomes_a_user(making: Gateway, provider: FakeProvider) -> None:
    provider.claims = {
        "groups": ["press"], "preferred_username": "grace@guild.example", "name": " Grace  Hopper ",
        "email": "Grace@Example.com", "email_verified": True,
    }  # fmt: skip
    client = await making.client()
    assert is_in(await sign_in(client, provider))
    [row] = making.sql(
        "SELECT username, name, email_key, password_hash FROM gateway.user_account WHERE username <> 'owner'"
    )
    assert row == ("grace", "Grace Hopper", "grace@example.com", None)
    assert roles_of(making, "grace") == ["analyst:3", "editor"]
    assert is_in(await sign_in(await making.client(), provider))
    assert making.sql("SELECT count(*) FROM gateway.user_account") == [(2,)]
    recorded = making.sql(f"SELECT action, actor FROM {AUDIT_LOG} WHERE actor = 'provider'")
    assert {("user.created", "provider"), ("user.provider_linked", "provider")} <= set(recorded)


@pytest.mark.parametrize("claims", [{}, {"groups": []}, {"groups": ["unknown"]}, {"groups": ["PRESS", "press "]}])
async def test_who_is_in_no_group_that_is_set_is_told_and_not_made(
    making: Gateway, provider: FakeProvider, claims: dict[str, list[str]]
) -> None:
    provider.claims = dict(claims)
    answer = await sign_in(await making.client(), provider)
    assert (answer.status_code, "is in no group that may come in here" in answer.text) == (403, True)
    assert reasons(making) == ["no_group"]
    assert making.sql("SELECT count(*) FROM gateway.user_account") == [(1,)]


@pytest.mark.parametrize(
    "claims",
    [
        {"preferred_username": "", "name": "\u0007", "email": "grace@example.com"},
        {"preferred_username": "x" * 5000, "name": "x" * 5000, "email": "no address", "email_verified": True},
        {"preferred_username": ["a"], "name": 7, "email": 7, "email_verified": "true"},
        {"preferred_username": "OWNER", "name": "\u0000", "email": "grace@example.com", "email_verified": False},
    ],
)
async def test_a_user_is_made_without_what_cannot_be_kept(
    making: Gateway, provider: FakeProvider, claims: dict[str, object]
) -> None:
    provider.claims = {"groups": ["press"], **claims}
    assert is_in(await sign_in(await making.client(), provider))
    [(username, name, email)] = making.sql(
        "SELECT username, name, email FROM gateway.user_account WHERE username <> 'owner'"
    )
    assert (name, email) == ("", None)
    assert username.startswith(("user-", "OWNER-"))


async def test_of_several_first_sign_ins_at_once_one_makes_the_user(making: Gateway, provider: FakeProvider) -> None:
    provider.claims = {"groups": ["press"], "preferred_username": "grace"}
    clients = [await making.client() for _ in range(4)]
    assert all(is_in(answer) for answer in await asyncio.gather(*(sign_in(client, provider) for client in clients)))
    assert making.sql("SELECT count(*) FROM gateway.user_account") == [(2,)]


def test_a_mapping_is_read() -> None:
    assert parse_group_roles(MAPPING) == {
        "press": (Grant("editor"), Grant("analyst", 3)),
        "chiefs": (Grant("owner"),),
        "cn=desk,ou=news": (Grant("publisher", 4),),
    }
    assert parse_group_roles(" ; ") == {}


@pytest.mark.parametrize("text", ["press", "=editor", "press=", "press=chief", "press=editor:0", "press=editor:x"])
def test_a_mapping_that_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^entry 2"):
        parse_group_roles(f"a=owner; {text}")


def test_a_mapping_has_a_bound() -> None:
    with pytest.raises(ValueError, match="500"):
        parse_group_roles("a=owner;" * 501)
