"""The SQL of a filter finds just those people of whom the filter is true, whatever tree and whoever they are."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.process.database import create_engine
from broadsheet_common.process.settings import PostgresUrl
from broadsheet_subscriptions.attributes.attribute import AttributeType
from broadsheet_subscriptions.segments.audience_store import OpenAudience, add_blocks, last_block
from broadsheet_subscriptions.segments.compile_filter import compile_filter
from broadsheet_subscriptions.segments.filter import All, HasSubscription, Node
from broadsheet_subscriptions.segments.parse_filter import parse_filter
from broadsheet_subscriptions.segments.store import AudienceCounts, count_audience
from broadsheet_subscriptions.tables import subscriber
from harness.cluster import Cluster

from .evaluate import Held, Person, is_true

TYPES: dict[str, AttributeType] = {"city": "text", "age": "number", "vip": "boolean", "born": "date"}
MOMENT = datetime(2026, 11, 25, 13, 30, tzinfo=UTC)
TODAY = MOMENT.date()

# What an attacker or a careless reader of LIKE would stumble over, and letters beyond ASCII.
texts = st.sampled_from(
    ["", "a", "A", "ab", "B%", "_", "\\", "É", "éa", "' OR true --", '"; DROP TABLE x', "$1", ":name", "%(x)s", "日本"]
)
numbers = st.sampled_from([0, -1, 1, 1.5, 2, 2.0, 0.1, 1e300, -1e-300, 2**53, 3])
days = st.integers(-40, 40).map(lambda n: (TODAY - timedelta(days=n)).isoformat())
moments = st.integers(-40, 40).map(lambda n: MOMENT - timedelta(days=n, hours=n % 5))
tags = st.sampled_from(["a", "b", "A", "c,d", "'x'"])
keys = st.sampled_from(["ada@example.com", "ab@b.example.com", "ad@example.org", '"a@b"@example.com', "a%b@x.org"])
events = st.sampled_from(["received", "opened", "clicked"])
newsletters = st.integers(1, 3)
issues = st.integers(1, 3)
counts = st.integers(1, 40)

people = st.builds(
    Person,
    email_key=keys,
    name=texts,
    created_at=moments,
    attributes=st.fixed_dictionaries({}, optional={"city": texts, "age": numbers, "vip": st.booleans(), "born": days}),
    tags=st.lists(tags, unique=True, max_size=3),
    subscriptions=st.dictionaries(
        newsletters,
        st.builds(
            lambda state, at: Held(state, at if state == "confirmed" else None),
            st.sampled_from(["pending", "confirmed", "unsubscribed"]),
            moments,
        ),
        max_size=3,
    ),
    engaged=st.frozensets(st.tuples(events, issues, days.map(date.fromisoformat)), max_size=4),
)


def leaf(field: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"field": st.just(field), **members})


def attribute(name: str, op: str | st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    ops = st.just(op) if isinstance(op, str) else op
    return leaf("attribute", name=st.just(name), op=ops, value=value)


ordered = st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"])
worded = st.sampled_from(["eq", "ne", "contains", "starts_with"])
moment_values = moments.map(lambda moment: moment.isoformat()) | days
leaves = st.one_of(
    attribute("city", worded, texts),
    attribute("city", "in", st.lists(texts, max_size=3)),
    attribute("age", ordered, numbers),
    attribute("age", "in", st.lists(numbers, max_size=3)),
    attribute("age", "between", st.lists(numbers, min_size=2, max_size=2)),
    attribute("vip", st.sampled_from(["eq", "ne"]), st.booleans()),
    attribute("born", ordered, days),
    attribute("born", "in", st.lists(days, max_size=3)),
    attribute("born", "between", st.lists(days, min_size=2, max_size=2)),
    attribute("born", "within_days", counts),
    st.sampled_from(sorted(TYPES)).flatmap(lambda name: attribute(name, "is_set", st.booleans())),
    leaf("tag", op=st.just("has"), value=tags),
    leaf("tag", op=st.sampled_from(["has_any", "has_all"]), value=st.lists(tags, max_size=3)),
    leaf("name", op=worded, value=texts),
    leaf("name", op=st.just("in"), value=st.lists(texts, max_size=3)),
    leaf("email", op=st.just("eq"), value=st.sampled_from(["ada@example.com", "ad@example.org"])),
    leaf(
        "email", op=st.just("domain"), value=st.sampled_from(["example.com", "Example.ORG", ["x.org", "example.com"]])
    ),
    leaf("email", op=st.just("starts_with"), value=st.sampled_from(["a", "AD", "a%", "_"])),
    leaf("created", op=st.sampled_from(["before", "since"]), value=moment_values),
    leaf("created", op=st.just("within_days"), value=counts),
    leaf("confirmed", newsletter_id=newsletters, op=st.sampled_from(["before", "since"]), value=moment_values),
    leaf("confirmed", newsletter_id=newsletters, op=st.just("within_days"), value=counts),
    leaf(
        "subscription",
        newsletter_id=newsletters,
        state=st.sampled_from(["pending", "confirmed", "unsubscribed", "none"]),
    ),
    leaf("engagement", event=events, issue_id=issues),
    leaf("engagement", event=events, within_days=counts),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)


class World:
    """People put into a transaction that is rolled back, as the database's owner."""

    def __init__(self, runner: asyncio.Runner, engine: AsyncEngine) -> None:
        self._runner = runner
        self._engine = engine

    def found(self, persons: list[Person], node: Node) -> list[int]:
        """Positions of the people whom the filter's SQL finds."""
        return self._runner.run(self._found(persons, [node]))[0]

    def found_by_each(self, persons: list[Person], nodes: list[Node]) -> list[list[int]]:
        return self._runner.run(self._found(persons, nodes))

    def frozen_and_counted(self, persons: list[Person], node: Node) -> tuple[list[int], AudienceCounts]:
        """Positions of the people whom an audience on newsletter 1 is frozen to, and the counts of its preview."""
        return self._runner.run(self._frozen_and_counted(persons, node))

    async def _frozen_and_counted(self, persons: list[Person], node: Node) -> tuple[list[int], AudienceCounts]:
        async with self._engine.connect() as connection:
            ids = [await _insert(connection, position, person) for position, person in enumerate(persons)]
            await connection.execute(
                sa.text(
                    "INSERT INTO subscriptions.audience (issue_id, newsletter_id, segment_id, filter) "
                    "VALUES (1, 1, 1, '{}')"
                )
            )
            held = OpenAudience(1, 1, {}, MOMENT, 0, 0)
            members = 0
            for block in range(await last_block(connection) + 1):
                step = msgspec.structs.replace(held, next_block=block)
                members += await add_blocks(connection, step, node, blocks=1)
            rows = await connection.execute(
                sa.text("SELECT block, CAST(members AS text) AS bits FROM subscriptions.audience_block")
            )
            frozen = sorted(
                ids.index(row.block * 8192 + bit) for row in rows for bit, value in enumerate(row.bits) if value == "1"
            )
            assert len(frozen) == members
            counts = await count_audience(connection, node, newsletter_id=1, stream="broadcast", moment=MOMENT)
            await connection.rollback()
        return frozen, counts

    async def _found(self, persons: list[Person], nodes: list[Node]) -> list[list[int]]:
        found: list[list[int]] = []
        async with self._engine.connect() as connection:
            ids = [await _insert(connection, position, person) for position, person in enumerate(persons)]
            for node in nodes:
                compiled = compile_filter(node, moment=MOMENT)
                rows = await connection.execute(
                    sa.select(subscriber.c.id).select_from(compiled.source).where(compiled.condition)
                )
                found.append(sorted(ids.index(subscriber_id) for subscriber_id in rows.scalars()))
            await connection.rollback()
        return found


