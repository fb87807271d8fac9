"""What has expired goes away, and nothing else."""

import asyncio
from datetime import timedelta

from broadsheet_subscriptions.background.prune import prune_round
from broadsheet_subscriptions.background.prune_store import PRUNE_BATCH_ROWS, Lifetimes
from harness.cluster import Database

from ..conftest import Subscriptions, engine_for

LIFETIMES = Lifetimes(pending=timedelta(days=30), mailbox_window=timedelta(days=1))


async def test_expired_tokens_and_keys_are_deleted_in_batches_by_two_replicas_at_once(
    database: Database, subscriptions: Subscriptions
) -> None:
    await subscriptions.post("", {"email": "ada@example.com", "name": "Ada"}, key="kept")
    subscriptions.rows(
        "INSERT INTO subscriptions.confirmation_token (token_hash, subscription_id, expires_at) "
        "SELECT sha256(n::text::bytea), 1, now() - interval '1 s' FROM generate_series(1, %s) AS n",
        2 * PRUNE_BATCH_ROWS + 1,
    )
    subscriptions.rows(
        "INSERT INTO subscriptions.idempotency_key (scope, key, fingerprint, expires_at) "
        "SELECT 'key:1', n::text, '', now() - interval '1 s' FROM generate_series(1, %s) AS n",
        PRUNE_BATCH_ROWS + 1,
    )
    engine = engine_for(database)
    pruned = await asyncio.gather(prune_round(engine, LIFETIMES), prune_round(engine, LIFETIMES))
    await engine.dispose()
    assert sum(pruned) == 3 * PRUNE_BATCH_ROWS + 2
    assert subscriptions.rows("SELECT key FROM subscriptions.idempotency_key") == [("kept",)]
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.confirmation_token") == [(1,)]


def let_time_pass(subscriptions: Subscriptions, interval: str, email: str = "%") -> None:
    subscriptions.rows(
        "UPDATE subscriptions.subscription AS held SET confirmation_queued_at = confirmation_queued_at - %s::interval, "
        "created_at = held.created_at - %s::interval FROM subscriptions.subscriber AS person "
        "WHERE person.id = held.subscriber_id AND person.email_key LIKE %s",
        interval,
        interval,
        email,
    )


async def prune(database: Database) -> int:
    engine = engine_for(database)
    try:
        return await prune_round(engine, LIFETIMES)
    finally:
        await engine.dispose()


async def test_a_sign_up_that_nobody_confirmed_is_forgotten_with_its_person_tokens_and_record(
    database: Database, subscriptions: Subscriptions
) -> None:
    await subscriptions.sign_up("late@example.com")
    await subscriptions.sign_up("young@example.com")
    let_time_pass(subscriptions, "30 days 1 s", "late@%")
    assert await prune(database) == 1
    assert subscriptions.rows("SELECT email FROM subscriptions.subscriber") == [("young@example.com",)]
    for table in ("subscription", "confirmation_token", "consent_event", "unsettled_mail"):
        assert subscriptions.rows(f"SELECT count(*) FROM subscriptions.{table}") == [(1,)], table
    assert await prune(database) == 0


async def test_a_sign_up_just_before_its_time_stays(database: Database, subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    let_time_pass(subscriptions, "29 days 23 hours")
    assert await prune(database) == 0
    assert subscriptions.state() == "pending"


async def test_a_mail_that_was_sent_again_gives_the_sign_up_its_time_anew(
    database: Database, subscriptions: Subscriptions
) -> None:
    await subscriptions.sign_up()
    let_time_pass(subscriptions, "31 days")
    await subscriptions.sign_up()
    assert await prune(database) == 0
    assert subscriptions.state() == "pending"


async def test_who_has_another_subscription_or_tags_stays_without_the_forgotten_one(
    database: Database, subscriptions: Subscriptions
) -> None:
    second = subscriptions.add_newsletter("second")
    await subscriptions.subscribe_and_confirm("ada@example.com")
    await subscriptions.public("subscriptions", email="ada@example.com", name="Ada", newsletter_id=second)
    await subscriptions.sign_up("tagged@example.com")
    subscriptions.rows("UPDATE subscriptions.subscriber SET tags = '{vip}' WHERE email_key = 'tagged@example.com'")
    let_time_pass(subscriptions, "31 days")
    assert await prune(database) == 2
    assert subscriptions.rows("SELECT email FROM subscriptions.subscriber ORDER BY id") == [
        ("ada@example.com",),
        ("tagged@example.com",),
    ]
    assert subscriptions.rows("SELECT newsletter_id, state FROM subscriptions.subscription") == [(1, "confirmed")]


async def test_who_had_left_and_did_not_confirm_again_has_left_as_before(
    database: Database, subscriptions: Subscriptions
) -> None:
    await subscriptions.subscribe_and_confirm()
    await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token())
    before = subscriptions.rows("SELECT id, confirmed_at, unsubscribed_at FROM subscriptions.subscription")
    await subscriptions.sign_up()
    let_time_pass(subscriptions, "31 days")
    assert await prune(database) == 1
    assert subscriptions.state() == "unsubscribed"
    assert subscriptions.rows("SELECT id, confirmed_at, unsubscribed_at FROM subscriptions.subscription") == before
    assert (await subscriptions.public("confirmations", token=subscriptions.tokens()[-1])).status_code == 401


async def test_confirming_signing_up_and_forgetting_at_once_deadlock_nowhere_and_keep_the_confirmation(
    database: Database, subscriptions: Subscriptions
) -> None:
    addresses = [f"reader-{n}@example.com" for n in range(20)]
    for address in addresses:
        await subscriptions.sign_up(address)
    tokens = subscriptions.tokens()
    let_time_pass(subscriptions, "31 days")
    confirmations, *_ = await asyncio.gather(
        asyncio.gather(*(subscriptions.public("confirmations", token=token) for token in tokens)),
        asyncio.gather(*(subscriptions.sign_up(address) for address in addresses)),
        asyncio.gather(*(prune(database) for _ in range(3))),
    )
    assert {answer.status_code for answer in confirmations} <= {200, 401}
    confirmed = [address for address, answer in zip(addresses, confirmations, strict=True) if answer.status_code == 200]
    for address in confirmed:
        assert subscriptions.state(address) == "confirmed"


async def test_counts_of_mails_whose_window_is_over_are_deleted(
    database: Database, subscriptions: Subscriptions
) -> None:
    await subscriptions.sign_up("old@example.com")
    subscriptions.rows("UPDATE subscriptions.mailbox_quota SET window_began_at = now() - interval '25 hours'")
    await subscriptions.sign_up("new@example.com")
    assert await prune(database) == 1
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.mailbox_quota") == [(1,)]
