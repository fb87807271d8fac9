"""Whom a message names: who they are at the call, and nobody who was erased."""

import asyncio

import psycopg
from aiohttp import web

from broadsheet_subscriptions.webhooks.sending.sender import WebhookSender

from .receiver import Received, Receiver
from .world import World, send_all, sending


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
