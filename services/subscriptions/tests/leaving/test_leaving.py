"""Leaving, by the signed link in a mail and by the operator, on a real database."""

import msgspec
from litestar.testing import AsyncTestClient

from broadsheet_common.contracts.identity import IdentityMinter
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.process.settings import Secret
from broadsheet_subscriptions.app import create_app
from harness.cluster import Database
from harness.keys import LINK_SIGNING_KEYS, identity_keys

from ..conftest import Subscriptions, settings_for


async def test_the_link_shows_what_it_leads_to_and_changes_nothing(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    looked_up = await subscriptions.public("unsubscribes/lookup", token=subscriptions.unsubscribe_token())
    assert looked_up.status_code == 200
    assert looked_up.json() == {"newsletter": {"id": 1, "name": "Newsletter"}, "state": "confirmed"}
    assert subscriptions.state() == "confirmed"


async def test_leaving_by_link_works_and_a_second_time_succeeds_too(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    query = "SELECT unsubscribed_at FROM subscriptions.subscription"
    times = []
    for _ in range(2):
        response = await subscriptions.public("unsubscribes", token=subscriptions.unsubscribe_token())
        assert (response.status_code, response.json()["state"]) == (200, "unsubscribed")
        times.append(subscriptions.rows(query))
    assert subscriptions.state() == "unsubscribed"
    assert times[0] == times[1]


async def test_leaving_one_newsletter_keeps_the_others(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    second = subscriptions.add_newsletter("second")
    await subscriptions.public("subscriptions", email="ada@example.com", name="Ada", newsletter_id=second)
    await subscriptions.public("confirmations", token=subscriptions.tokens()[-1])
    token = subscriptions.signer.sign("unsubscribe", subscriptions.subscription_id(newsletter_id=second))
    assert (await subscriptions.public("unsubscribes", token=token)).json()["newsletter"]["name"] == "Second"
    assert subscriptions.rows("SELECT state FROM subscriptions.subscription ORDER BY newsletter_id") == [
        ("confirmed",),
        ("unsubscribed",),
    ]


async def test_the_operator_unsubscribes_from_one_newsletter_or_from_all(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    second = subscriptions.add_newsletter("second")
    await subscriptions.public("subscriptions", email="ada@example.com", name="Ada", newsletter_id=second)
    subscriber = (await subscriptions.get("")).json()["items"][0]
    path = f"/{subscriber['id']}/unsubscribe"
    one = await subscriptions.post(path, {"newsletter_id": 1})
    assert one.status_code == 200
    assert [item["state"] for item in one.json()["subscriptions"]] == ["unsubscribed", "pending"]
    for _ in range(2):
        every = await subscriptions.post(path, {"newsletter_id": None})
        assert [item["state"] for item in every.json()["subscriptions"]] == ["unsubscribed", "unsubscribed"]


async def test_unsubscribing_from_a_newsletter_never_subscribed_to_says_so(subscriptions: Subscriptions) -> None:
    await subscriptions.subscribe_and_confirm()
    subscriber = (await subscriptions.get("")).json()["items"][0]
    response = await subscriptions.post(f"/{subscriber['id']}/unsubscribe", {"newsletter_id": 77})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/newsletter_id"
    assert subscriptions.state() == "confirmed"


async def test_unsubscribing_nobody_is_not_found(subscriptions: Subscriptions) -> None:
    assert (await subscriptions.post("/12345/unsubscribe", {})).status_code == 404


async def test_links_work_after_years_and_after_the_key_was_rotated(
    subscriptions: Subscriptions, database: Database
) -> None:
    """A new key in front, the old one kept: both kinds of link work. Without the old one its links are unknown."""
    await subscriptions.subscribe_and_confirm()
    old = subscriptions.unsubscribe_token()
    subscriptions.rows(
        "UPDATE subscriptions.subscription SET created_at = now() - interval '9 years',"
        " confirmed_at = now() - interval '9 years'"
    )
    new_key = "k2:" + "ef" * 32
    new = LinkSigner.parse(new_key).sign("unsubscribe", subscriptions.subscription_id())
    for keys, expected in (
        (f"{new_key},{LINK_SIGNING_KEYS.reveal()}", {old: 200, new: 200}),
        (new_key, {old: 404, new: 200}),
    ):
        app = create_app(msgspec.structs.replace(settings_for(database), link_signing_keys=Secret(keys)))
        async with AsyncTestClient(app) as client:
            rotated = Subscriptions(app, client, IdentityMinter(identity_keys()[0]), database.owner_url)
            for token, status in expected.items():
                subscriptions.rows("UPDATE subscriptions.subscription SET state = 'confirmed', unsubscribed_at = NULL")
                assert (await rotated.public("unsubscribes", token=token)).status_code == status
                assert subscriptions.state() == ("unsubscribed" if status == 200 else "confirmed")
