"""Exports: all of the list, as CSV that no spreadsheet runs and an import takes back, or as JSON lines."""

import csv
import io
import json
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from broadsheet_subscriptions.attributes.attribute import AttributeType, AttributeValue, parse_tag, read_value
from broadsheet_subscriptions.exports.export_subscribers import ExportFilter, export_csv, export_json_lines
from broadsheet_subscriptions.subscribers.subscriber_name import SubscriberName
from broadsheet_subscriptions.subscribers.subscription import State
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for
from ..importing import Importing

# By name: type and label. The first ones are called as columns are that mean something else.
ATTRIBUTES: dict[str, tuple[AttributeType, str]] = {
    "name": ("text", "Email"),
    "mail": ("text", "Tags"),
    "first_name": ("text", "first"),
    "created_at": ("date", "city"),
    "city": ("text", "Created at"),
    "age": ("number", "Age"),
    "vip": ("boolean", "VIP"),
}
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", "''+", "'"]


@pytest.fixture
def importing(subscriptions: Subscriptions) -> Importing:
    return Importing(subscriptions)


async def export(subscriptions: Subscriptions, **query: Any) -> str:
    response = await subscriptions.client.get(
        "/api/v1/exports/subscribers", params=query, headers=subscriptions.identity("read")
    )
    assert response.status_code == 200, response.text
    return response.content.decode()


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@st.composite
def _values(draw: st.DrawFn, type_: AttributeType) -> AttributeValue:
    texts = st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
        st.sampled_from([*FORMULAS, "a,b", 'say "x"', "line\nline", "line\r\nline", "\U0001f600", " "]),
    )
    match type_:
        case "text":
            return read_value("text", draw(texts))
        case "number":
            numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
            return read_value("number", draw(numbers))
        case "boolean":
            return draw(st.booleans())
        case "date":
            return draw(st.dates()).isoformat()


def _name(text: str) -> str:
    try:
        return SubscriberName.parse(text)
    except ValueError:
        return ""


def _tags(texts: list[str]) -> list[str]:
    tags: dict[str, None] = {}
    for text in texts:
        try:
            tags[parse_tag(text)] = None
        except ValueError:
            continue
    return list(tags)


_NAMES = st.one_of(st.text(max_size=20), st.sampled_from(FORMULAS)).map(_name)
_TAGS = st.lists(
    st.one_of(st.text(min_size=1, max_size=15), st.sampled_from(["a,b", "a;b", "[x]", '"', "\U0001f600"])), max_size=4
).map(_tags)
_STATES: st.SearchStrategy[State] = st.sampled_from(["pending", "confirmed", "unsubscribed"])
_PEOPLE = st.lists(
    st.tuples(
        _NAMES,
        st.fixed_dictionaries({}, optional={name: _values(type_) for name, (type_, _) in ATTRIBUTES.items()}),
        _TAGS,
        _STATES,
    ),
    min_size=1,
    max_size=12,
)
_SELECT = """
SELECT email, name, attributes, tags, state FROM subscriptions.subscriber AS person
  JOIN subscriptions.subscription ON subscriber_id = person.id ORDER BY email
"""


def _fill(owner_url: str, people: list[Any]) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("TRUNCATE subscriptions.subscriber, subscriptions.subscriber_tag CASCADE")
        for number, (name, attributes, tags, state) in enumerate(people):
            row = connection.execute(
                "INSERT INTO subscriptions.subscriber (email, email_key, name, attributes, tags) "
                "VALUES (%(email)s, %(email)s, %(name)s, %(attributes)s, %(tags)s) RETURNING id",
                {
                    "email": f"+reader-{number:02}@example.com",
                    "name": name,
                    "attributes": Jsonb(attributes),
                    "tags": tags,
                },
            ).fetchone()
            assert row is not None
            connection.execute(
                "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, "
                "unsubscribed_at) SELECT 1, %(id)s, %(state)s, CASE %(state)s WHEN 'confirmed' THEN now() END, "
                "CASE %(state)s WHEN 'unsubscribed' THEN now() END",
                {"id": row[0], "state": state},
            )


