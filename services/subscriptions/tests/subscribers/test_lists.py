"""The list of subscribers: what it is filtered by, and that its pages lose and repeat nobody."""

from typing import Any

import pytest

from broadsheet_subscriptions.subscribers import list_subscribers as module

from ..conftest import Subscriptions


def _fill(subscriptions: Subscriptions) -> None:
    """Eight people; the second newsletter has one of them confirmed and one gone."""
    second = subscriptions.add_newsletter("second")
    assert second == 2
    subscriptions.rows("""
        INSERT INTO subscriptions.subscriber (email, email_key, name, tags)
        VALUES ('ada@example.com', 'ada@example.com', 'Ada Lovelace', '{vip}'),
               ('adam@example.com', 'adam@example.com', 'Adam', '{vip,new}'),
               ('bob_a@example.com', 'bob_a@example.com', 'Bob Lovett', '{}'),
               ('bobxa@example.com', 'bobxa@example.com', 'Élodie Adams', '{new}'),
               ('zoe@example.com', 'zoe@example.com', 'Zoe %% Percent', '{}'),
               ('eve@example.com', 'eve@example.com', 'Ada Adair', '{}')
    """)
    subscriptions.rows("""
        INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
        SELECT 1, id, CASE WHEN mod(id, 3) = 0 THEN 'pending' ELSE 'confirmed' END, now(), NULL
          FROM subscriptions.subscriber
         UNION ALL
        SELECT 2, id, CASE WHEN name = 'Adam' THEN 'confirmed' ELSE 'unsubscribed' END, now(), now()
          FROM subscriptions.subscriber WHERE name IN ('Adam', 'Ada Adair')
    """)


