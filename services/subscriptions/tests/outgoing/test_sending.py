"""Sending, with a real receiver: everything at least once, under one id each, and one receiver's faults its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from broadsheet_subscriptions.outgoing.endpoint import ENDPOINTS_MAX, FAILURES_BEFORE_DISABLING
from broadsheet_subscriptions.outgoing.rotate_secret import rotate_secret
from broadsheet_subscriptions.outgoing.sealed_secret import SecretBox
from broadsheet_subscriptions.outgoing.send_again import queue_test, retry_delivery
from broadsheet_subscriptions.outgoing.sender import WebhookSender
from broadsheet_subscriptions.outgoing.target import TargetPolicy
from harness.cluster import Database
from harness.keys import SUBSCRIPTIONS_SECRETS, identity_keys
from harness.ports import held_port
from harness.waiting import eventually

from .receiver import Received, Receiver, never, receiving
from .world import BOX, World, send_all, sending


async def test_what_happened_is_sent_signed_and_settled(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    endpoint_id, secret = await world.add_endpoint(receiver.url())
    world.add_people(1, prefix="ada")
    assert await send_all(sender) == 1
    [received] = receiver.received
    Webhook(secret).verify(received.body, received.headers)
    ((subscriber_id, occurred_at),) = world.rows(
        "SELECT subscriber_id, occurred_at FROM subscriptions.webhook_delivery"
    )
    assert datetime.fromisoformat(received.message.pop("timestamp")) == occurred_at
    assert received.message["data"] == {
        "subscriber": {"id": subscriber_id, "email": "ada-1@example.com"},
        "newsletter": {"id": 1, "slug": "newsletter"},
        "state": "confirmed",
        "source": None,
    }
    assert received.message["type"] == "subscriber.confirmed"
    assert received.headers["content-type"] == "application/json"
    assert world.statuses() == {"delivered": 1}
    attempt = "SELECT http_status, error, answer FROM subscriptions.webhook_attempt"
    assert world.rows(attempt) == [(200, None, "thank you")]
    assert endpoint_id > 0


async def test_the_signatures_time_is_the_databases(world: World, sender: WebhookSender, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    await send_all(sender)
    ((now,),) = world.rows("SELECT now()")
    sent_at = datetime.fromtimestamp(int(receiver.received[0].headers["webhook-timestamp"]), UTC)
    assert abs(now - sent_at) < timedelta(seconds=30)


async def test_ten_thousand_events_are_all_received_and_none_is_left(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(10_000)
    async with sending(world.engine) as one, sending(world.engine) as another:
        one.start()
        another.start()
        # A look at the database holds up this loop, which is the senders' too.
        await eventually(lambda: len(receiver.received) >= 10_000, within_s=240)
        await eventually(lambda: world.statuses() == {"delivered": 10_000})
    ids = {received.message_id for received in receiver.received}
    people = {received.message["data"]["subscriber"]["email"] for received in receiver.received}
    assert (len(receiver.received), len(ids), len(people)) == (10_000, 10_000, 10_000)


async def test_a_receiver_that_was_down_gets_everything_when_it_is_up(world: World, sender: WebhookSender) -> None:
    receiver = Receiver()
    await receiver.start()
    await receiver.stop()
    await world.add_endpoint(receiver.url())
    world.add_people(20)
    assert await send_all(sender) == 20
    assert world.statuses() == {"waiting": 20}
    waits = world.rows(
        "SELECT extract(epoch FROM delivery.run_at - recorded_at) FROM subscriptions.webhook_delivery AS delivery "
        "JOIN subscriptions.webhook_attempt AS attempt ON attempt.delivery_id = delivery.id"
    )
    assert all(5 <= wait_s <= 6 for (wait_s,) in waits)
    ((failing,),) = world.rows("SELECT failing_since IS NOT NULL FROM subscriptions.webhook_endpoint")
    assert failing
    await receiver.start()
    try:
        world.make_due()
        assert await send_all(sender) == 20
    finally:
        await receiver.stop()
    assert world.statuses() == {"delivered": 20}
    assert len({received.message_id for received in receiver.received}) == 20
    assert world.rows("SELECT failing_since, failure_count FROM subscriptions.webhook_endpoint") == [(None, 0)]
    assert world.rows("SELECT error, count(*) FROM subscriptions.webhook_attempt GROUP BY 1 ORDER BY 1") == [
        ("not_connected", 20),
        (None, 20),
    ]


async def test_what_fails_is_tried_ten_times_over_days_and_then_given_up(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.status = 500
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    for attempt in range(10):
        assert world.statuses() == {"waiting": 1}, attempt
        world.make_due()
        assert await send_all(sender) == 1
    assert world.statuses() == {"failed": 1}
    assert len({received.message_id for received in receiver.received}) == 1
    assert len(receiver.received) == 10


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.mark.process
async def test_a_sender_killed_between_the_answer_and_its_record_sends_the_same_id_again(
    world: World, database: Database, receiver: Receiver, port: int
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "BROADSHEET_ENV": "local",
        "BIND_PORT": str(port),
        "PUBLIC_URL": "http://127.0.0.1:8081",
        "DATABASE_URL": database.url_for("subscriptions"),
        **SUBSCRIPTIONS_SECRETS,
        "IDENTITY_PUBLIC_KEY": identity_keys()[1],
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "WEBHOOK_ALLOW_HTTP": "true",
    }
    _, secret = await world.add_endpoint(receiver.url())
    world.add_people(1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "broadsheet_subscriptions"], env=environment)

    killed = start()

    async def answer_and_kill(received: Received) -> web.StreamResponse:
        response = web.Response(body=b"taken")
        await response.prepare(received.request)
        await response.write_eof()
        os.kill(killed.pid, signal.SIGSTOP)  # before it can do anything with the answer
        os.kill(killed.pid, signal.SIGKILL)
        return response

    receiver.answer = answer_and_kill
    restarted: subprocess.Popen[bytes] | None = None
    try:
        await eventually(lambda: killed.poll() == -signal.SIGKILL, within_s=60)
        assert world.statuses() == {"waiting": 1}
        assert world.rows("SELECT 1 FROM subscriptions.webhook_attempt") == []
        receiver.answer = None
        restarted = start()
        # Its lease holds: nobody knows that the other one is dead.
        await asyncio.sleep(2.0)
        assert len(receiver.received) == 1
        world.make_due()
        await eventually(lambda: world.statuses() == {"delivered": 1}, within_s=60)
    finally:
        for process in (killed, restarted):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    first, second = receiver.received
    assert first.message_id == second.message_id
    assert first.body == second.body
    Webhook(secret).verify(second.body, second.headers)


async def test_a_late_sender_does_not_put_off_what_another_delivered(world: World, receiver: Receiver) -> None:
    """It was held up past its lease, then hears of a failure: the delivery stays delivered."""
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    answers = iter([503, 200])
    held, release = asyncio.Event(), asyncio.Event()

    async def hold_the_first(_: Received) -> web.StreamResponse:
        status = next(answers)
        if status == 503:
            held.set()
            await release.wait()
        return web.Response(status=status)

    receiver.answer = hold_the_first
    async with sending(world.engine, timeout_s=20) as late, sending(world.engine) as other:
        task = asyncio.create_task(late.send_due())
        await asyncio.wait_for(held.wait(), 10)
        world.make_due()
        assert await other.send_due() == 1
        assert world.statuses() == {"delivered": 1}
        release.set()
        await task
    assert world.statuses() == {"delivered": 1}
    assert world.rows("SELECT http_status FROM subscriptions.webhook_attempt ORDER BY id") == [(200,), (503,)]


async def test_replicas_never_send_the_same_at_once(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(400)
    async with sending(world.engine) as one, sending(world.engine) as another:
        await asyncio.gather(*(send_all(sender) for sender in (one, another)))
    assert len(receiver.received) == len({received.message_id for received in receiver.received}) == 400


async def test_slow_receivers_keep_no_other_waiting(world: World, receiver: Receiver) -> None:
    async with receiving() as slow:
        slow.answer = never
        for _ in range(ENDPOINTS_MAX - 1):
            await world.add_endpoint(slow.url(), events=("subscriber.confirmed",))
        await world.add_endpoint(receiver.url(), events=("subscriber.subscribed",))
        world.add_people(20, prefix="slow")
        world.add_people(100, state="pending")
        async with sending(world.engine, timeout_s=20) as sender:
            sender.start()
            await eventually(lambda: len(receiver.received) == 100, within_s=15)
            assert slow.at_once_max <= (ENDPOINTS_MAX - 1) * 5
            delivered = "SELECT DISTINCT type FROM subscriptions.webhook_delivery WHERE status = 'delivered'"
            await eventually(lambda: world.rows(delivered) == [("subscriber.subscribed",)])
            # What hangs is not waited for: it is cut off, and due again when its lease ends.
            await sender.drain(0.1)


async def test_calls_at_once_to_one_receiver_are_bounded(world: World, receiver: Receiver) -> None:
    async def a_little_later(_: Received) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.Response()

    receiver.answer = a_little_later
    await world.add_endpoint(receiver.url())
    world.add_people(50)
    async with sending(world.engine, calls_per_endpoint=3) as sender:
        sender.start()
        await eventually(lambda: len(receiver.received) == 50, within_s=30)
    assert receiver.at_once_max == 3


async def test_while_a_secret_is_rotated_both_sign_and_then_the_new_one_alone(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    endpoint_id, old = await world.add_endpoint(receiver.url())
    async with world.engine.begin() as connection:
        new = (await rotate_secret(connection, endpoint_id, overlap=timedelta(hours=1), box=BOX)).reveal()
    world.add_people(1, prefix="during")
    await send_all(sender)
    for secret in (old, new):
        Webhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)
    world.rows("UPDATE subscriptions.webhook_secret SET expires_at = now() WHERE expires_at IS NOT NULL")
    world.add_people(1, prefix="after")
    await send_all(sender)
    Webhook(new).verify(receiver.received[1].body, receiver.received[1].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(receiver.received[1].body, receiver.received[1].headers)


async def test_however_often_a_secret_is_rotated_only_so_many_sign(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    endpoint_id, _ = await world.add_endpoint(receiver.url())
    for _ in range(9):
        async with world.engine.begin() as connection:
            await rotate_secret(connection, endpoint_id, overlap=timedelta(hours=1), box=BOX)
    world.add_people(1)
    await send_all(sender)
    assert len(receiver.received[0].headers["webhook-signature"].split(" ")) == 4


async def test_nothing_leaves_unsigned_when_no_secret_can_be_read(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    async with sending(world.engine, box=SecretBox.parse("k9:" + "99" * 32)) as sender:
        await send_all(sender)
    assert receiver.received == []
    assert world.rows("SELECT error FROM subscriptions.webhook_attempt") == [("secret_unreadable",)]
    assert world.statuses() == {"waiting": 1}


async def test_410_disables_the_endpoint_and_nothing_more_is_queued(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.status = 410
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    await send_all(sender)
    world.add_people(1, prefix="later")
    assert world.statuses() == {"failed": 1}
    ((enabled, reason),) = world.rows("SELECT enabled, disabled_reason FROM subscriptions.webhook_endpoint")
    assert not enabled
    assert "410" in reason


async def test_an_endpoint_that_fails_for_days_is_disabled_with_the_reason(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.status = 500
    await world.add_endpoint(receiver.url())
    world.add_people(FAILURES_BEFORE_DISABLING - 1)
    await send_all(sender)
    world.rows("UPDATE subscriptions.webhook_endpoint SET failing_since = now() - interval '4 days'")
    world.add_people(1, prefix="later")
    await send_all(sender)
    assert world.rows("SELECT enabled FROM subscriptions.webhook_endpoint") == [(True,)]
    world.rows("UPDATE subscriptions.webhook_endpoint SET failing_since = now() - interval '5 days 1 s'")
    world.add_people(1, prefix="last")
    await send_all(sender)
    ((enabled, reason),) = world.rows("SELECT enabled, disabled_reason FROM subscriptions.webhook_endpoint")
    assert not enabled
    assert reason.endswith("The last: HTTP status 500")
    # What waits is kept for when somebody enables it again.
    assert world.statuses() == {"waiting": FAILURES_BEFORE_DISABLING + 1}
    world.make_due()
    assert await send_all(sender) == 0


async def test_two_failures_long_apart_disable_nothing(world: World, sender: WebhookSender, receiver: Receiver) -> None:
    receiver.status = 500
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    await send_all(sender)
    world.rows("UPDATE subscriptions.webhook_endpoint SET failing_since = now() - interval '30 days'")
    world.add_people(1, prefix="later")
    await send_all(sender)
    assert world.rows("SELECT enabled FROM subscriptions.webhook_endpoint") == [(True,)]


async def test_of_somebody_erased_before_the_call_no_address_leaves(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.status = 503
    await world.add_endpoint(receiver.url())
    world.add_people(1, prefix="ada")
    await send_all(sender)
    assert len(receiver.received) == 1
    receiver.status = 200
    world.rows("DELETE FROM subscriptions.subscriber")
    world.make_due()
    await send_all(sender)
    [_, after] = receiver.received
    assert after.message["type"] == "subscriber.unsubscribed"
    assert after.message["data"]["subscriber"]["email"] is None
    assert b"ada" not in after.body
    assert world.statuses() == {"cancelled": 1, "delivered": 1}


async def test_what_was_claimed_for_somebody_gone_without_a_trace_is_cancelled_at_the_call(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    with psycopg.connect(world.owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no trigger runs
        connection.execute("DELETE FROM subscriptions.subscription")
        connection.execute("DELETE FROM subscriptions.subscriber")
    await send_all(sender)
    assert receiver.received == []
    assert world.statuses() == {"cancelled": 1}


async def test_no_table_keeps_the_address_that_a_receiver_repeats(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.body = b'{"taken": "YWRhLTFAZXhhbXBsZS5jb20", "for": "ada-1@example.com", "who": "ada-1%40example.com"}'
    await world.add_endpoint(receiver.url())
    world.add_people(1, prefix="ada")
    await send_all(sender)
    ((answer,),) = world.rows("SELECT answer FROM subscriptions.webhook_attempt")
    assert "ada-1@example.com" not in answer
    assert "taken" in answer
    # In disguises that no rule finds it is there until they are erased.
    world.rows("DELETE FROM subscriptions.subscriber")
    assert world.rows("SELECT answer FROM subscriptions.webhook_attempt") == [(None,)]


async def test_an_erasure_during_the_call_leaves_no_answer_behind(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1, prefix="ada")

    async def erase_then_answer(_: Received) -> web.StreamResponse:
        await asyncio.to_thread(world.rows, "DELETE FROM subscriptions.subscriber")
        return web.Response(body=b"ada-1%40example.com")

    receiver.answer = erase_then_answer
    async with sending(world.engine) as sender:
        await sender.send_due()
    assert world.rows("SELECT http_status, answer FROM subscriptions.webhook_attempt") == [(200, None)]


async def test_an_address_that_was_changed_meanwhile_is_sent_as_it_is_now(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    world.rows("UPDATE subscriptions.subscriber SET email = 'new@example.com', email_key = 'new@example.com'")
    await send_all(sender)
    assert receiver.received[0].message["data"]["subscriber"]["email"] == "new@example.com"


async def test_a_disabled_endpoint_gets_nothing_but_a_test_and_that_once(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.status = 500
    endpoint_id, secret = await world.add_endpoint(receiver.url())
    world.add_people(3)
    world.rows("UPDATE subscriptions.webhook_endpoint SET enabled = false")
    async with world.engine.begin() as connection:
        await queue_test(connection, endpoint_id)
    assert await send_all(sender) == 1
    [received] = receiver.received
    assert received.message["type"] == "webhook.test"
    assert received.message["data"] == {"endpoint_id": endpoint_id}
    Webhook(secret).verify(received.body, received.headers)
    assert world.rows("SELECT status FROM subscriptions.webhook_delivery WHERE type = 'webhook.test'") == [("failed",)]
    assert world.rows("SELECT failing_since FROM subscriptions.webhook_endpoint") == [(None,)]


async def test_a_delivery_that_is_retried_goes_under_the_same_id(
    world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    await send_all(sender)
    ((delivery_id,),) = world.rows("SELECT id FROM subscriptions.webhook_delivery")
    async with world.engine.begin() as connection:
        assert (await retry_delivery(connection, delivery_id)).status == "waiting"
    await send_all(sender)
    first, second = receiver.received
    assert first.message_id == second.message_id
    assert world.statuses() == {"delivered": 1}


async def test_a_retry_does_not_send_beside_an_attempt_that_is_under_way(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    ((delivery_id,),) = world.rows("SELECT id FROM subscriptions.webhook_delivery")
    held, release = asyncio.Event(), asyncio.Event()

    async def hold(_: Received) -> web.StreamResponse:
        held.set()
        await release.wait()
        return web.Response()

    receiver.answer = hold
    async with sending(world.engine, timeout_s=20) as sender, sending(world.engine) as other:
        task = asyncio.create_task(sender.send_due())
        await asyncio.wait_for(held.wait(), 10)
        async with world.engine.begin() as connection:
            assert (await retry_delivery(connection, delivery_id)).under_way
        assert await other.send_due() == 0
        release.set()
        await task
    assert len(receiver.received) == 1
    assert world.statuses() == {"delivered": 1}


async def test_where_http_is_not_allowed_any_more_a_url_from_before_is_not_called(
    world: World, receiver: Receiver
) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    async with sending(world.engine, targets=TargetPolicy()) as sender:
        await send_all(sender)
    assert receiver.received == []
    assert world.rows("SELECT error FROM subscriptions.webhook_attempt") == [("url_refused",)]


async def test_a_database_that_goes_away_during_a_call_makes_it_be_sent_again_and_the_loop_goes_on(
    world: World, receiver: Receiver
) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)

    async def away(_: Received) -> web.StreamResponse:
        receiver.answer = None
        await asyncio.to_thread(world.take_database_away)
        return web.Response()

    receiver.answer = away
    async with sending(world.engine) as sender:
        sender.start()
        await eventually(lambda: len(receiver.received) == 1)
        await asyncio.sleep(0.5)
        world.bring_database_back()
        world.make_due()
        await eventually(lambda: world.statuses() == {"delivered": 1}, within_s=30)
    first, second = receiver.received
    assert first.message_id == second.message_id


async def test_draining_lets_a_call_end_and_begins_no_other(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(20)
    held = asyncio.Event()

    async def slowly(_: Received) -> web.StreamResponse:
        held.set()
        await asyncio.sleep(0.3)
        return web.Response()

    receiver.answer = slowly
    async with sending(world.engine, calls_per_endpoint=2) as sender:
        sender.start()
        await asyncio.wait_for(held.wait(), 10)
        await sender.drain(5.0)
    statuses = world.statuses()
    assert statuses["delivered"] == len(receiver.received)
    assert 2 <= len(receiver.received) < 20


async def test_the_log_is_removed_when_it_is_old_and_with_its_endpoint(world: World, receiver: Receiver) -> None:
    kept_id, _ = await world.add_endpoint(receiver.url())
    gone_id, _ = await world.add_endpoint(receiver.url())
    world.add_people(1_500)
    async with sending(world.engine, log_kept_days=30) as sender:
        world.rows(
            "UPDATE subscriptions.webhook_delivery SET created_at = now() - interval '31 days' "
            "WHERE endpoint_id = %s AND id %% 2 = 0",
            kept_id,
        )
        ((old,),) = world.rows(
            "SELECT count(*) FROM subscriptions.webhook_delivery WHERE created_at < now() - interval '30 days'"
        )
        world.rows(
            "UPDATE subscriptions.webhook_endpoint SET deleted_at = now(), enabled = false WHERE id = %s", gone_id
        )
        assert await sender.remove_old() == old + 1_500 + 1
        assert await sender.remove_old() == 0
    assert world.rows("SELECT endpoint_id, count(*) FROM subscriptions.webhook_delivery GROUP BY 1") == [
        (kept_id, 1_500 - old)
    ]
    assert world.rows("SELECT id FROM subscriptions.webhook_endpoint") == [(kept_id,)]


async def test_the_figures_say_what_waits_and_how_long(world: World, receiver: Receiver) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(7)
    world.rows("UPDATE subscriptions.webhook_delivery SET run_at = now() - interval '1 hour'")
    async with sending(world.engine) as sender:
        await sender._show_figures()
        assert sender._metrics.waiting._value.get() == 7
        assert 3_600 <= sender._metrics.oldest_due_s._value.get() < 3_700
        await send_all(sender)
        await sender._show_figures()
        assert sender._metrics.waiting._value.get() == 0
        assert sender._metrics.oldest_due_s._value.get() == 0
        assert sender._metrics.attempts.labels("delivered")._value.get() == 7
