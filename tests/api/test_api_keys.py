"""Keys through the API: made once, limited, rotated, revoked, and watched."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from broadsheet_gateway.access.rights import Grant
from harness.system import System
from harness.waiting import eventually

READER = {"name": "reader", "scopes": ["issues:read", "reports:read"]}


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def make(system: System, **changes: object) -> dict[str, Any]:
    answer = await system.api.post("/api/v1/api-keys", json=READER | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def holder(system: System, key: str) -> Any:
    return system.client(authorization=f"Bearer {key}")


async def status(system: System, key: str, path: str = "/api/v1/issues") -> int:
    async with holder(system, key) as client:
        answer: httpx.Response = await client.get(path)
        return answer.status_code


async def test_a_key_is_shown_once_and_does_what_its_scopes_name(system: System) -> None:
    answer = await system.api.post("/api/v1/api-keys", json=READER)
    made = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert made["key"].startswith(made["prefix"] + "_")
    assert made["scopes"] == ["issues:read", "reports:read"]
    assert await status(system, made["key"]) == 200
    assert await status(system, made["key"], "/api/v1/subscribers") == 403
    shown = (await system.api.get(f"/api/v1/api-keys/{made['id']}")).json()
    assert "key" not in shown
    listed = (await system.api.get("/api/v1/api-keys")).text
    assert made["prefix"] in listed
    assert made["key"] not in listed
    stored = system.seed.execute("SELECT array_agg(key::text) FROM gateway.api_key AS key")
    assert made["key"] not in str(stored)


async def test_a_name_is_used_once_for_a_user(system: System) -> None:
    await make(system)
    assert problem(await system.api.post("/api/v1/api-keys", json=READER)) == (409, "key-name-taken")
    other = await make(system, name="other")
    renamed = await system.api.patch(f"/api/v1/api-keys/{other['id']}", json={"name": "  reader of  2 "})
    assert renamed.json()["name"] == "reader of 2"
    assert problem(await system.api.patch(f"/api/v1/api-keys/{other['id']}", json={"name": "reader"}))[0] == 409


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["issues:read", "issues:delete"]}, "/scopes/1"),
        ({"scopes": ["public"]}, "/scopes/0"),
        ({"name": "\u202e"}, "/name"),
        ({"newsletter_ids": []}, "/newsletter_ids"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "/expires_at"),
    ],
)
async def test_what_is_no_key_is_refused_at_its_field(system: System, change: dict[str, Any], pointer: str) -> None:
    answer = await system.api.post("/api/v1/api-keys", json=READER | change)
    assert answer.status_code in {400, 422}
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}


async def test_nobody_makes_a_key_that_can_do_more_than_they_can(system: System) -> None:
    _, eve = await system.add_user("eve", Grant("editor"))
    async with holder(system, eve) as client:
        refused = await client.post("/api/v1/api-keys", json=READER | {"scopes": ["issues:read", "issues:publish"]})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/scopes/1")
        group = await client.post("/api/v1/api-keys", json=READER | {"scopes": ["all"]})
        assert "issues:write" in group.json()["scopes"]
        assert "issues:publish" not in group.json()["scopes"]
        narrow = (await client.post("/api/v1/api-keys", json={"name": "n", "scopes": ["keys:write"]})).json()["key"]
    async with holder(system, narrow) as client:
        wider = await client.post("/api/v1/api-keys", json={"name": "w", "scopes": ["issues:read"]})
        assert wider.status_code == 422, "a key makes no key with scopes that it has not itself"


async def test_a_key_for_one_newsletter_makes_none_for_others(system: System) -> None:
    other = (await system.api.post("/api/v1/newsletters", json={"name": "Other", "slug": "other"})).json()["id"]
    maker = await make(system, name="maker", scopes=["keys:write", "issues:read"], newsletter_ids=[other])
    async with holder(system, maker["key"]) as client:
        for ids in (None, [1], [1, other]):
            wider = {"name": "wider", "scopes": ["issues:read"], "newsletter_ids": ids}
            refused = await client.post("/api/v1/api-keys", json=wider)
            assert refused.status_code == 422, ids
            assert refused.json()["errors"][0]["pointer"] == "/newsletter_ids"
        as_wide = {"name": "same", "scopes": ["issues:read"], "newsletter_ids": [other]}
        assert (await client.post("/api/v1/api-keys", json=as_wide)).status_code == 201


async def test_a_key_that_expires_makes_none_that_lasts_longer(system: System) -> None:
    soon, later = ((datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (1, 2))
    maker = await make(system, name="maker", scopes=["keys:write", "issues:read"], expires_at=soon)
    async with holder(system, maker["key"]) as client:
        for expires_at in (None, later):
            longer = {"name": "longer", "scopes": ["issues:read"], "expires_at": expires_at}
            refused = await client.post("/api/v1/api-keys", json=longer)
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/expires_at")
        as_long = {"name": "same", "scopes": ["issues:read"], "expires_at": soon}
        assert (await client.post("/api/v1/api-keys", json=as_long)).status_code == 201


async def test_a_key_gets_no_secret_of_a_key_that_can_do_more(system: System) -> None:
    """Rotating shows a secret: with it a narrow key would become a wide one."""
    wide = await make(system, name="wide", scopes=["issues:read", "subscribers:read", "keys:write"])
    lasting = await make(system, name="lasting", scopes=["keys:write"])
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    narrow = await make(system, name="narrow", scopes=["keys:write"], expires_at=soon)
    bound = await make(system, name="bound", scopes=["keys:write"], newsletter_ids=[1])
    for held, wanted in [(narrow, wide), (narrow, lasting), (bound, lasting), (lasting, wide)]:
        async with holder(system, held["key"]) as client:
            refused = await client.post(f"/api/v1/api-keys/{wanted['id']}/rotate", json={})
            assert problem(refused) == (403, "forbidden"), (held["name"], wanted["name"])
    async with holder(system, lasting["key"]) as client:
        for wanted in (narrow, bound, lasting):
            assert (await client.post(f"/api/v1/api-keys/{wanted['id']}/rotate", json={})).status_code == 200


async def test_a_key_for_one_newsletter_opens_no_other(system: System) -> None:
    other = (await system.api.post("/api/v1/newsletters", json={"name": "Other", "slug": "other"})).json()["id"]
    for newsletter_id in (None, other):
        await system.api.post("/api/v1/issues", json={"title": "An issue", "newsletter_id": newsletter_id})
    made = await make(system, newsletter_ids=[other, other])
    assert made["newsletter_ids"] == [other]
    async with holder(system, made["key"]) as client:
        [issue] = (await client.get("/api/v1/issues")).json()["items"]
    assert issue["newsletter_id"] == other


async def test_a_rotated_key_has_two_secrets_for_a_while(system: System) -> None:
    made = await make(system)
    rotated = (await system.api.post(f"/api/v1/api-keys/{made['id']}/rotate", json={"overlap_s": 3600})).json()
    assert rotated["prefix"] == made["prefix"]
    assert rotated["key"] != made["key"]
    assert rotated["previous_expires_at"] is not None
    assert await status(system, rotated["key"]) == 200
    assert await status(system, made["key"]) == 200
    again = (await system.api.post(f"/api/v1/api-keys/{made['id']}/rotate", json={"overlap_s": 0})).json()
    assert [await status(system, one["key"]) for one in (made, rotated, again)] == [401, 401, 200]


async def test_a_revoked_key_is_refused_for_good(system: System) -> None:
    made = await make(system)
    first = await system.api.post(f"/api/v1/api-keys/{made['id']}/revoke")
    assert first.json()["revoked_at"] is not None
    assert await status(system, made["key"]) == 401
    again = await system.api.post(f"/api/v1/api-keys/{made['id']}/revoke")
    assert again.json()["revoked_at"] == first.json()["revoked_at"]
    assert problem(await system.api.post(f"/api/v1/api-keys/{made['id']}/rotate", json={})) == (409, "key-revoked")


async def test_an_expired_key_is_refused(system: System) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = await make(system, expires_at=soon)
    assert await status(system, made["key"]) == 200
    system.seed.execute("UPDATE gateway.api_key SET expires_at = now() WHERE id = %s", (made["id"],))
    assert await status(system, made["key"]) == 401


async def test_keys_of_others_are_seen_and_revoked_by_owners_alone(system: System) -> None:
    user_id, eve = await system.add_user("eve", Grant("editor"))
    mine = await make(system)
    async with holder(system, eve) as client:
        [own] = (await client.get("/api/v1/api-keys")).json()["items"]
        assert own["user_id"] == user_id
        assert (await client.get("/api/v1/api-keys", params={"all": "true"})).status_code == 403
        for method, path in (
            ("GET", ""),
            ("PATCH", ""),
            ("POST", "/rotate"),
            ("POST", "/revoke"),
            ("GET", "/uses"),
        ):
            body: dict[str, Any] = {"json": {"name": "x"} if method == "PATCH" else {}} if method != "GET" else {}
            answer = await client.request(method, f"/api/v1/api-keys/{mine['id']}{path}", **body)
            assert answer.status_code == 404, path
    everybodys = (await system.api.get("/api/v1/api-keys", params={"all": "true"})).json()["items"]
    assert {own["id"], mine["id"]} <= {one["id"] for one in everybodys}
    assert problem(await system.api.post(f"/api/v1/api-keys/{own['id']}/rotate", json={}))[0] == 404
    assert (await system.api.post(f"/api/v1/api-keys/{own['id']}/revoke")).status_code == 200


async def test_uses_are_counted_by_day_and_source(system: System) -> None:
    made = await make(system)
    for _ in range(3):
        assert await status(system, made["key"]) == 200
    path = f"/api/v1/api-keys/{made['id']}"

    async def counted() -> bool:
        return bool((await system.api.get(f"{path}/uses")).json()["items"])

    await eventually(counted, what="the uses are written")
    uses = (await system.api.get(f"{path}/uses")).json()["items"]
    assert [(one["source"], one["requests"]) for one in uses] == [("127.0.0.1", 3)]
    assert (await system.api.get(path)).json()["last_used_at"] is not None