async def _names(subscriptions: Subscriptions, *, limit: int = 50, **query: Any) -> list[str]:
    """Over all pages."""
    names: list[str] = []
    cursor: str | None = None
    for _ in range(100):
        page = await subscriptions.get("", limit=limit, **query, **({"cursor": cursor} if cursor else {}))
        assert page.status_code == 200, page.text
        names += [item["name"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return names
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_each_filter_finds_its_people_in_its_order_whatever_the_size_of_a_page(
    subscriptions: Subscriptions, limit: int
) -> None:
    _fill(subscriptions)

    async def names(**query: Any) -> list[str]:
        return await _names(subscriptions, limit=limit, **query)

    newest = ["Ada Adair", "Zoe % Percent", "Élodie Adams", "Bob Lovett", "Adam", "Ada Lovelace"]
    assert await names() == newest
    assert await names(tag="vip") == ["Adam", "Ada Lovelace"]
    assert await names(tag="none") == []
    assert await names(newsletter_id=2) == ["Ada Adair", "Adam"]
    assert await names(newsletter_id=2, state="confirmed") == ["Adam"]
    assert await names(newsletter_id=2, state="unsubscribed") == ["Ada Adair"]
    assert await names(state="confirmed") == ["Zoe % Percent", "Élodie Adams", "Adam", "Ada Lovelace"]
    assert await names(state="pending") == ["Ada Adair", "Bob Lovett"]
    assert await names(state="unsubscribed") == ["Ada Adair"]
    assert await names(newsletter_id=3) == []
    # In the order of addresses; _ is no wildcard.
    assert await names(email_prefix="AD") == ["Ada Lovelace", "Adam"]
    assert await names(email_prefix="bob_") == ["Bob Lovett"]
    assert await names(email_prefix="x") == []
    # In the order of what begins so: the whole name, or its last word.
    assert await names(name_prefix="ada") == ["Ada Adair", "Ada Lovelace", "Adam", "Élodie Adams"]
    assert await names(name_prefix="ada l") == ["Ada Lovelace"]
    assert await names(name_prefix="LOVE") == ["Ada Lovelace", "Bob Lovett"]
    assert await names(name_prefix="él") == ["Élodie Adams"]
    assert await names(name_prefix="%") == []
    # Several at once.
    assert await names(name_prefix="ada", tag="new") == ["Adam", "Élodie Adams"]
    assert await names(email_prefix="a", name_prefix="ada l") == ["Ada Lovelace"]
    assert await names(tag="vip", newsletter_id=2, state="confirmed") == ["Adam"]
    assert await names(tag="new", state="unsubscribed") == []
    assert await names(email="ada@example.com", tag="vip", state="confirmed") == ["Ada Lovelace"]


async def test_a_page_looks_at_a_bounded_number_and_the_next_one_goes_on(
    subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FIRST_LOOK", 2), ("LATER_LOOK", 2), ("CANDIDATES_MAX", 4)):
        monkeypatch.setattr(module, name, value)
    _fill(subscriptions)
    first = (await subscriptions.get("", tag="vip", newsletter_id=1, limit=1)).json()
    assert [item["name"] for item in first["items"]] == ["Adam"]
    search = {"filter": {"field": "name", "op": "eq", "value": "ada lovelace"}, "limit": 1}
    answer = (await subscriptions.api("POST", "subscribers/search", search)).json()
    assert (answer["items"], answer["next_cursor"] is None) == ([], False)
    after = (await subscriptions.api("POST", "subscribers/search", search | {"cursor": answer["next_cursor"]})).json()
    assert [item["name"] for item in after["items"]] == ["Ada Lovelace"]
    assert after["next_cursor"] is None


@pytest.mark.parametrize(
    "order", [{}, {"email_prefix": "reader"}, {"name_prefix": "reader"}, {"tag": "t"}, {"state": "confirmed"}]
)
async def test_pages_are_stable_while_people_come_change_and_go(
    subscriptions: Subscriptions, order: dict[str, str]
) -> None:
    """120 rows of three moments in pages of 20; meanwhile others are added in front, behind and between, and erased."""
    subscriptions.rows("""
        WITH added AS (
            INSERT INTO subscriptions.subscriber (email, email_key, name, tags, created_at)
            SELECT 'reader-' || n || '@example.com', 'reader-' || n || '@example.com', 'Reader ' || n %% 3, '{t}',
                   timestamptz '2026-01-01 12:00Z' + make_interval(days => n %% 3)
              FROM generate_series(1, 120) AS n RETURNING id)
        INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
        SELECT 1, id, 'confirmed', now() FROM added
    """)
    kept = {int(row[0]) for row in subscriptions.rows("SELECT id FROM subscriptions.subscriber WHERE id > 1")}
    seen: list[int] = []
    cursor: str | None = None
    for round_ in range(20):
        page = (await subscriptions.get("", limit=20, **order, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        subscriptions.rows(
            "WITH added AS (INSERT INTO subscriptions.subscriber (email, email_key, name, tags) "
            "SELECT k || '-' || %s, k || '-' || %s, k, '{t}' FROM unnest(ARRAY['reader', 'reader-5', 'zz']) AS k "
            "RETURNING id) INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at) "
            "SELECT 1, id, 'confirmed', now() FROM added",
            round_,
            round_,
        )
        if round_ == 0:
            subscriptions.rows("DELETE FROM subscriptions.subscriber WHERE id = %s", seen[-1])
            subscriptions.rows("UPDATE subscriptions.subscriber SET attributes = '{\"a\": 1}', created_at = now()")
    assert cursor is None
    assert len(seen) == len(set(seen)), "nobody twice"
    assert kept <= set(seen) | {1}, "nobody skipped"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"tag": ""}, 400),
        ({"tag": "x" * 101}, 400),
        ({"tag": "a\0"}, 400),
        ({"tag": " "}, 422),
        ({"email_prefix": ""}, 400),
        ({"email_prefix": "a\0"}, 400),
        ({"name_prefix": "x" * 65}, 400),
        ({"name_prefix": "\0"}, 400),
        ({"segment_id": 0}, 400),
        ({"segment_id": 2**63}, 400),
        ({"segment_id": 77}, 422),
        ({"cursor": "djE6MQ", "email_prefix": "a"}, 400),
        ({"cursor": "djI6MTph"}, 400),
        ({"cursor": "djI6MToA", "name_prefix": "a"}, 400),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    shared_subscriptions: Subscriptions, query: dict[str, object], status: int
) -> None:
    response = await shared_subscriptions.get("", **query)
    assert response.status_code == status, response.text
    (problem,) = response.json()["errors"]
    assert problem["pointer"] == f"/{next(iter(query))}"


async def test_who_has_a_tag_is_known_however_many_tags_come_at_once(subscriptions: Subscriptions) -> None:
    subscriptions.rows(
        """
        INSERT INTO subscriptions.subscriber (email, email_key, name, tags)
        SELECT name || '@example.com', name || '@example.com', name, tags
          FROM (VALUES ('none', '{}'::text[]), ('one', '{a}'), ('two', '{a,b}'), ('twice', '{b,b}'))
            AS given (name, tags)
        """
    )
    found = subscriptions.rows(
        "SELECT tag, name FROM subscriptions.subscriber_tag JOIN subscriptions.subscriber ON id = subscriber_id "
        "ORDER BY tag, name"
    )
    assert found == [("a", "one"), ("a", "two"), ("b", "twice"), ("b", "two")]
