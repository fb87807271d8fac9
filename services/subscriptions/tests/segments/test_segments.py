"""Segments through the API: written, changed, counted, listed by, deleted; and trees that are wrong."""

import asyncio
import json
from typing import Any

import pytest

from ..conftest import Subscriptions

VIP = {"field": "tag", "op": "has", "value": "vip"}


async def _create(subscriptions: Subscriptions, tree: object, *, name: str = "People") -> Any:
    return await subscriptions.api("POST", "segments", {"name": name, "filter": tree})


def _people(subscriptions: Subscriptions) -> None:
    """Four with the tag: confirmed, confirmed and suppressed, pending, unsubscribed; one without a subscription."""
    subscriptions.rows("""
        INSERT INTO subscriptions.subscriber (email, email_key, name, tags, attributes)
        SELECT k || '@example.com', k || '@example.com', k, '{vip}', '{"age": 40}'
          FROM unnest(ARRAY['confirmed', 'suppressed', 'pending', 'unsubscribed', 'none']) AS k
    """)
    subscriptions.rows("""
        INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
        SELECT 1, id, CASE name WHEN 'suppressed' THEN 'confirmed' ELSE name END, now(), now()
          FROM subscriptions.subscriber WHERE name <> 'none'
    """)
    subscriptions.rows(
        "INSERT INTO delivery.suppression (message_stream, email_key, reason, source) "
        "VALUES ('broadcast', 'suppressed@example.com', 'It bounced.', 'test'), "
        "('outbound', 'confirmed@example.com', 'Another stream.', 'test')"
    )


async def test_a_segment_is_written_changed_listed_and_deleted(subscriptions: Subscriptions) -> None:
    created = await _create(subscriptions, VIP)
    assert created.status_code == 201, created.text
    path = f"segments/{created.json()['id']}"
    assert (await subscriptions.api("GET", path)).headers["etag"] == created.headers["etag"]
    second = await _create(subscriptions, {"all": []}, name="Everybody")
    taken = await subscriptions.api("PATCH", path, {"name": "Everybody"}, if_match=created.headers["etag"])
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:broadsheet:problem:segment-exists")
    assert (await subscriptions.api("PATCH", path, {"name": "x"})).status_code == 428
    changed = await subscriptions.api(
        "PATCH", path, {"filter": {"not": VIP}, "name": "Others"}, if_match=created.headers["etag"]
    )
    assert (changed.status_code, changed.json()["filter"]) == (200, {"not": VIP})
    renames = [
        subscriptions.api("PATCH", one, {"name": "Contested"}, if_match="*")
        for one in (path, f"segments/{second.json()['id']}")
    ]
    assert sorted(answer.status_code for answer in await asyncio.gather(*renames)) == [200, 409]
    stale = await subscriptions.api("PATCH", path, {"name": "x"}, if_match=created.headers["etag"])
    assert stale.status_code == 412
    first_page = (await subscriptions.api("GET", "segments?limit=1")).json()
    rest = (await subscriptions.api("GET", f"segments?cursor={first_page['next_cursor']}")).json()
    assert [one["name"] for one in first_page["items"] + rest["items"]] in (
        ["Contested", "Everybody"],
        ["Others", "Contested"],
    )
    assert (await subscriptions.api("DELETE", path)).status_code == 204
    assert (await subscriptions.api("DELETE", path)).status_code == 404
    assert (await subscriptions.api("GET", f"segments/{second.json()['id']}")).status_code == 200


