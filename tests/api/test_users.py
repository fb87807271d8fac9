"""Users as owners change them: roles, deactivation, and the owner who always remains."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from broadsheet_gateway.access.rights import Grant
from harness.system import PASSWORD, USERNAME, System

OWNER = {"role": "owner", "newsletter_id": None}


async def owner_id(system: System) -> int:
    [owner] = [one for one in (await system.api.get("/api/v1/users")).json()["items"] if one["username"] == USERNAME]
    found: int = owner["id"]
    return found


async def change(system: System, user_id: int, **values: object) -> httpx.Response:
    tag = (await system.api.get(f"/api/v1/users/{user_id}")).headers["etag"]
    return await system.api.patch(f"/api/v1/users/{user_id}", json=values, headers={"If-Match": tag})


def _problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@asynccontextmanager
async def signed_in(system: System, username: str) -> AsyncIterator[httpx.AsyncClient]:
    async with system.client() as client:
        answer = await client.post("/login", data={"username": username, "password": PASSWORD})
        assert answer.headers["location"] == "/admin/dashboard"
        yield client


async def test_users_are_listed_with_their_roles_and_without_secrets(system: System) -> None:
    editor, _ = await system.add_user("eve", Grant("editor", 1), Grant("analyst"))
    page = (await system.api.get("/api/v1/users")).json()
    [shown] = [one for one in page["items"] if one["id"] == editor]
    assert shown == {
        "id": editor,
        "username": "eve",
        "name": "",
        "email": None,
        "roles": [{"role": "analyst", "newsletter_id": None}, {"role": "editor", "newsletter_id": 1}],
        "has_second_factor": False,
        "created_at": shown["created_at"],
        "deactivated_at": None,
    }


async def test_pages_of_users_lose_nobody(system: System) -> None:
    expected = {await owner_id(system), *[(await system.add_user(f"user{n}"))[0] for n in range(3)]}
    found: list[int] = []
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": "1", **({"cursor": cursor} if cursor else {})}
        page = (await system.api.get("/api/v1/users", params=query)).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert (set(found), len(found)) == (expected, len(expected))


async def test_a_change_needs_the_version_that_was_read(system: System) -> None:
    user_id, _ = await system.add_user("eve", Grant("editor"))
    path = f"/api/v1/users/{user_id}"
    assert _problem(await system.api.patch(path, json={"name": "Eve"})) == (428, "precondition-required")
    tag = (await system.api.get(path)).headers["etag"]
    first = await system.api.patch(path, json={"name": "Eve"}, headers={"If-Match": tag})
    assert (first.status_code, first.json()["name"], first.json()["roles"]) == (
        200, "Eve", [{"role": "editor", "newsletter_id": None}],
    )  # fmt: skip
    assert _problem(await system.api.patch(path, json={"name": "E"}, headers={"If-Match": tag}))[0] == 412


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"roles": [{"role": "king"}]}, "/roles/0/role"),
        ({"roles": [{"role": "editor", "newsletter_id": 0}]}, "/roles/0/newsletter_id"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": "a\u202eb"}, "/name"),
        ({"username": "other"}, ""),
    ],
)
async def test_what_is_no_user_is_refused_at_its_field(system: System, body: dict[str, Any], pointer: str) -> None:
    user_id, _ = await system.add_user("eve", Grant("editor"))
    answer = await change(system, user_id, **body)
    assert answer.status_code in {400, 422}
    errors = answer.json().get("errors", [])
    assert pointer in {error["pointer"] for error in errors} or not pointer
    assert (await system.api.get(f"/api/v1/users/{user_id}")).json()["name"] == ""


async def test_a_role_counts_from_the_next_request_of_a_session(system: System) -> None:
    user_id, _ = await system.add_user("eve")
    async with signed_in(system, "eve") as eve:
        assert (await eve.get("/api/v1/issues")).status_code == 403
        assert (await change(system, user_id, roles=[{"role": "editor"}])).status_code == 200
        assert (await eve.get("/api/v1/issues")).status_code == 200
        assert (await change(system, user_id, roles=[])).status_code == 200
        assert (await eve.get("/api/v1/issues")).status_code == 403


async def test_a_deactivated_user_is_out_at_once_and_may_come_back(system: System) -> None:
    user_id, key = await system.add_user("eve", Grant("editor"))
    async with signed_in(system, "eve") as eve:
        assert (await eve.get("/api/v1/issues")).status_code == 200
        gone = await system.api.post(f"/api/v1/users/{user_id}/deactivate")
        assert (gone.status_code, gone.json()["deactivated_at"] is not None) == (200, True)
        assert (await eve.get("/api/v1/issues")).status_code == 401
        again = await system.api.post(f"/api/v1/users/{user_id}/deactivate")
        assert again.json()["deactivated_at"] == gone.json()["deactivated_at"]
    async with system.client(authorization=f"Bearer {key}") as client:
        assert (await client.get("/api/v1/issues")).status_code == 401
    async with system.client() as client:
        refused = await client.post("/login", data={"username": "eve", "password": PASSWORD})
        assert refused.headers["location"] == "/login"
    back = await system.api.post(f"/api/v1/users/{user_id}/reactivate")
    assert (back.status_code, back.json()["deactivated_at"]) == (200, None)
    async with signed_in(system, "eve") as eve:
        assert (await eve.get("/api/v1/issues")).status_code == 200


async def test_an_owner_signs_somebody_out_everywhere(system: System) -> None:
    user_id, key = await system.add_user("eve", Grant("editor"))
    async with signed_in(system, "eve") as eve, signed_in(system, "eve") as elsewhere:
        assert (await system.api.post(f"/api/v1/users/{user_id}/end-sessions")).status_code == 204
        for client in (eve, elsewhere):
            assert (await client.get("/api/v1/issues")).status_code == 401
    async with signed_in(system, "eve") as again, system.client(authorization=f"Bearer {key}") as by_key:
        for client in (again, by_key):
            assert (await client.get("/api/v1/issues")).status_code == 200
    assert (await system.api.post("/api/v1/users/987654321/end-sessions")).status_code == 404


async def test_the_last_owner_stays_an_owner(system: System) -> None:
    """Case 31: neither removed nor locked out."""
    first = await owner_id(system)
    second, _ = await system.add_user("second", Grant("owner", 1), Grant("editor"))
    assert _problem(await change(system, first, roles=[])) == (409, "last-owner")
    assert _problem(await change(system, first, roles=[{"role": "owner", "newsletter_id": 1}])) == (409, "last-owner")
    assert _problem(await system.api.post(f"/api/v1/users/{first}/deactivate")) == (409, "last-owner")
    assert (await system.api.get(f"/api/v1/users/{first}")).json()["roles"] == [OWNER]

    assert (await change(system, second, roles=[OWNER])).status_code == 200
    assert (await system.api.post(f"/api/v1/users/{second}/deactivate")).status_code == 200
    assert _problem(await change(system, first, roles=[])) == (409, "last-owner"), "a deactivated owner is none"


async def test_of_two_owners_who_remove_each_other_one_remains(system: System) -> None:
    first = await owner_id(system)
    second, _ = await system.add_user("second", Grant("owner"))
    answers = await asyncio.gather(
        *(system.api.post(f"/api/v1/users/{user_id}/deactivate") for user_id in (first, second) for _ in range(5))
    )
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    left = system.seed.execute(
        "SELECT count(*) FROM gateway.user_account JOIN gateway.user_role ON user_id = user_account.id"
        " WHERE role = 'owner' AND deactivated_at IS NULL"
    )
    assert left == [(1,)]
