"""Postmark's own unsubscribe link, both ways: it undoes what it did, and nothing that people did with us."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.leaving.apply_provider_changes import apply_provider_changes
from harness.cluster import Database
from harness.owner import Owner

from ..conftest import engine_for


class People(Owner):
    """Subscribers as the owner sees them; moments are in minutes from now, so that 0 is the present."""

    def add(self, email: str, *, state: str = "confirmed", at_min: float = -100, newsletter_id: int = 1) -> None:
        self.rows(
            """
            WITH person AS (
                INSERT INTO subscriptions.subscriber (email, email_key, name) VALUES (%s, %s, 'Reader')
                ON CONFLICT (email_key) DO UPDATE SET name = 'Reader' RETURNING id)
            INSERT INTO subscriptions.subscription
                   (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at, confirmation_queued_at)
            SELECT %s, id, %s::text, CASE WHEN %s <> 'pending' THEN now() + %s * interval '1 minute' END,
                   CASE WHEN %s = 'unsubscribed' THEN now() END, now() + %s * interval '1 minute'
              FROM person
            """,
            email, email, newsletter_id, state, state, at_min, state, at_min,
        )  # fmt: skip

    def told(self, kind: str, email: str, at_min: float, *newsletter_ids: int) -> None:
        self.rows(
            "SELECT subscriptions.enqueue_provider_change(%s, %s, %s::bigint[], now() + %s * interval '1 minute')",
            kind,
            email,
            list(newsletter_ids or (1,)),
            at_min,
        )

    def state(self, email: str, newsletter_id: int = 1) -> str:
        ((state,),) = self.rows(
            "SELECT state FROM subscriptions.published_recipients WHERE email_key = %s AND newsletter_id = %s",
            email,
            newsletter_id,
        )
        return str(state)


ADA = "ada@example.com"


@pytest.fixture
def people(database: Database) -> People:
    return People(database.owner_url)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    made = engine_for(database)
    yield made
    await made.dispose()


async def test_who_left_by_the_link_is_unsubscribed_from_the_newsletters_of_the_stream(
    people: People, engine: AsyncEngine
) -> None:
    other = people.add_newsletter("other")
    unrelated = people.add_newsletter("unrelated")
    for newsletter_id in (1, other, unrelated):
        people.add(ADA, newsletter_id=newsletter_id)
    people.told("unsubscribe", ADA, -10, 1, other)
    assert await apply_provider_changes(engine) == 1
    assert [people.state(ADA, n) for n in (1, other, unrelated)] == ["unsubscribed", "unsubscribed", "confirmed"]
    assert await apply_provider_changes(engine) == 0


async def test_who_comes_back_by_the_link_is_subscribed_again(people: People, engine: AsyncEngine) -> None:
    people.add(ADA)
    people.told("unsubscribe", ADA, -10)
    people.told("resubscribe", ADA, -5)
    await apply_provider_changes(engine)
    assert people.state(ADA) == "confirmed"


async def test_it_brings_nobody_back_who_left_with_us(people: People, engine: AsyncEngine) -> None:
    people.add(ADA, state="unsubscribed")
    people.told("resubscribe", ADA, 5)
    await apply_provider_changes(engine)
    assert people.state(ADA) == "unsubscribed"


async def test_nor_who_left_with_us_after_the_link(people: People, engine: AsyncEngine) -> None:
    from broadsheet_subscriptions.leaving.store import set_unsubscribed

    people.add(ADA)
    people.told("unsubscribe", ADA, -10)
    await apply_provider_changes(engine)
    ((subscription_id,),) = people.rows("SELECT id FROM subscriptions.subscription")
    async with engine.begin() as connection:
        await set_unsubscribed(connection, [subscription_id])
    people.told("resubscribe", ADA, 5)
    await apply_provider_changes(engine)
    assert people.state(ADA) == "unsubscribed"


async def test_a_change_from_before_they_confirmed_does_nothing(people: People, engine: AsyncEngine) -> None:
    people.add(ADA, at_min=-1)
    people.told("unsubscribe", ADA, -10)
    people.told("complained", ADA, -10)
    await apply_provider_changes(engine)
    assert people.state(ADA) == "confirmed"


async def test_a_sign_up_that_waits_for_its_confirmation_is_never_confirmed_by_the_link(
    people: People, engine: AsyncEngine
) -> None:
    people.add(ADA, state="pending")
    people.told("unsubscribe", ADA, -10)
    people.told("resubscribe", ADA, -5)
    await apply_provider_changes(engine)
    assert people.state(ADA) == "unsubscribed"


async def test_a_hard_bounce_leaves_the_subscription(people: People, engine: AsyncEngine) -> None:
    people.add(ADA)
    people.told("hard_bounced", ADA, -10)
    assert await apply_provider_changes(engine) == 1
    assert people.state(ADA) == "confirmed"


async def test_somebody_who_is_not_here_is_nothing_to_apply(people: People, engine: AsyncEngine) -> None:
    people.told("unsubscribe", "nobody@example.com", -10)
    assert await apply_provider_changes(engine) == 1
    assert people.rows("SELECT 1 FROM subscriptions.provider_change") == []


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([("unsubscribe", -10), ("resubscribe", -5)], "confirmed"),
        ([("unsubscribe", -10), ("resubscribe", -5), ("unsubscribe", -1)], "unsubscribed"),
        ([("complained", -10), ("unsubscribe", -8), ("resubscribe", -5)], "unsubscribed"),
        ([("unsubscribe", -10), ("resubscribe", -8), ("complained", -5)], "unsubscribed"),
        ([("unsubscribe", -5), ("resubscribe", -5)], "unsubscribed"),
    ],
    ids=["left, came back", "left again", "complained first", "complained last", "both at once"],
)
async def test_the_order_of_arrival_does_not_matter(
    people: People, engine: AsyncEngine, told: list[tuple[str, float]], state: str
) -> None:
    orders = list(enumerate(itertools.permutations(told)))
    # One clock for all orders: the same moment has to be the same in each.
    ((now,),) = people.rows("SELECT now()")
    for number, _ in orders:
        people.add(f"reader-{number}@example.com")
    for step in range(len(told)):
        for number, order in orders:
            kind, at_min = order[step]
            people.rows(
                "SELECT subscriptions.enqueue_provider_change(%s, %s, '{1}'::bigint[], %s + %s * interval '1 minute')",
                kind,
                f"reader-{number}@example.com",
                now,
                at_min,
            )
        await apply_provider_changes(engine)
    assert {people.state(f"reader-{number}@example.com") for number, _ in orders} == {state}


async def test_replicas_share_the_work(people: People, engine: AsyncEngine) -> None:
    for number in range(300):
        people.add(f"reader-{number}@example.com")
        people.told("unsubscribe", f"reader-{number}@example.com", -10)
    applied = await asyncio.gather(*(apply_provider_changes(engine) for _ in range(4)))
    assert sum(applied) == 300
    assert people.rows("SELECT DISTINCT state FROM subscriptions.subscription") == [("unsubscribed",)]