async def _insert(connection: AsyncConnection, position: int, person: Person) -> int:
    row = await connection.execute(
        sa.text(
            "INSERT INTO subscriptions.subscriber (id, email, email_key, name, created_at, attributes, tags) "
            "OVERRIDING SYSTEM VALUE VALUES (:id, :email_key, :email_key, :name, :created_at, "
            "CAST(:attributes AS jsonb), CAST(:tags AS text[])) RETURNING id"
        ),
        {
            # In two blocks of bits, and at the ends of them.
            "id": (0, 8191, 8192, 16383, 5, 9000, *range(10_000, 10_500))[position],
            "email_key": person.email_key,
            "name": person.name,
            "created_at": person.created_at,
            "attributes": msgspec.json.encode(person.attributes).decode(),
            "tags": person.tags,
        },
    )
    subscriber_id = int(row.scalar_one())
    for newsletter_id, held in person.subscriptions.items():
        await connection.execute(
            sa.text(
                "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at, "
                "unsubscribed_at) VALUES (:newsletter_id, :id, :state, :confirmed_at, now())"
            ),
            {
                "newsletter_id": newsletter_id,
                "id": subscriber_id,
                "state": held.state,
                "confirmed_at": held.confirmed_at,
            },
        )
    for event, issue_id, day in person.engaged:
        for table, column, value in (("issue", "issue_id", issue_id), ("daily", "day", day)):
            await connection.execute(
                sa.text(
                    f"INSERT INTO delivery.{table}_engagement AS kept ({column}, event, block, members) "
                    "VALUES (:value, :event, :block, set_bit(CAST(repeat('0', 8192) AS bit(8192)), :bit, 1)) "
                    f"ON CONFLICT ({column}, event, block) DO UPDATE SET members = kept.members | excluded.members"
                ),
                {"value": value, "event": event, "block": subscriber_id // 8192, "bit": subscriber_id % 8192},
            )
    return subscriber_id


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[World]:
    with cluster.database() as database, asyncio.Runner() as runner:
        engine = create_engine(PostgresUrl(database.owner_url), application_name="test", pool_size=5, timeout_s=30)
        try:
            yield World(runner, engine)
        finally:
            runner.run(engine.dispose())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, persons=st.lists(people, min_size=1, max_size=6, unique_by=lambda person: person.email_key))
