"""An endpoint over its life: its secrets are rotated, it fails and is disabled, and what it still gets then."""

from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.outgoing.target import TargetPolicy
from broadsheet_subscriptions.webhooks.endpoints.endpoint import FAILURES_BEFORE_DISABLING
from broadsheet_subscriptions.webhooks.endpoints.rotate_secret import rotate_secret
from broadsheet_subscriptions.webhooks.log.send_again import queue_test
from broadsheet_subscriptions.webhooks.sending.sender import WebhookSender

from .receiver import Receiver
from .world import BOX, World, send_all, sending


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


async def test_where_http_is_not_allowed_any_more_a_url_from_before_is_not_called(
    world: World, receiver: Receiver
) -> None:
    await world.add_endpoint(receiver.url())
    world.add_people(1)
    async with sending(world.engine, targets=TargetPolicy()) as sender:
        await send_all(sender)
    assert receiver.received == []
    assert world.rows("SELECT error FROM subscriptions.webhook_attempt") == [("url_refused",)]
