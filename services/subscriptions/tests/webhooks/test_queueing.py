"""What is queued: every way people arrive and leave, in the commit of the change, and nothing that nobody wants."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from broadsheet_subscriptions.background.prune_store import Lifetimes, forget_unconfirmed
from broadsheet_subscriptions.leaving.apply_provider_changes import apply_provider_changes
from harness.cluster import Database

from ..conftest import Subscriptions, running_subscriptions
from .world import World

ADA = "ada@example.com"
HOOK = "http://127.0.0.1:9999/hook"


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Subscriptions]:
    async with running_subscriptions(database) as running:
        yield running


def told(world: World, kind: str, email: str = ADA, *newsletter_ids: int) -> None:
    world.rows(
        "SELECT subscriptions.enqueue_provider_change(%s, %s, %s::bigint[], now() + interval '1 minute')",
        kind,
        email,
        list(newsletter_ids),
    )


async def test_signing_up_confirming_and_leaving_are_told_each_once(world: World, service: Subscriptions) -> None:
    await world.add_endpoint(HOOK)
    await service.sign_up()
    await service.sign_up()
    assert world.queued() == [("subscriber.subscribed", "pending", "sign_up")]
    for _ in range(2):
        await service.public("confirmations", token=service.tokens()[-1])
    for _ in range(2):
        await service.public("unsubscribes", token=service.unsubscribe_token())
    assert world.queued()[1:] == [
        ("subscriber.confirmed", "confirmed", "link"),
        ("subscriber.unsubscribed", "unsubscribed", "link"),
    ]


async def test_a_resent_confirmation_is_no_event_and_coming_back_is_one(world: World, service: Subscriptions) -> None:
    await world.add_endpoint(HOOK, events=("subscriber.subscribed",))
    await service.sign_up()
    service.end_cool_down()
    await service.sign_up()
    assert len(service.mails()) == 2
    assert len(world.queued()) == 1
    await service.public("unsubscribes", token=service.unsubscribe_token())
    await service.sign_up()
    assert len(world.queued()) == 2


async def test_what_an_operator_does_is_told_as_such(world: World, service: Subscriptions) -> None:
    await world.add_endpoint(HOOK)
    created = await service.post("", {"email": ADA, "name": "Ada"})
    await service.post(f"/{created.json()['id']}/unsubscribe", {})
    assert world.queued() == [
        ("subscriber.subscribed", "pending", "operator"),
        ("subscriber.unsubscribed", "unsubscribed", "operator"),
    ]


async def test_postmarks_own_unsubscribe_link_is_told_both_ways(world: World) -> None:
    world.add_people(1, prefix="ada")
    world.rows("UPDATE subscriptions.subscription SET confirmed_at = now() - interval '1 day'")
    await world.add_endpoint(HOOK)
    told(world, "unsubscribe", "ada-1@example.com", 1)
    await apply_provider_changes(world.engine)
    world.rows(
        "SELECT subscriptions.enqueue_provider_change('resubscribe', 'ada-1@example.com', '{1}', now() + '1 hour')"
    )
    await apply_provider_changes(world.engine)
    assert world.queued() == [
        ("subscriber.unsubscribed", "unsubscribed", "provider"),
        ("subscriber.confirmed", "confirmed", "provider"),
    ]


async def test_a_complaint_is_told_with_the_leaving_that_follows_from_it(world: World) -> None:
    world.add_people(1, prefix="ada")
    await world.add_endpoint(HOOK)
    told(world, "complained", "ada-1@example.com", 1)
    assert world.queued() == [("subscriber.complained", "confirmed", "provider")]
    await apply_provider_changes(world.engine)
    assert world.queued()[1:] == [("subscriber.unsubscribed", "unsubscribed", "complaint")]


async def test_a_bounce_is_told_for_each_newsletter_it_is_about_or_once_without(world: World) -> None:
    other = world.add_newsletter("other")
    world.add_people(1, prefix="ada")
    world.rows(
        "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at) "
        "SELECT %s, id, 'confirmed', now() FROM subscriptions.subscriber",
        other,
    )
    await world.add_endpoint(HOOK)
    await world.add_endpoint(HOOK, newsletter_ids=[other])
    told(world, "hard_bounced", "ada-1@example.com", 1, other)
    told(world, "hard_bounced", "ada-1@example.com")
    told(world, "hard_bounced", "nobody@example.com", 1)
    rows = world.rows(
        "SELECT type, newsletter_id, count(*) FROM subscriptions.webhook_delivery GROUP BY 1, 2 ORDER BY 2 NULLS LAST"
    )
    assert rows == [("subscriber.bounced", 1, 1), ("subscriber.bounced", other, 2), ("subscriber.bounced", None, 1)]


async def test_bulk_changes_are_told_one_by_one(world: World) -> None:
    await world.add_endpoint(HOOK)
    world.add_people(2_000)
    world.rows("UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now()")
    assert world.rows("SELECT type, count(DISTINCT subscriber_id) FROM subscriptions.webhook_delivery GROUP BY 1") == [
        ("subscriber.confirmed", 2_000),
        ("subscriber.unsubscribed", 2_000),
    ]


async def test_rows_that_come_by_copy_are_told_too(world: World) -> None:
    await world.add_endpoint(HOOK)
    world.add_people(3, state="pending", prefix="before")
    other = world.add_newsletter("other")
    with psycopg.connect(world.owner_url) as connection, connection.cursor() as cursor:
        ids = connection.execute("SELECT id FROM subscriptions.subscriber").fetchall()
        with cursor.copy(
            "COPY subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at) FROM STDIN"
        ) as copy:
            for (subscriber_id,) in ids:
                copy.write_row((other, subscriber_id, "confirmed", "now"))
    assert [type_ for type_, _, _ in world.queued()[3:]] == ["subscriber.confirmed"] * 3


async def test_a_plan_made_for_one_row_is_not_used_for_many(world: World) -> None:
    """The trigger joins the rows before with the rows after: quadratic, if the first plan were kept."""
    await world.add_endpoint(HOOK, events=("subscriber.unsubscribed",))
    world.add_people(60_000)
    with psycopg.connect(world.owner_url, autocommit=True) as connection:
        leave = "UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now()"
        ids = connection.execute("SELECT subscriber_id FROM subscriptions.subscription LIMIT 10").fetchall()
        for (subscriber_id,) in ids:
            connection.execute(f"{leave} WHERE subscriber_id = %s".encode(), (subscriber_id,))
        # Each with each would take minutes.
        connection.execute("SET statement_timeout = '30s'")
        connection.execute(f"{leave} WHERE state = 'confirmed'".encode())
    assert world.rows("SELECT count(*) FROM subscriptions.webhook_delivery") == [(60_000,)]


async def test_nothing_is_queued_while_no_endpoint_wants_it(world: World) -> None:
    world.add_people(1, prefix="before")
    await world.add_endpoint(HOOK, enabled=False)
    world.add_people(1, prefix="disabled")
    await world.add_endpoint(HOOK, events=("subscriber.bounced",))
    other = world.add_newsletter("other")
    await world.add_endpoint(HOOK, newsletter_ids=[other])
    world.add_people(1, prefix="unwanted")
    assert world.queued() == []
    world.add_people(1, prefix="wanted", newsletter_id=other)
    assert world.queued() == [("subscriber.confirmed", "confirmed", None)]


async def test_who_was_brought_in_as_gone_has_not_left(world: World) -> None:
    await world.add_endpoint(HOOK)
    world.add_people(1, state="unsubscribed")
    assert world.queued() == []


async def test_a_change_that_is_rolled_back_is_not_told(world: World) -> None:
    await world.add_endpoint(HOOK)
    world.add_people(1, state="pending")
    with psycopg.connect(world.owner_url) as connection:
        connection.execute("UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now()")
        connection.rollback()
    assert len(world.queued()) == 1


async def test_who_is_removed_has_left_and_nothing_else_is_told_of_them_any_more(world: World) -> None:
    await world.add_endpoint(HOOK)
    world.add_people(1, prefix="ada")
    world.add_people(1, prefix="grace")
    world.add_people(1, prefix="new", state="pending")
    world.rows("DELETE FROM subscriptions.subscriber WHERE email_key <> 'grace-1@example.com'")
    assert world.rows("SELECT type, status, source FROM subscriptions.webhook_delivery ORDER BY id") == [
        ("subscriber.confirmed", "cancelled", None),
        ("subscriber.confirmed", "waiting", None),
        ("subscriber.subscribed", "cancelled", None),
        ("subscriber.unsubscribed", "waiting", "removed"),
        ("subscriber.unsubscribed", "waiting", "removed"),
    ]


async def test_a_sign_up_that_nobody_confirms_is_told_to_have_ended(world: World) -> None:
    """Or receivers that mirror people would keep the address of a stranger for ever."""
    world.add_people(1, prefix="new", state="pending")
    world.add_people(1, prefix="back", state="pending")
    world.rows("UPDATE subscriptions.subscriber SET tags = '{kept}' WHERE email_key = 'back-1@example.com'")
    world.rows(
        "UPDATE subscriptions.subscription SET created_at = created_at - interval '3 days', unsubscribed_at = "
        "CASE WHEN subscriber_id = (SELECT max(id) FROM subscriptions.subscriber) THEN now() - interval '9 days' END"
    )
    await world.add_endpoint(HOOK)
    async with world.engine.begin() as connection:
        assert await forget_unconfirmed(connection, Lifetimes(timedelta(days=2), timedelta(days=1))) == 2
    assert world.queued() == [("subscriber.unsubscribed", "unsubscribed", "expired")] * 2


async def test_an_endpoint_that_is_being_changed_or_removed_holds_up_no_sign_up(world: World) -> None:
    endpoint_id, _ = await world.add_endpoint(HOOK)
    with psycopg.connect(world.owner_url) as connection:
        connection.execute("SELECT FROM subscriptions.webhook_endpoint WHERE id = %s FOR UPDATE", (endpoint_id,))
        connection.execute("DELETE FROM subscriptions.webhook_endpoint")
        with psycopg.connect(world.owner_url, autocommit=True) as other:
            other.execute("SET lock_timeout = '2s'")
            other.execute(
                "WITH person AS (INSERT INTO subscriptions.subscriber (email, email_key, name) "
                "VALUES ('a@b.example', 'a@b.example', 'A') RETURNING id) "
                "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id) SELECT 1, id FROM person"
            )
    assert len(world.queued()) == 1


async def test_a_use_case_names_the_source_for_its_own_transaction_only(world: World) -> None:
    await world.add_endpoint(HOOK)
    with psycopg.connect(world.owner_url, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('broadsheet.change_source', 'import', true)")
            connection.execute(
                "INSERT INTO subscriptions.subscriber (email, email_key, name) VALUES ('a@b.c', 'a@b.c', 'A')"
            )
            connection.execute(
                "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id) "
                "SELECT 1, id FROM subscriptions.subscriber"
            )
        connection.execute("UPDATE subscriptions.subscription SET state = 'confirmed', confirmed_at = now()")
    assert [source for _, _, source in world.queued()] == ["import", None]
