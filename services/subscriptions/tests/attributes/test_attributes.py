"""Attributes and tags: their definitions, and what subscribers have of them."""

import asyncio

import pytest

from broadsheet_subscriptions.attributes.remove_attribute_values import remove_attribute_values
from broadsheet_subscriptions.attributes.store import ATTRIBUTES_MAX
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for

ADA = {"email": "ada@example.com", "name": "Ada Lovelace"}


async def _define(subscriptions: Subscriptions, name: str, type_: str) -> None:
    answer = await subscriptions.api("POST", "attributes", {"name": name, "type": type_})
    assert answer.status_code == 201, answer.text


async def _ada(subscriptions: Subscriptions, **more: object) -> tuple[str, str]:
    """Path and ETag of a new subscriber."""
    created = await subscriptions.post("", ADA | more)
    assert created.status_code == 201, created.text
    path = f"subscribers/{created.json()['id']}"
    return path, (await subscriptions.api("GET", path)).headers["etag"]


async def test_attributes_are_defined_listed_by_name_relabelled_and_removed(subscriptions: Subscriptions) -> None:
    await _define(subscriptions, "city", "text")
    await _define(subscriptions, "age", "number")
    listed = (await subscriptions.api("GET", "attributes")).json()
    assert [(one["name"], one["type"], one["label"]) for one in listed["items"]] == [
        ("age", "number", "age"),
        ("city", "text", "city"),
    ]
    found = await subscriptions.api("GET", "attributes/city")
    changed = await subscriptions.api("PATCH", "attributes/city", {"label": " Town "}, if_match=found.headers["etag"])
    assert (changed.status_code, changed.json()["label"]) == (200, "Town")
    stale = await subscriptions.api("PATCH", "attributes/city", {"label": "x"}, if_match=found.headers["etag"])
    assert (stale.status_code, stale.headers["etag"]) == (412, changed.headers["etag"])
    assert (await subscriptions.api("PATCH", "attributes/city", {"label": "x"})).status_code == 428
    assert (await subscriptions.api("DELETE", "attributes/city")).status_code == 204
    assert (await subscriptions.api("GET", "attributes/city")).status_code == 404
    assert (await subscriptions.api("DELETE", "attributes/city")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"name": "City", "type": "text"}, 422, "/name"),
        ({"name": "", "type": "text"}, 422, "/name"),
        ({"name": "a" * 64, "type": "text"}, 422, "/name"),
        ({"name": "a\0", "type": "text"}, 422, "/name"),
        ({"name": "a", "type": "text", "label": " "}, 422, "/label"),
        ({"name": "a", "type": "text", "label": "x\0"}, 422, "/label"),
        ({"name": "a", "type": "colour"}, 400, "/type"),
    ],
)
async def test_a_definition_that_makes_no_sense_is_refused(
    shared_subscriptions: Subscriptions, body: object, status: int, pointer: str
) -> None:
    answer = await shared_subscriptions.api("POST", "attributes", body)
    assert answer.status_code == status
    assert status == 400 or [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert shared_subscriptions.rows("SELECT count(*) FROM subscriptions.attribute") == [(0,)]


async def test_a_name_is_defined_once_and_the_same_key_gives_the_same_answer(subscriptions: Subscriptions) -> None:
    body = {"name": "city", "type": "text"}
    first = await subscriptions.api("POST", "attributes", body, key="a")
    assert (await subscriptions.api("POST", "attributes", body, key="a")).json() == first.json()
    again = await subscriptions.api("POST", "attributes", body)
    assert (again.status_code, again.json()["type"]) == (409, "urn:broadsheet:problem:attribute-exists")


async def test_there_is_a_bound_on_attributes_also_at_once(subscriptions: Subscriptions) -> None:
    subscriptions.rows(
        "INSERT INTO subscriptions.attribute (name, type, label) "
        f"SELECT 'a' || n, 'text', 'x' FROM generate_series(2, {ATTRIBUTES_MAX}) AS n"
    )
    bodies = [{"name": f"b{n}", "type": "text"} for n in range(4)]
    answers = await asyncio.gather(*(subscriptions.api("POST", "attributes", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_new_subscriber_may_come_with_attributes_and_tags(subscriptions: Subscriptions) -> None:
    await _define(subscriptions, "age", "number")
    path, _ = await _ada(subscriptions, attributes={"age": 36.5}, tags=["vip", " vip ", "a,b"])
    shown = (await subscriptions.api("GET", path)).json()
    assert (shown["attributes"], shown["tags"]) == ({"age": 36.5}, ["vip", "a,b"])
    again = await subscriptions.post("", ADA | {"attributes": {"age": 1}, "tags": []})
    assert (again.status_code, again.json()["attributes"]) == (200, {"age": 36.5})


async def test_a_change_merges_attributes_and_replaces_tags(subscriptions: Subscriptions) -> None:
    for name, type_ in (("city", "text"), ("age", "number"), ("vip", "boolean"), ("born", "date")):
        await _define(subscriptions, name, type_)
    path, tag = await _ada(subscriptions, attributes={"city": "Paris", "age": 3}, tags=["old"])
    change = {"attributes": {"age": None, "vip": False, "born": "1815-12-10"}, "tags": ["new"], "name": "Ada L."}
    changed = await subscriptions.api("PATCH", path, change, if_match=tag)
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert body["attributes"] == {"city": "Paris", "vip": False, "born": "1815-12-10"}
    assert (body["name"], body["tags"], body["email"]) == ("Ada L.", ["new"], "ada@example.com")
    assert (await subscriptions.api("GET", path)).headers["etag"] == changed.headers["etag"]
    assert subscriptions.rows("SELECT tag FROM subscriptions.subscriber_tag") == [("new",)]


async def test_an_edit_needs_the_version_that_was_seen(subscriptions: Subscriptions) -> None:
    path, tag = await _ada(subscriptions)
    assert (await subscriptions.api("PATCH", path, {"tags": ["a"]})).status_code == 428
    answers = await asyncio.gather(
        *(subscriptions.api("PATCH", path, {"tags": [f"t{n}"]}, if_match=tag) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    assert (await subscriptions.api("PATCH", path, {"tags": []}, if_match="*")).status_code == 200
    assert (await subscriptions.api("PATCH", "subscribers/999", {}, if_match="*")).status_code == 404


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"attributes": {"age": "3"}}, ["/attributes/age"]),
        ({"attributes": {"age": True}}, ["/attributes/age"]),
        ({"attributes": {"age": 10**400}}, ["/attributes/age"]),
        ({"attributes": {"nothing": 1, "NO": 2}}, ["/attributes/nothing", "/attributes"]),
        ({"attributes": {"NO\0": 2}}, ["/attributes/NO\N{REPLACEMENT CHARACTER}"]),
        ({"name": "", "tags": ["", "a\x07", "x" * 101]}, ["/name", "/tags/0", "/tags/1", "/tags/2"]),
        ({"tags": ["a", "a\0"]}, ["/tags/1"]),
        ({"tags": ["a"] * 101}, ["/tags"]),
    ],
)
async def test_a_change_that_makes_no_sense_names_every_fault_and_changes_nothing(
    subscriptions: Subscriptions, change: object, pointers: list[str]
) -> None:
    await _define(subscriptions, "age", "number")
    path, tag = await _ada(subscriptions, tags=["kept"])
    answer = await subscriptions.api("PATCH", path, change, if_match=tag)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == pointers
    assert (await subscriptions.api("GET", path)).headers["etag"] == tag


async def test_a_removed_attribute_is_seen_by_nobody_and_its_values_go_before_its_name_is_free(
    subscriptions: Subscriptions, database: Database
) -> None:
    await _define(subscriptions, "city", "text")
    await _define(subscriptions, "age", "number")
    path, _ = await _ada(subscriptions, attributes={"city": "Paris", "age": 3})
    assert (await subscriptions.api("DELETE", "attributes/city")).status_code == 204
    assert (await subscriptions.api("GET", path)).json()["attributes"] == {"age": 3}
    engine = engine_for(database)
    for _ in range(3):
        await remove_attribute_values(engine, page_rows=1)
    await engine.dispose()
    assert subscriptions.rows("SELECT attributes FROM subscriptions.subscriber") == [({"age": 3},)]
    await _define(subscriptions, "city", "number")


async def test_the_index_of_tags_follows_every_change(subscriptions: Subscriptions) -> None:
    def indexed() -> list[tuple[object, ...]]:
        return subscriptions.rows("SELECT tag, subscriber_id FROM subscriptions.subscriber_tag ORDER BY 1, 2")

    ids = subscriptions.rows(
        "INSERT INTO subscriptions.subscriber (email, email_key, name, tags) VALUES "
        "('a', 'a', 'A', '{x,y,x}'), ('b', 'b', 'B', '{}'), ('c', 'c', 'C', '{x}') RETURNING id"
    )
    a, b, c = (int(row[0]) for row in ids)
    assert indexed() == [("x", a), ("x", c), ("y", a)]
    subscriptions.rows("UPDATE subscriptions.subscriber SET tags = '{y,z}' WHERE id = %s", a)
    subscriptions.rows("UPDATE subscriptions.subscriber SET tags = tags || '{z}' WHERE id = %s", b)
    assert indexed() == [("x", c), ("y", a), ("z", a), ("z", b)]
    subscriptions.rows("DELETE FROM subscriptions.subscriber WHERE id IN (%s, %s)", a, c)
    assert indexed() == [("z", b)]
