"""`/api/v1/subscribers` through the gateway."""

from typing import Any

import pytest

from harness.system import System

SUBSCRIBERS = "/api/v1/subscribers"
READER = "reader@example.com"


async def _create(system: System, email: str = READER, **more: object) -> dict[str, Any]:
    answer = await system.api.post(SUBSCRIBERS, json={"email": email, "name": "Le Guin", **more})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_a_new_subscriber_is_pending_and_gets_a_confirmation_mail(system: System) -> None:
    created = await _create(system)
    assert (created["email"], created["name"]) == (READER, "Le Guin")
    [subscription] = created["subscriptions"]
    assert (subscription["newsletter_id"], subscription["state"]) == (1, "pending")
    assert subscription["confirmed_at"] is None
    await system.confirm(await system.confirmation_link(READER))
    got = (await system.api.get(f"{SUBSCRIBERS}/{created['id']}")).json()
    assert got["subscriptions"][0]["state"] == "confirmed"
    assert got["subscriptions"][0]["confirmed_at"] is not None


async def test_a_known_address_is_200_with_the_subscriber_that_is_there(system: System) -> None:
    created = await _create(system)
    again = await system.api.post(SUBSCRIBERS, json={"email": "READER@example.com", "name": "Other"})
    assert (again.status_code, again.json()) == (200, created)


async def test_the_same_idempotency_key_gives_the_first_answer_and_another_body_is_422(system: System) -> None:
    headers = {"Idempotency-Key": "key-1"}
    body = {"email": READER, "name": "Le Guin"}
    first = await system.api.post(SUBSCRIBERS, json=body, headers=headers)
    second = await system.api.post(SUBSCRIBERS, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    other = await system.api.post(SUBSCRIBERS, json={**body, "name": "Other"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:broadsheet:problem:idempotency-key-reused"


async def test_the_list_can_be_narrowed_by_state_newsletter_and_address(system: System) -> None:
    system.seed.subscribers(3, prefix="confirmed")
    system.seed.subscribers(2, prefix="pending", state="pending")

    async def found(**filters: str | int) -> list[str]:
        items = (await system.api.get(SUBSCRIBERS, params=filters)).json()["items"]
        return sorted(item["email"] for item in items)

    assert await found(state="pending") == ["pending-1@example.com", "pending-2@example.com"]
    assert len(await found(newsletter_id=1)) == 5
    assert await found(newsletter_id=999) == []
    assert await found(email="CONFIRMED-2@example.com") == ["confirmed-2@example.com"]
    assert await found(email="confirmed-2@example.com", state="pending") == []


async def test_pages_of_a_list_cover_everybody_once_newest_first(system: System) -> None:
    ids = system.seed.subscribers(25)
    seen: list[int] = []
    cursor: str | None = None
    for size in (10, 10, 5):
        params = {"limit": "10"} | ({"cursor": cursor} if cursor else {})
        page = (await system.api.get(SUBSCRIBERS, params=params)).json()
        assert len(page["items"]) == size
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == sorted(ids, reverse=True)


async def test_a_page_that_is_just_full_is_the_last(system: System) -> None:
    system.seed.subscribers(10)
    page = (await system.api.get(SUBSCRIBERS, params={"limit": 10})).json()
    assert (len(page["items"]), page["next_cursor"]) == (10, None)


async def test_unsubscribing_takes_effect_and_is_idempotent(system: System) -> None:
    [subscriber_id, other] = system.seed.subscribers(2)
    for _ in range(2):
        answer = await system.api.post(f"{SUBSCRIBERS}/{subscriber_id}/unsubscribe", json={})
        assert answer.status_code == 200
        assert [one["state"] for one in answer.json()["subscriptions"]] == ["unsubscribed"]
    await system.log_in()
    await system.publish_by_form()
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails()] == ["reader-2@example.com"]
    assert other


async def test_unsubscribing_from_a_newsletter_that_one_never_had_is_422(system: System) -> None:
    [subscriber_id] = system.seed.subscribers(1)
    answer = await system.api.post(f"{SUBSCRIBERS}/{subscriber_id}/unsubscribe", json={"newsletter_id": 999})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/newsletter_id"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "nobody", "name": "A"}, "/email"),
        ({"email": READER, "name": ""}, "/name"),
        ({"email": READER, "name": "A", "newsletter_id": 999}, "/newsletter_id"),
    ],
)
async def test_invalid_input_is_422_and_names_the_field(system: System, body: dict[str, object], pointer: str) -> None:
    answer = await system.api.post(SUBSCRIBERS, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert system.seed.count("subscriptions.subscriber") == 0


async def test_people_are_looked_up_by_their_ids_in_one_request(system: System) -> None:
    ids = system.seed.subscribers(3)
    found = (await system.api.get(SUBSCRIBERS, params={"id": [ids[2], ids[0], 999_999]})).json()
    assert [one["id"] for one in found["items"]] == [ids[2], ids[0]]
    issue = await system.api.get("/api/v1/issues/999/deliveries", params={"subscriber_id": ids})
    assert issue.status_code == 404


async def test_the_mail_that_asks_to_confirm_is_sent_again_once_a_key(system: System) -> None:
    created = await _create(system)
    first = await system.confirmation_link(READER)
    path = f"{SUBSCRIBERS}/{created['id']}/send-confirmation"
    refused = await system.api.post(path, json={"newsletter_id": 1})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:sent-lately")
    assert int(refused.headers["retry-after"]) > 0
    system.seed.execute(
        "UPDATE subscriptions.subscription SET confirmation_queued_at = confirmation_queued_at - interval '1 hour'"
    )
    answers = [
        await system.api.post(path, json={"newsletter_id": 1}, headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    await system.deliver_all_pending()
    second = await system.confirmation_link(READER)
    assert second != first
    await system.confirm(second)
    refused = await system.api.post(path, json={"newsletter_id": 1})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:not-pending")