# The app's background loops, in a thread of their own, take random waits while Hypothesis draws.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@given(_PEOPLE, st.integers(1, 5))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_what_is_exported_and_imported_again_is_what_was_there(
    subscriptions: Subscriptions, importing: Importing, database: Database, people: list[Any], page_people: int
) -> None:
    subscriptions.rows("DELETE FROM subscriptions.attribute")
    for name, (type_, label) in ATTRIBUTES.items():
        importing.add_attribute(name, type_, label)
    _fill(subscriptions.owner_url, people)
    before = subscriptions.rows(_SELECT)
    engine = engine_for(database)
    try:
        pieces = [piece async for piece in export_csv(engine, ExportFilter(1, None), page_people=page_people)]
    finally:
        await engine.dispose()
    text = b"".join(pieces).decode()
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows_of(text) for cell in row)
    _fill(subscriptions.owner_url, [])
    found = await importing.run(text)
    if found["undecided_columns"]:  # an attribute or a tag may be a word such as "invalid": then somebody decides
        mapping = {title: target for title, target in found["mapping"].items() if target is not None}
        found = await importing.run(text, mapping=json.dumps(mapping))
    assert (found["counts"]["created"], found["counts"]["rows"]) == (len(people), len(people))
    assert subscriptions.rows(_SELECT) == before


async def test_everybody_is_in_it_once_whatever_the_size_of_the_pages(
    subscriptions: Subscriptions, database: Database
) -> None:
    _fill(subscriptions.owner_url, [("", {}, [], "confirmed") for _ in range(23)])
    engine = engine_for(database)
    try:
        for page_people in (1, 5, 23, 24):
            lines = [
                line
                async for piece in export_json_lines(engine, ExportFilter(None, None), page_people=page_people)
                for line in piece.splitlines()
            ]
            assert [json.loads(line)["email"] for line in lines] == [f"+reader-{n:02}@example.com" for n in range(23)]
    finally:
        await engine.dispose()


async def test_a_newsletter_and_a_state_choose_who_is_in_it(subscriptions: Subscriptions) -> None:
    second = subscriptions.add_newsletter("second")
    await subscriptions.subscribe_and_confirm("ada@example.com")
    await subscriptions.sign_up("bob@example.com")
    await subscriptions.public("subscriptions", email="bob@example.com", name="Bob", newsletter_id=second)

    async def found(**query: Any) -> list[str]:
        of_csv = [row[0] for row in rows_of(await export(subscriptions, **query))[1:]]
        lines = (await export(subscriptions, format="jsonl", **query)).splitlines()
        assert [json.loads(line)["email"] for line in lines] == of_csv
        return of_csv

    assert await found() == ["ada@example.com", "bob@example.com"]
    assert await found(newsletter_id=second) == ["bob@example.com"]
    assert await found(newsletter_id=1, state="confirmed") == ["ada@example.com"]
    assert await found(state="pending") == ["bob@example.com"]
    assert await found(newsletter_id=second, state="confirmed") == []
    assert await found(newsletter_id=77) == []


async def test_a_line_of_json_holds_all_that_is_known_of_a_person(
    subscriptions: Subscriptions, importing: Importing
) -> None:
    importing.add_attribute("city")
    importing.add_attribute("gone")
    done = await importing.run("email,name,city,gone,tags\nada@example.com,Ada,Wien,x,news\n")
    subscriptions.rows("UPDATE subscriptions.attribute SET removed_at = now() WHERE name = 'gone'")
    person = json.loads(await export(subscriptions, format="jsonl"))
    [held] = person.pop("subscriptions")
    assert (held["newsletter_id"], held["state"], held["import_id"]) == (1, "confirmed", done["id"])
    assert held["confirmed_at"] == held["created_at"]
    del person["id"], person["created_at"]
    assert person == {"email": "ada@example.com", "name": "Ada", "attributes": {"city": "Wien"}, "tags": ["news"]}
    titles, cells = rows_of(await export(subscriptions))
    assert titles == ["email", "name", "tags", "city", "created_at", "subscriptions"]
    assert cells[:4] == ["ada@example.com", "Ada", '["news"]', "Wien"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"format": "xlsx"}, "/format"), ({"state": "gone"}, "/state"), ({"newsletter_id": 0}, "/newsletter_id"),
        ({"newsletter_id": 2**63}, "/newsletter_id"),
    ],
    ids=str,
)  # fmt: skip
async def test_an_export_of_something_else_is_refused(
    subscriptions: Subscriptions, query: dict[str, Any], pointer: str
) -> None:
    response = await subscriptions.client.get(
        "/api/v1/exports/subscribers", params=query, headers=subscriptions.identity("read")
    )
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, pointer)