def test_the_sql_finds_whom_the_filter_is_true_of(world: World, tree: dict[str, Any], persons: list[Person]) -> None:
    node = parse_filter(tree, TYPES)
    expected = [position for position, person in enumerate(persons) if is_true(node, person, moment=MOMENT)]
    assert world.found(persons, node) == expected
    # And the complement finds all the others: no leaf is ever unknown.
    others = parse_filter({"not": tree}, TYPES)
    assert world.found(persons, others) == [n for n in range(len(persons)) if n not in expected]


TEXTS = ["", "a", "A", "ab", "B%", "_", "\\", "É", "éa", "' OR true --", "ba"]
NUMBERS = [0, -1, 1, 1.5, 2, 2.0, 0.1, 1e300, 2**53]
DAYS = [(TODAY - timedelta(days=n)).isoformat() for n in (-1, 0, 1, 7, 8, 30, 31)]
INSTANTS = [MOMENT - timedelta(days=n, microseconds=micro) for n in (-1, 0, 7, 30) for micro in (-1, 0, 1)]
STATES = ["pending", "confirmed", "unsubscribed"]


def _crowd() -> list[Person]:
    """One who has nothing, and one for each value at which a comparison might be off by one."""
    nobody = Person("x@x.org", "", datetime(2000, 1, 1, tzinfo=UTC), {}, [], {}, frozenset())
    ways: list[dict[str, Any]] = [{}]
    ways += [{"attributes": {"city": text}, "name": text} for text in TEXTS]
    ways += [{"attributes": {"age": number}} for number in NUMBERS]
    ways += [{"attributes": {"vip": value}} for value in (True, False)]
    ways += [
        {"attributes": {"born": day}, "engaged": frozenset({("opened", 1, date.fromisoformat(day))})} for day in DAYS
    ]
    ways += [{"engaged": frozenset({(event, 2, TODAY)})} for event in ("received", "clicked")]
    ways += [{"created_at": at, "subscriptions": {1: Held("confirmed", at)}} for at in INSTANTS]
    ways += [{"subscriptions": {1: Held(state, MOMENT), 2: Held("pending", None)}} for state in STATES]
    ways += [{"tags": tags} for tags in (["a"], ["a", "b"], ["A"], ["c,d"])]
    ways += [{"email_key": key} for key in ("ada@example.com", "ad@example.org", '"a@b"@example.com', "a%b@y.org")]
    persons = [msgspec.structs.replace(nobody, email_key=f"x{n}@x.org") for n in range(len(ways))]
    return [msgspec.structs.replace(person, **way) for person, way in zip(persons, ways, strict=True)]


