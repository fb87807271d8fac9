"""Invitations as owners send, list and withdraw them."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
import structlog

from broadsheet_gateway.access.rights import Grant
from broadsheet_gateway.accounts.create_user import create_user
from broadsheet_gateway.invitations import invite as inviting_module

from ..conftest import PASSWORD, Gateway, MakeGateway
from .inviting import ADDRESS, EDITOR, INVITATIONS, Owner, accept, links, owner_of, recorded, warm_up


async def test_somebody_is_invited_and_the_mail_goes_to_them_alone(gateway: Gateway, owner: Owner) -> None:
    ((since,),) = gateway.sql("SELECT clock_timestamp()")
    with structlog.testing.capture_logs() as logged:
        made = await owner.invite(" Grace@EXAMPLE.com ")
    assert made.status_code == 201
    shown = made.json()
    assert {name: shown[name] for name in ("email", "name", "roles", "invited_by", "state")} == {
        "email": "Grace@example.com", "name": "Grace", "roles": [EDITOR], "invited_by": 1, "state": "open",
    }  # fmt: skip
    lifetime = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["sent_at"])
    assert lifetime.days == 7
    assert gateway.sql("SELECT to_email, subject FROM delivery.single_mail") == [
        ("Grace@example.com", "An account for you at 127.0.0.1")
    ]
    assert await owner.listed() == [shown]
    assert recorded(gateway, since) == [
        ("user.invited", "user:1", None, {"roles": ["editor:3"], "invitation_id": shown["id"]})
    ]
    (link,) = links(gateway)
    token = link.rpartition("/")[2]
    for secret in (token, "race@"):
        assert secret not in str(logged)
    assert token not in str(gateway.sql("SELECT * FROM gateway.invitation"))


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"email": "grace"}, "/email"),
        ({"email": "grace@localhost"}, "/email"),
        ({"roles": []}, "/roles"),
        ({"roles": [{"role": "king"}]}, "/roles/0/role"),
        ({"roles": [{"role": "editor", "newsletter_id": 0}]}, "/roles/0/newsletter_id"),
        ({"name": "a\u0007b"}, "/name"),
        ({"name": "x" * 201}, "/name"),
    ],
)
async def test_what_is_no_invitation_is_refused_at_its_field(
    gateway: Gateway, owner: Owner, changed: dict[str, Any], pointer: str
) -> None:
    body = {"email": ADDRESS, "name": "Grace", "roles": [EDITOR]} | changed
    refused = await owner.client.post(INVITATIONS, json=body, headers=owner.headers)
    assert refused.status_code in {400, 422}
    assert pointer in {error["pointer"] for error in refused.json()["errors"]}
    assert gateway.sql("SELECT count(*) FROM gateway.invitation") == [(0,)]


async def test_who_is_a_user_already_is_not_invited(gateway: Gateway, owner: Owner) -> None:
    gateway.sql("UPDATE gateway.user_account SET email = 'Grace@example.com', email_key = 'grace@example.com'")
    refused = await owner.invite("GRACE@example.com")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/email")
    assert links(gateway) == []


async def test_a_second_invitation_takes_the_place_of_the_first_after_a_while(gateway: Gateway, owner: Owner) -> None:
    first = (await owner.invite()).json()
    early = await owner.invite("GRACE@example.com")
    assert early.status_code == 429
    assert 1 <= int(early.headers["retry-after"]) <= 60
    warm_up(gateway)
    second = (await owner.invite("GRACE@example.com", {"role": "analyst"})).json()
    assert second["id"] != first["id"]
    assert [one["id"] for one in await owner.listed()] == [second["id"]]
    old, new = links(gateway)
    assert (await accept(gateway, old)).status_code == 410
    assert (await accept(gateway, new)).status_code == 303
    assert gateway.sql("SELECT role FROM gateway.user_role WHERE user_id = 2") == [("analyst",)]


async def test_one_is_sent_again_with_a_new_link_by_whoever_sends_it(gateway: Gateway, owner: Owner) -> None:
    first = (await owner.invite()).json()
    assert (await owner.post(f"{first['id']}/send-again")).status_code == 429
    warm_up(gateway)
    gateway.sql("UPDATE gateway.invitation SET expires_at = now()")
    assert [one["state"] for one in await owner.listed()] == ["expired"]
    other = await owner_of(gateway, "other")
    again = (await other.post(f"{first['id']}/send-again")).json()
    assert (again["state"], again["invited_by"], again["roles"], again["name"]) == ("open", 2, [EDITOR], "Grace")
    old, new = links(gateway)
    assert (await accept(gateway, old)).status_code == 410
    assert (await accept(gateway, new)).status_code == 303
    assert (await owner.post("987654321/send-again")).status_code == 404


async def test_a_withdrawn_one_opens_nothing(gateway: Gateway, owner: Owner) -> None:
    made = (await owner.invite()).json()
    ((since,),) = gateway.sql("SELECT clock_timestamp()")
    path = f"{INVITATIONS}/{made['id']}"
    assert (await owner.client.delete(path, headers=owner.headers)).status_code == 204
    assert (await owner.client.delete(path, headers=owner.headers)).status_code == 404
    assert await owner.listed() == []
    (link,) = links(gateway)
    assert (await accept(gateway, link)).status_code == 410
    assert recorded(gateway, since) == [("user.invitation_withdrawn", "user:1", None, {"invitation_id": made["id"]})]


async def test_the_number_of_invitations_has_a_bound_that_those_at_once_keep(
    gateway: Gateway, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inviting_module, "INVITATIONS_MAX", 2)
    answers = await asyncio.gather(*(owner.invite(f"grace{n}@example.com") for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["type"] == "urn:broadsheet:problem:too-many-invitations"
    # One that is there already may still be replaced.
    warm_up(gateway)
    [one, _] = await owner.listed()
    assert (await owner.invite(one["email"])).status_code == 201


async def test_of_two_for_one_address_at_once_one_is_mailed(gateway: Gateway, owner: Owner) -> None:
    answers = await asyncio.gather(*(owner.invite() for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 429, 429]
    assert len(links(gateway)) == 1


async def test_addresses_of_people_who_never_came_are_forgotten(gateway: Gateway, owner: Owner) -> None:
    await owner.invite("old@example.com")
    gateway.sql("UPDATE gateway.invitation SET expires_at = now() - interval '31 days'")
    await owner.invite("new@example.com")
    assert [one["email"] for one in await owner.listed()] == ["new@example.com"]


async def test_pages_of_invitations_lose_none(owner: Owner) -> None:
    made = [(await owner.invite(f"grace{n}@example.com")).json()["id"] for n in range(3)]
    first = (await owner.client.get(f"{INVITATIONS}?limit=2")).json()
    rest = (await owner.client.get(INVITATIONS, params={"limit": "2", "cursor": first["next_cursor"]})).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == made
    assert rest["next_cursor"] is None


async def test_who_is_no_owner_of_all_invites_nobody(gateway: Gateway) -> None:
    for username, grant in (("editor", Grant("editor")), ("limited", Grant("owner", 3))):
        await create_user(
            username=username, password=PASSWORD, may_use_default_password=False, engine=gateway.engine, grants=[grant]
        )
        somebody = await owner_of(gateway, username)
        assert (await somebody.invite()).status_code == 403
        assert (await somebody.client.get(INVITATIONS)).status_code == 403
        assert (await somebody.client.get("/admin/users")).status_code == 403
        assert "/admin/users" not in (await somebody.client.get("/admin/dashboard")).text


async def test_a_key_gives_no_role_that_allows_more_than_it(gateway: Gateway) -> None:
    """Otherwise a key for users alone would make an owner with a password of its own."""
    narrow = await gateway.api_client("users:read", "users:write", "newsletters:read", "keys:read", "keys:write",
                                      "issues:read", "reports:read")  # fmt: skip
    body = {"email": ADDRESS, "roles": [{"role": "owner"}]}
    refused = await narrow.post(INVITATIONS, json=body)
    assert refused.status_code == 403
    assert "owner" in refused.json()["detail"]
    allowed = await narrow.post(INVITATIONS, json=body | {"roles": [{"role": "analyst"}]})
    assert allowed.status_code == 201
    # The same of users: what is added counts, not what is there.
    tag = (await narrow.get("/api/v1/users/1")).headers["etag"]
    kept = await narrow.patch("/api/v1/users/1", json={"roles": [{"role": "owner"}, {"role": "analyst"}]},
                              headers={"if-match": tag})  # fmt: skip
    assert kept.status_code == 200
    more = await narrow.patch("/api/v1/users/1", json={"roles": [{"role": "owner"}, {"role": "support"}]},
                              headers={"if-match": kept.headers["etag"]})  # fmt: skip
    assert more.status_code == 403


async def test_how_long_and_how_soon_are_settings(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(invitation_lifetime_s=3600, invitation_cool_down_s=3600)
    owner = await owner_of(gateway)
    shown = (await owner.invite()).json()
    lifetime = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["sent_at"])
    assert lifetime.total_seconds() == 3600
    warm_up(gateway)
    assert (await owner.invite()).status_code == 429
