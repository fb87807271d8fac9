"""Sending, with a real receiver: everything at least once, under one id each, and one receiver's faults its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from broadsheet_subscriptions.webhooks.endpoints.endpoint import ENDPOINTS_MAX
from broadsheet_subscriptions.webhooks.log.send_again import retry_delivery
from broadsheet_subscriptions.webhooks.sending.sender import WebhookSender
from harness.cluster import Database
from harness.keys import SUBSCRIPTIONS_SECRETS, identity_keys
from harness.ports import held_port
from harness.waiting import eventually

from .receiver import Received, Receiver, never, receiving
from .world import World, send_all, sending


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
