"""The subscriber API, on a real database."""

import asyncio
from datetime import datetime

from ..conftest import Subscriptions

ADA = {"email": "ada@example.com", "name": "Ada Lovelace"}


async def test_a_new_subscriber_is_created_pending_and_gets_a_confirmation_mail(subscriptions: Subscriptions) -> None:
    response = await subscriptions.post("", ADA)
    assert response.status_code == 201
    body = response.json()
    assert (body["email"], body["name"]) == ("ada@example.com", "Ada Lovelace")
    (subscription,) = body["subscriptions"]
    assert (subscription["newsletter_id"], subscription["state"]) == (1, "pending")
    assert (subscription["confirmed_at"], subscription["unsubscribed_at"]) == (None, None)
    assert datetime.fromisoformat(body["created_at"]).utcoffset() is not None
    assert len(subscriptions.mails()) == 1
    assert (await subscriptions.get(f"/{body['id']}")).json() == body


async def test_an_address_that_is_there_is_answered_as_it_is(subscriptions: Subscriptions) -> None:
    first = await subscriptions.post("", ADA)
    second = await subscriptions.post("", {"email": "ADA@example.com", "name": "Somebody Else"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert len(subscriptions.mails()) == 1


async def test_the_same_key_replays_the_first_answer(subscriptions: Subscriptions) -> None:
    first = await subscriptions.post("", ADA, key="a")
    second = await subscriptions.post("", ADA, key="a")
    assert (second.status_code, second.json()) == (201, first.json())


async def test_the_same_key_with_another_body_is_refused(subscriptions: Subscriptions) -> None:
    await subscriptions.post("", ADA, key="a")
    response = await subscriptions.post("", ADA | {"email": "bob@example.com"}, key="a")
    assert (response.status_code, response.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")
    assert subscriptions.rows("SELECT count(*) FROM subscriptions.subscriber") == [(1,)]


async def test_keys_of_two_callers_never_meet(subscriptions: Subscriptions) -> None:
    await subscriptions.post("", ADA, key="a", subject="key:1")
    response = await subscriptions.post("", ADA | {"email": "bob@example.com"}, key="a", subject="key:2")
    assert response.status_code == 201


async def test_the_same_key_at_once_creates_one_and_gives_equal_answers(subscriptions: Subscriptions) -> None:
    responses = await asyncio.gather(*(subscriptions.post("", ADA, key="a") for _ in range(20)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1


async def test_a_refused_request_does_not_use_its_key_up(subscriptions: Subscriptions) -> None:
    assert (await subscriptions.post("", ADA | {"newsletter_id": 77}, key="a")).status_code == 422
    assert (await subscriptions.post("", ADA, key="a")).status_code == 201


async def test_unsubscribing_takes_a_key_too(subscriptions: Subscriptions) -> None:
    subscriber_id = (await subscriptions.post("", ADA)).json()["id"]
    first = await subscriptions.post(f"/{subscriber_id}/unsubscribe", {}, key="a")
    await subscriptions.post("", ADA)
    assert (await subscriptions.post(f"/{subscriber_id}/unsubscribe", {}, key="a")).json() == first.json()
    assert subscriptions.state() == "pending"


async def test_the_list_is_paged_newest_first_without_gaps_or_repeats(subscriptions: Subscriptions) -> None:
    for number in range(7):
        await subscriptions.sign_up(f"reader-{number}@example.com")
    seen, cursor = [], None
    for _ in range(4):
        page = (await subscriptions.get("", limit=2, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["email"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == [f"reader-{number}@example.com" for number in reversed(range(7))]


async def test_a_page_that_is_exactly_full_has_no_next_one(subscriptions: Subscriptions) -> None:
    for number in range(2):
        await subscriptions.sign_up(f"reader-{number}@example.com")
    page = (await subscriptions.get("", limit=2)).json()
    assert (len(page["items"]), page["next_cursor"]) == (2, None)
    assert (await subscriptions.get("", email="nobody@example.com")).json() == {"items": [], "next_cursor": None}


async def test_the_list_is_filtered_by_state_newsletter_and_address(subscriptions: Subscriptions) -> None:
    second = subscriptions.add_newsletter("second")
    await subscriptions.subscribe_and_confirm("ada@example.com")
    await subscriptions.sign_up("bob@example.com")
    await subscriptions.public("subscriptions", email="ada@example.com", name="Ada", newsletter_id=second)

    async def emails(**query: object) -> list[str]:
        return [item["email"] for item in (await subscriptions.get("", **query)).json()["items"]]

    assert await emails() == ["bob@example.com", "ada@example.com"]
    assert await emails(state="confirmed") == ["ada@example.com"]
    assert await emails(state="pending") == ["bob@example.com", "ada@example.com"]
    assert await emails(newsletter_id=second) == ["ada@example.com"]
    assert await emails(newsletter_id=second, state="confirmed") == []
    assert await emails(email="ADA@example.com") == ["ada@example.com"]
    assert await emails(email="ada@example.com", state="unsubscribed") == []


async def test_many_are_looked_up_at_once_by_their_ids(subscriptions: Subscriptions) -> None:
    for number in range(4):
        await subscriptions.sign_up(f"reader-{number}@example.com")
    ids = [row[0] for row in subscriptions.rows("SELECT id FROM subscriptions.subscriber ORDER BY id")]
    wanted = [ids[0], ids[3], ids[0], 999_999]
    found = await subscriptions.get("", id=wanted)
    assert found.status_code == 200
    assert [one["id"] for one in found.json()["items"]] == [ids[3], ids[0]]
    assert found.json()["next_cursor"] is None
    for more, expected in (
        ({"newsletter_id": 1}, [ids[3], ids[0]]),
        ({"newsletter_id": 2}, []),
        ({"email": "reader-3@example.com"}, [ids[3]]),
        ({"email": "reader-1@example.com"}, []),
        ({"email_prefix": "reader-0"}, [ids[0]]),
        ({"state": "confirmed"}, []),
    ):
        found = await subscriptions.get("", id=wanted, **more)
        assert [one["id"] for one in found.json()["items"]] == expected, more
    paged = (await subscriptions.get("", id=wanted, limit=1)).json()
    assert [one["id"] for one in paged["items"]] == [ids[3]]
    rest = (await subscriptions.get("", id=wanted, limit=1, cursor=paged["next_cursor"])).json()
    assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)


async def test_at_most_a_hundred_ids_are_looked_up_at_once(subscriptions: Subscriptions) -> None:
    assert (await subscriptions.get("", id=list(range(1, 101)))).status_code == 200
    for wrong in (list(range(1, 102)), [0], [-1], [2**63], ["x"]):
        assert (await subscriptions.get("", id=wrong)).status_code == 400, wrong