async def test_a_name_is_taken_once_also_at_once_and_a_key_gives_the_first_answer(subscriptions: Subscriptions) -> None:
    answers = await asyncio.gather(*(_create(subscriptions, VIP) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    body = {"name": "Keyed", "filter": VIP}
    first = await subscriptions.api("POST", "segments", body, key="a")
    assert (await subscriptions.api("POST", "segments", body, key="a")).json() == first.json()


async def test_a_count_says_who_would_get_an_issue_and_why_the_others_would_not(subscriptions: Subscriptions) -> None:
    _people(subscriptions)
    alone = await subscriptions.api("POST", "segments/count", {"filter": VIP})
    assert alone.json() == {"matching": 5, "audience": None}
    counted = await subscriptions.api("POST", "segments/count", {"filter": VIP, "newsletter_id": 1})
    assert counted.json() == {
        "matching": 5,
        "audience": {
            "newsletter_id": 1,
            "recipients": 2,
            "suppressed": 1,
            "excluded": {"pending": 1, "unsubscribed": 1, "not_subscribed": 1},
        },
    }
    unknown = await subscriptions.api("POST", "segments/count", {"filter": VIP, "newsletter_id": 9})
    assert [one["pointer"] for one in unknown.json()["errors"]] == ["/newsletter_id"]


async def test_the_list_of_a_segment_and_a_search_show_whom_it_is_true_of(subscriptions: Subscriptions) -> None:
    _people(subscriptions)
    tree = {"all": [VIP, {"field": "subscription", "newsletter_id": 1, "state": "confirmed"}]}
    segment_id = (await _create(subscriptions, tree)).json()["id"]
    listed = (await subscriptions.get("", segment_id=segment_id)).json()
    assert [one["name"] for one in listed["items"]] == ["suppressed", "confirmed"]
    assert (await subscriptions.api("POST", "subscribers/search", {"filter": tree})).json() == listed


async def test_an_attribute_that_a_segment_asks_for_is_not_removed(subscriptions: Subscriptions) -> None:
    await subscriptions.api("POST", "attributes", {"name": "age", "type": "number"})
    tree = {"any": [{"not": {"field": "attribute", "name": "age", "op": "ge", "value": 18}}]}
    segment_id = (await _create(subscriptions, tree)).json()["id"]
    refused = await subscriptions.api("DELETE", "attributes/age")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:attribute-in-use")
    await subscriptions.api("DELETE", f"segments/{segment_id}")
    assert (await subscriptions.api("DELETE", "attributes/age")).status_code == 204
    assert (await _create(subscriptions, tree)).status_code == 422


async def test_a_segment_that_a_draft_is_to_go_to_is_not_deleted(subscriptions: Subscriptions) -> None:
    segment_id = (await _create(subscriptions, VIP)).json()["id"]
    subscriptions.rows(
        "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, segment_id) "
        "VALUES (1, 'T', 'h', 't', 'key:1', %s)",
        segment_id,
    )
    refused = await subscriptions.api("DELETE", f"segments/{segment_id}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:segment-in-use")
    subscriptions.rows("UPDATE publishing.issue SET status = 'cancelled'")
    assert (await subscriptions.api("DELETE", f"segments/{segment_id}")).status_code == 204


def _nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = VIP
    for _ in range(depth):
        tree = {"not": tree}
    return tree


def _attribute(name: str, op: str, value: object) -> dict[str, Any]:
    return {"field": "attribute", "name": name, "op": op, "value": value}


@pytest.fixture(scope="module")
async def typed(shared_subscriptions: Subscriptions) -> Subscriptions:
    """With an attribute of each type."""
    for type_ in ("text", "number", "boolean", "date"):
        await shared_subscriptions.api("POST", "attributes", {"name": f"a_{type_}", "type": type_})
    return shared_subscriptions


WRONG: list[tuple[object, str]] = [
    ({}, ""),
    ({"all": {}}, "/all"),
    ({"all": [], "any": []}, ""),
    ({"any": [VIP, 3]}, "/any/1"),
    ({"not": [VIP]}, "/not"),
    ({"all": [{"not": {"field": "tag", "op": "has", "value": ""}}]}, "/all/0/not/value"),
    ({"field": "password_hash", "op": "eq", "value": "x"}, ""),
    ({"field": "tag", "op": "has", "value": "a", "more": 1}, ""),
    ({"field": "tag", "op": "has", "value": ["a"]}, "/value"),
    ({"field": "tag", "op": "has_any", "value": ["a", "b\0"]}, "/value/1"),
    ({"field": "tag", "op": "has_any", "value": ["a"] * 1001}, "/value"),
    ({"field": "name", "op": "contains", "value": "x" * 1001}, "/value"),
    ({"field": "name", "op": "eq", "value": "\0"}, "/value"),
    ({"field": "email", "op": "eq", "value": "nobody"}, "/value"),
    ({"field": "email", "op": "domain", "value": ["example.com", "a b"]}, "/value/1"),
    ({"field": "created", "op": "before", "value": "yesterday"}, "/value"),
    ({"field": "created", "op": "before", "value": "2026-01-01T10:00:00"}, "/value"),
    ({"field": "created", "op": "since", "value": "0001-01-01T00:00:00+14:00"}, "/value"),
    ({"field": "created", "op": "within_days", "value": 0}, "/value"),
    ({"field": "created", "op": "within_days", "value": 10**30}, "/value"),
    ({"field": "confirmed", "op": "within_days", "value": 3}, ""),
    ({"field": "subscription", "newsletter_id": 2**63, "state": "confirmed"}, ""),
    ({"field": "subscription", "newsletter_id": 1, "state": "x' OR true"}, ""),
    ({"field": "engagement", "event": "opened"}, ""),
    ({"field": "engagement", "event": "opened", "issue_id": 1, "within_days": 1}, ""),
    ({"field": "engagement", "event": "opened", "within_days": 366}, "/within_days"),
    (_attribute("nothing", "eq", 1), "/name"),
    (_attribute("a_text", "ge", "a"), "/op"),
    (_attribute("a_text", "eq", None), "/value"),
    (_attribute("a_text", "eq", "\0"), "/value"),
    (_attribute("a_number", "eq", "1"), "/value"),
    (_attribute("a_number", "eq", 10**400), "/value"),
    (_attribute("a_number", "between", [1]), "/value"),
    (_attribute("a_number", "in", [1, None]), "/value/1"),
    (_attribute("a_boolean", "eq", 1), "/value"),
    (_attribute("a_date", "lt", "2026-02-30"), "/value"),
    (_attribute("a_date", "within_days", True), "/value"),
    (_attribute("a_date", "is_set", "yes"), "/value"),
    (_nested(10), "/not" * 10),
    ({"all": [VIP] * 100}, "/all/99"),
    ({"any": [{"any": [VIP] * 101}]}, "/any/0/any"),
    ({"any": [{"field": "engagement", "event": "opened", "issue_id": n} for n in range(1, 12)]}, ""),
]


@pytest.mark.parametrize(("tree", "pointer"), WRONG, ids=[f"{n}" for n in range(len(WRONG))])
async def test_a_tree_that_is_wrong_is_refused_where_it_is_wrong(
    typed: Subscriptions, tree: object, pointer: str
) -> None:
    """The same at every route that takes one."""
    for route, body in (
        ("segments", {"name": "Wrong", "filter": tree}),
        ("segments/count", {"filter": tree}),
        ("subscribers/search", {"filter": tree}),
    ):
        answer = await typed.api("POST", route, body)
        assert answer.status_code == 422, (route, answer.text)
        assert [one["pointer"] for one in answer.json()["errors"]] == [f"/filter{pointer}"], answer.text
    assert typed.rows("SELECT count(*) FROM subscriptions.segment") == [(0,)]


@pytest.mark.parametrize("text", ['{"filter": "\\ud800", "name": "x"}', '{"filter": {"\\ud800": 1}, "name": "x"}'])
async def test_half_a_character_in_a_tree_is_no_fault_of_ours(typed: Subscriptions, text: str) -> None:
    headers = typed.identity("write", "read") | {"Content-Type": "application/json"}
    answer = await typed.client.post("/api/v1/segments", content=text, headers=headers)
    assert answer.status_code in {400, 422}


async def test_all_faults_of_a_tree_are_named_at_once(typed: Subscriptions) -> None:
    tree = {"all": [_attribute("a", "eq", 1), {"not": {"field": "x"}}, VIP, _attribute("a_date", "eq", "x")]}
    answer = await typed.api("POST", "segments", {"name": " ", "filter": tree})
    assert [one["pointer"] for one in answer.json()["errors"]] == [
        "/name",
        "/filter/all/0/name",
        "/filter/all/1/not",
        "/filter/all/3/value",
    ]
    assert json.dumps(answer.json())


async def test_the_largest_tree_that_is_taken_is_counted(typed: Subscriptions) -> None:
    leaves = [{"field": "engagement", "event": "opened", "issue_id": n} for n in range(1, 11)]
    tree = {"any": [*leaves, *[_attribute("a_text", "contains", "x" * 1000)] * 88]}
    answer = await typed.api("POST", "segments/count", {"filter": tree, "newsletter_id": 1})
    assert (answer.status_code, answer.json()["matching"]) == (200, 0)
    assert (await typed.api("POST", "segments/count", {"filter": _nested(9)})).status_code == 200