def _every_leaf() -> list[dict[str, Any]]:
    def attribute_leaf(name: str, op: str, value: object) -> dict[str, Any]:
        return {"field": "attribute", "name": name, "op": op, "value": value}

    found = [attribute_leaf(name, "is_set", wanted) for name in TYPES for wanted in (True, False)]
    worded_ops = ("eq", "ne", "contains", "starts_with")
    found += [attribute_leaf("city", op, text) for op in worded_ops for text in TEXTS]
    found += [{"field": "name", "op": op, "value": text} for op in worded_ops for text in TEXTS]
    found += [attribute_leaf("city", "in", TEXTS[n : n + 2]) for n in range(len(TEXTS))]
    found += [{"field": "name", "op": "in", "value": TEXTS[n : n + 2]} for n in range(len(TEXTS))]
    for name, values in (("age", NUMBERS), ("born", DAYS)):
        found += [attribute_leaf(name, op, value) for op in ("eq", "ne", "lt", "le", "gt", "ge") for value in values]
        found += [attribute_leaf(name, "between", [low, high]) for low in values for high in values]
        found += [attribute_leaf(name, "in", list(values[n : n + 2])) for n in range(len(values))]
    found += [attribute_leaf("vip", op, value) for op in ("eq", "ne") for value in (True, False)]
    found += [attribute_leaf("born", "within_days", n) for n in (1, 7, 30)]
    for where in ({"field": "created"}, {"field": "confirmed", "newsletter_id": 1}):
        found += [{**where, "op": op, "value": at.isoformat()} for op in ("before", "since") for at in INSTANTS]
        found += [{**where, "op": op, "value": day} for op in ("before", "since") for day in DAYS]
        found += [{**where, "op": "within_days", "value": n} for n in (1, 7, 30)]
    found += [
        {"field": "subscription", "newsletter_id": on, "state": state}
        for on in (1, 2, 3)
        for state in [*STATES, "none"]
    ]
    for event in ("received", "opened", "clicked"):
        found += [{"field": "engagement", "event": event, "issue_id": issue_id} for issue_id in (1, 2, 3)]
        found += [{"field": "engagement", "event": event, "within_days": n} for n in (1, 7, 30)]
    found += [{"field": "tag", "op": "has", "value": tag} for tag in ("a", "b", "A", "c,d", "d")]
    found += [{"field": "tag", "op": op, "value": tags} for op in ("has_any", "has_all") for tags in ([], ["a", "b"])]
    found += [{"field": "email", "op": "eq", "value": "ADA@example.com"}]
    found += [{"field": "email", "op": "domain", "value": value} for value in ("Example.com", ["y.org", "example.org"])]
    found += [{"field": "email", "op": "starts_with", "value": value} for value in ("a", "AD", "a%", "_", '"')]
    return found


def test_every_leaf_holds_at_its_edges(world: World) -> None:
    """Each leaf with each value of a pool, over people who have each of them."""
    persons, leaves_ = _crowd(), _every_leaf()
    nodes = [parse_filter(one, TYPES) for one in leaves_]
    found = world.found_by_each(persons, nodes)
    assert len(found) > 400
    for one, node, positions in zip(leaves_, nodes, found, strict=True):
        expected = [n for n, person in enumerate(persons) if is_true(node, person, moment=MOMENT)]
        assert positions == expected, one


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees, persons=st.lists(people, min_size=1, max_size=6, unique_by=lambda person: person.email_key))
def test_the_audience_and_its_preview_are_of_those_whom_the_filter_is_true_of(
    world: World, tree: dict[str, Any], persons: list[Person]
) -> None:
    """Whoever confirmed after the moment of the publish is in the preview made then, and not in the audience."""
    node = parse_filter(tree, TYPES)
    frozen, counts = world.frozen_and_counted(persons, node)
    fitting = [(n, person) for n, person in enumerate(persons) if is_true(node, person, moment=MOMENT)]

    def on_first(person: Person, state: str) -> bool:
        held = person.subscriptions.get(1)
        return held is not None and held.state == state

    expected = []
    for n, person in fitting:
        held = person.subscriptions.get(1)
        if held and held.state == "confirmed" and held.confirmed_at and held.confirmed_at <= MOMENT:
            expected.append(n)
    assert frozen == expected
    by_state = [sum(on_first(person, state) for _, person in fitting) for state in ("confirmed", "pending")]
    gone = sum(on_first(person, "unsubscribed") for _, person in fitting)
    assert counts == AudienceCounts(len(fitting), by_state[0], by_state[1], gone, 0)


@settings(max_examples=30, deadline=None)
@given(
    on=newsletters | st.none(),
    state=st.sampled_from(["pending", "confirmed", "unsubscribed"]) | st.none(),
    persons=st.lists(people, min_size=1, max_size=5, unique_by=lambda person: person.email_key),
)
def test_the_lists_own_filter_on_subscriptions(world: World, on: int | None, state: Any, persons: list[Person]) -> None:
    node = All((HasSubscription(on, state),))
    expected = [position for position, person in enumerate(persons) if is_true(node, person, moment=MOMENT)]
    assert world.found(persons, node) == expected


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40).filter(lambda text: "\0" not in text and text.isprintable()))
def test_no_text_gets_into_the_statement(text: str) -> None:
    """Every value is a bound parameter: two filters that differ in values alone are the same statement."""

    def statement(value: str) -> str:
        tree = {
            "any": [
                {"field": "attribute", "name": "city", "op": "in", "value": [value]},
                {"field": "name", "op": "contains", "value": value},
                {"field": "email", "op": "starts_with", "value": value},
                {"field": "tag", "op": "has_any", "value": [f"t{value}"]},
            ]
        }
        compiled = compile_filter(parse_filter(tree, TYPES), moment=MOMENT)
        return str(sa.select(subscriber.c.id).select_from(compiled.source).where(compiled.condition))

    assert statement(text) == statement("x")
