"""The audit log through the API: pages, filters, and the file."""

import asyncio
import json
from typing import Any

import pytest

from broadsheet_gateway.access.rights import Grant
from harness.system import System
from harness.waiting import eventually


async def entries(system: System, **query: str) -> list[dict[str, Any]]:
    answer = await system.api.get("/api/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def change_something(system: System) -> int:
    made = await system.api.post("/api/v1/issues", json={"title": "A private title"})
    issue_id: int = made.json()["id"]

    async def is_there() -> bool:
        return bool(await entries(system, target_kind="issue", target_id=str(issue_id)))

    await eventually(is_there, what="the entry is chained")
    return issue_id


async def test_a_change_is_found_by_its_target_its_actor_and_its_time(system: System) -> None:
    issue_id = await change_something(system)
    [entry] = await entries(system, target_kind="issue", target_id=str(issue_id))
    assert (entry["action"], entry["service"]) == ("issue.created", "publishing")
    assert entry["actor"].startswith("key:")
    assert entry["person"].startswith("user:")
    assert entry["source"] == "127.0.0.1"
    assert "A private title" not in json.dumps(entry)
    for query in ({"actor": entry["actor"]}, {"person": entry["person"]}, {"action": "issue.created"}):
        assert entry["number"] in {one["number"] for one in await entries(system, **query)}
    assert entry["number"] in {one["number"] for one in await entries(system, since=entry["at"])}
    assert entry["number"] not in {one["number"] for one in await entries(system, until=entry["at"])}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [({"since": "2026-01-01T00:00:00"}, "/since"), ({"action": "issue.eaten"}, "/action"), ({"until": "x"}, "/until")],
)
async def test_a_filter_that_is_none_is_named(system: System, query: dict[str, str], pointer: str) -> None:
    for path in ("/api/v1/audit", "/api/v1/audit/export"):
        answer = await system.api.get(path, params=query)
        assert answer.status_code == 400
        assert pointer in {error["pointer"] for error in answer.json()["errors"]}


async def test_pages_lose_nothing_and_the_file_holds_the_same(system: System) -> None:
    for _ in range(3):
        await change_something(system)
    last = (await entries(system, limit="1"))[0]["number"]
    found: list[int] = []
    query = {"limit": "2"}
    for _ in range(200):
        page = (await system.api.get("/api/v1/audit", params=query)).json()
        found += [one["number"] for one in page["items"] if one["number"] <= last]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    file = await system.api.get("/api/v1/audit/export")
    assert (file.status_code, file.headers["content-type"]) == (200, "application/jsonl")
    lines = [json.loads(line)["number"] for line in file.text.splitlines()]
    assert [number for number in lines if number <= last] == sorted(found)
    assert len(set(found)) == len(found)


async def test_users_keys_and_sessions_leave_entries(system: System) -> None:
    user_id, _ = await system.add_user("eve", Grant("editor"))
    path = f"/api/v1/users/{user_id}"
    tag = (await system.api.get(path)).headers["etag"]
    await system.api.patch(path, json={"roles": [{"role": "analyst"}]}, headers={"If-Match": tag})
    await system.api.post(f"{path}/end-sessions")
    await system.api.post(f"{path}/deactivate")
    await system.api.post(f"{path}/reactivate")
    key = (await system.api.post("/api/v1/api-keys", json={"name": "k", "scopes": ["issues:read"]})).json()
    for step in ("rotate", "revoke"):
        assert (await system.api.post(f"/api/v1/api-keys/{key['id']}/{step}", json={})).status_code == 200
    wanted = {
        ("user", str(user_id)): {
            "user.roles_changed", "user.sessions_ended", "user.deactivated", "user.reactivated",
        },
        ("key", str(key["id"])): {"key.created", "key.rotated", "key.revoked"},
    }  # fmt: skip
    for (kind, target_id), actions in wanted.items():

        async def is_there(kind: str = kind, target_id: str = target_id, actions: set[str] = actions) -> bool:
            found = await entries(system, target_kind=kind, target_id=target_id)
            return actions <= {one["action"] for one in found}

        await eventually(is_there, what=f"{kind} has {actions}")
    everything = (await system.api.get("/api/v1/audit/export")).text
    assert key["key"] not in everything
    assert "eve" not in everything


async def test_reading_needs_its_own_permission(system: System) -> None:
    _, support = await system.add_user("sue", Grant("support"))
    async with system.client(authorization=f"Bearer {support}") as client:
        answers = await asyncio.gather(client.get("/api/v1/audit"), client.get("/api/v1/audit/export"))
    assert [answer.status_code for answer in answers] == [403, 403]
