"""Sign-up, confirmation and leaving through the service's routes, on a real database."""

import asyncio

from .conftest import Subscriptions


async def test_a_sign_up_stores_a_pending_subscriber_and_queues_one_confirmation_mail(
    subscriptions: Subscriptions,
) -> None:
    response = await subscriptions.sign_up("Ada@Example.com", "Ada Lovelace")
    assert (response.status_code, response.json()) == (202, {})
    assert subscriptions.state() == "pending"
    ((to, subject, _, _),) = subscriptions.mails()
    assert to == "Ada@example.com"
    assert subject == "Please confirm your subscription to Newsletter"


async def test_following_the_mailed_link_confirms_and_a_second_time_succeeds_too(subscriptions: Subscriptions) -> None:
    await subscriptions.sign_up()
    (token,) = subscriptions.tokens()
    looked_up = await subscriptions.public("confirmations/lookup", token=token)
    assert looked_up.json() == {"newsletter": {"id": 1, "name": "Newsletter"}, "state": "pending"}
    assert subscriptions.state() == "pending"
    for _ in range(2):
        confirmed = await subscriptions.public("confirmations", token=token)
        assert confirmed.status_code == 200
        assert confirmed.json()["state"] == "confirmed"
    assert subscriptions.state() == "confirmed"


async def test_twenty_sign_ups_of_one_address_at_once_are_one_subscriber_and_one_mail(
    subscriptions: Subscriptions,
) -> None:
    responses = await asyncio.gather(
        *(subscriptions.sign_up(email) for email in ["ada@example.com", "ADA@example.com"] * 10)
    )
    assert {response.status_code for response in responses} == {202}
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(1,)]
    assert len(subscriptions.mails()) == 1
