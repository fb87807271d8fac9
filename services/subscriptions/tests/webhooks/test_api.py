"""The API on webhook endpoints and the log of what was sent to them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import Response

from broadsheet_subscriptions.webhooks.endpoints.endpoint import ENDPOINTS_MAX
from broadsheet_subscriptions.webhooks.sending.sender import WebhookSender
from harness.cluster import Database

from ..conftest import Subscriptions, running_subscriptions
from .receiver import Receiver
from .world import World, send_all

GOOD = {"url": "https://hooks.example.com/broadsheet", "events": ["subscriber.confirmed"]}


class Api:
    """The service as an operator's program calls it."""

    def __init__(self, service: Subscriptions) -> None:
        self._service = service

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        scope: str = "admin",
        key: str | None = None,
        if_match: str | None = "*",
    ) -> Response:
        headers = self._service.identity(scope) | ({"Idempotency-Key": key} if key else {})
        headers |= {"If-Match": if_match} if if_match and method == "PATCH" else {}
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        return await self._service.client.request(method, f"/api/v1/{path}", headers=headers, **arguments)

    async def create(self, **changed: object) -> dict[str, Any]:
        answer = await self("POST", "webhook-endpoints", GOOD | changed)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with running_subscriptions(database) as running:
        yield Api(running)


def pointers(answer: Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_an_endpoint_is_made_with_a_secret_that_is_shown_this_once(api: Api, world: World) -> None:
    created = await api.create(description="CRM", newsletter_ids=[1])
    secret = created.pop("secret")
    assert secret.startswith("whsec_")
    assert created == {
        "id": created["id"],
        "url": GOOD["url"],
        "description": "CRM",
        "events": ["subscriber.confirmed"],
        "newsletter_ids": [1],
        "enabled": True,
        "disabled_reason": None,
        "disabled_at": None,
        "failing_since": None,
        "created_at": created["created_at"],
    }
    shown = await api("GET", f"webhook-endpoints/{created['id']}")
    assert shown.json() == created
    listed = await api("GET", "webhook-endpoints")
    assert listed.json() == {"items": [created], "next_cursor": None}
    ((sealed,),) = world.rows("SELECT sealed FROM subscriptions.webhook_secret")
    assert secret.removeprefix("whsec_") not in sealed


async def test_a_create_that_is_sent_again_answers_the_same_and_its_secret_lies_nowhere_in_the_clear(
    api: Api, world: World
) -> None:
    first = await api("POST", "webhook-endpoints", GOOD, key="a")
    again = await api("POST", "webhook-endpoints", GOOD, key="a")
    assert (again.status_code, again.json()) == (201, first.json())
    assert world.rows("SELECT count(*) FROM subscriptions.webhook_endpoint") == [(1,)]
    ((kept,),) = world.rows("SELECT body FROM subscriptions.idempotency_key")
    assert first.json()["secret"].removeprefix("whsec_").encode() not in bytes(kept)
    other = await api("POST", "webhook-endpoints", GOOD | {"description": "other"}, key="a")
    assert other.status_code == 422


async def test_a_rotation_that_is_sent_again_gives_the_same_secret(api: Api) -> None:
    endpoint = await api.create()
    path = f"webhook-endpoints/{endpoint['id']}/rotate-secret"
    first = await api("POST", path, {"overlap_s": 0}, key="a")
    again = await api("POST", path, {"overlap_s": 0}, key="a")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["secret"] != endpoint["secret"]


@pytest.mark.parametrize(
    ("changed", "status", "pointer"),
    [
        ({"url": "http://hooks.example.com"}, 422, "/url"),
        ({"url": "https://127.0.0.1/"}, 422, "/url"),
        ({"url": "https://user:password@hooks.example.com"}, 422, "/url"),
        ({"url": "https://hooks.example.com/\u0000"}, 422, "/url"),
        ({"url": ""}, 400, "/url"),
        ({"url": "https://" + "a" * 3_000}, 400, "/url"),
        ({"description": "a\u0000b"}, 422, "/description"),
        ({"description": "a" * 501}, 400, "/description"),
        ({"events": []}, 400, "/events"),
        ({"events": ["subscriber.eaten"]}, 400, "/events/0"),
        ({"newsletter_ids": []}, 400, "/newsletter_ids"),
        ({"newsletter_ids": [1, 987654321]}, 422, "/newsletter_ids"),
        ({"newsletter_ids": [2**63]}, 400, "/newsletter_ids/0"),
        ({"enabled": "yes"}, 400, "/enabled"),
        ({"surprise": 1}, 400, "/surprise"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_wrong_with_an_endpoint_is_named(
    api: Api, world: World, changed: dict[str, object], status: int, pointer: str
) -> None:
    answer = await api("POST", "webhook-endpoints", GOOD | changed)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert pointers(answer) == [pointer]
    assert world.rows("SELECT 1 FROM subscriptions.webhook_endpoint") == []


async def test_what_is_left_out_of_a_change_stays(api: Api) -> None:
    created = await api.create(newsletter_ids=[1], description="CRM")
    created.pop("secret")
    path = f"webhook-endpoints/{created['id']}"
    assert (await api("PATCH", path, {})).json() == created
    changed = await api("PATCH", path, {"newsletter_ids": None, "events": ["subscriber.bounced"] * 2})
    assert changed.json() == created | {"newsletter_ids": None, "events": ["subscriber.bounced"]}
    refused = await api("PATCH", path, {"url": "http://inside.example.com", "description": "other"})
    assert (refused.status_code, pointers(refused)) == (422, ["/url"])
    assert (await api("GET", path)).json()["description"] == "CRM"


async def test_who_saves_over_what_they_have_not_seen_is_refused_and_told_the_version(api: Api, world: World) -> None:
    path = f"webhook-endpoints/{(await api.create())['id']}"
    first = await api("GET", path)
    assert (await api("GET", path)).headers["etag"] == first.headers["etag"]
    saved = await api("PATCH", path, {"description": "Ada's"}, if_match=first.headers["etag"])
    assert (saved.status_code, saved.headers["etag"]) == (200, (await api("GET", path)).headers["etag"])
    late = await api("PATCH", path, {"description": "Bob's"}, if_match=first.headers["etag"])
    assert (late.status_code, late.json()["type"]) == (412, "urn:broadsheet:problem:precondition-failed")
    assert late.headers["etag"] == saved.headers["etag"]
    assert (await api("GET", path)).json()["description"] == "Ada's"
    unsaid = await api("PATCH", path, {"description": "Bob's"}, if_match=None)
    assert (unsaid.status_code, unsaid.json()["type"]) == (428, "urn:broadsheet:problem:precondition-required")


async def test_what_its_calls_did_to_an_endpoint_prevents_no_edit_but_is_another_answer(api: Api, world: World) -> None:
    path = f"webhook-endpoints/{(await api.create())['id']}"
    before = (await api("GET", path)).headers["etag"]
    world.rows("UPDATE subscriptions.webhook_endpoint SET failing_since = now()")
    assert (await api("GET", path)).headers["etag"] != before
    assert (await api("PATCH", path, {"description": "Still"}, if_match=before)).status_code == 200


async def test_an_endpoint_that_was_disabled_starts_anew_when_it_is_enabled(api: Api, world: World) -> None:
    created = await api.create()
    world.rows(
        "UPDATE subscriptions.webhook_endpoint SET enabled = false, disabled_at = now(), "
        "disabled_reason = 'It failed.', failing_since = now() - interval '6 days', failure_count = 99"
    )
    path = f"webhook-endpoints/{created['id']}"
    shown = (await api("GET", path)).json()
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "It failed.")
    assert (await api("PATCH", path, {"description": "b"})).json()["disabled_reason"] == "It failed."
    enabled = (await api("PATCH", path, {"enabled": True})).json()
    assert (enabled["enabled"], enabled["disabled_reason"], enabled["failing_since"]) == (True, None, None)
    assert world.rows("SELECT failure_count FROM subscriptions.webhook_endpoint") == [(0,)]


async def test_a_removed_endpoint_is_gone_at_once(api: Api, world: World, sender: WebhookSender) -> None:
    created = await api.create()
    world.add_people(1)
    path = f"webhook-endpoints/{created['id']}"
    assert (await api("DELETE", path)).status_code == 204
    world.add_people(1, prefix="later")
    ((delivery_id,),) = world.rows("SELECT id FROM subscriptions.webhook_delivery")
    for method, gone, body in (
        ("GET", path, None),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", None),
        ("POST", f"{path}/rotate-secret", {}),
        ("GET", f"{path}/deliveries", None),
        ("GET", f"webhook-deliveries/{delivery_id}", None),
        ("POST", f"webhook-deliveries/{delivery_id}/retry", None),
    ):
        scope = "admin"
        answer = await api(method, gone, body, scope=scope)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:broadsheet:problem:not-found"), gone
    assert (await api("GET", "webhook-endpoints")).json()["items"] == []
    assert await send_all(sender) == 0
    assert world.rows("SELECT 1 FROM subscriptions.webhook_secret") == []


async def test_there_is_room_for_so_many_endpoints_and_no_more(api: Api, world: World) -> None:
    created = [await api.create() for _ in range(ENDPOINTS_MAX)]
    refused = await api("POST", "webhook-endpoints", GOOD)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:too-many-webhook-endpoints")
    first_page = (await api("GET", "webhook-endpoints?limit=30")).json()
    second_page = (await api("GET", f"webhook-endpoints?limit=30&cursor={first_page['next_cursor']}")).json()
    ids = [item["id"] for item in first_page["items"] + second_page["items"]]
    assert (len(set(ids)), ids, second_page["next_cursor"]) == (ENDPOINTS_MAX, sorted(ids, reverse=True), None)
    await api("DELETE", f"webhook-endpoints/{created[-1]['id']}")
    await api.create()


async def test_the_log_tells_each_attempt_and_when_the_next_is_made(
    api: Api, world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.status, receiver.body = 503, b"<h1>Down</h1> ada-1@example.com"
    endpoint_id, _ = await world.add_endpoint(receiver.url())
    world.add_people(1, prefix="ada")
    await send_all(sender)
    listed = (await api("GET", f"webhook-endpoints/{endpoint_id}/deliveries", scope="admin")).json()
    [delivery] = listed["items"]
    assert delivery["message_id"] == receiver.received[0].message_id
    assert (delivery["type"], delivery["status"], delivery["newsletter_id"]) == ("subscriber.confirmed", "waiting", 1)
    assert delivery["next_attempt_at"] > delivery["occurred_at"]
    [attempt] = delivery["attempts"]
    assert (attempt["http_status"], attempt["error"], attempt["answer"]) == (503, None, "<h1>Down</h1> [address]")
    assert attempt["duration_ms"] >= 0

    receiver.status = 200
    retried = await api("POST", f"webhook-deliveries/{delivery['id']}/retry", scope="admin")
    assert (retried.status_code, retried.json()["status"]) == (202, "waiting")
    await send_all(sender)
    shown = (await api("GET", f"webhook-deliveries/{delivery['id']}", scope="admin")).json()
    assert (shown["status"], shown["next_attempt_at"]) == ("delivered", None)
    assert [one["http_status"] for one in shown["attempts"]] == [200, 503]


async def test_the_log_has_pages_and_a_filter(
    api: Api, world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    endpoint_id, _ = await world.add_endpoint(receiver.url())
    world.add_people(5)
    await send_all(sender)
    world.add_people(3, prefix="later")
    path = f"webhook-endpoints/{endpoint_id}/deliveries"
    ids, cursor = [], ""
    for _ in range(10):
        page = (await api("GET", f"{path}?limit=3{cursor}", scope="admin")).json()
        ids += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert (len(ids), ids) == (8, sorted(ids, reverse=True))
    waiting = (await api("GET", f"{path}?status=waiting", scope="admin")).json()["items"]
    assert {item["status"] for item in waiting} == {"waiting"}
    assert len(waiting) == 3
    wrong = await api("GET", f"{path}?status=eaten", scope="admin")
    assert (wrong.status_code, pointers(wrong)) == (400, ["/status"])


async def test_a_test_is_queued_once_for_a_key_and_its_end_can_be_read(
    api: Api, world: World, sender: WebhookSender, receiver: Receiver
) -> None:
    endpoint_id, _ = await world.add_endpoint(receiver.url())
    first = await api("POST", f"webhook-endpoints/{endpoint_id}/test", key="a")
    again = await api("POST", f"webhook-endpoints/{endpoint_id}/test", key="a")
    assert (first.status_code, again.json()) == (202, first.json())
    assert await send_all(sender) == 1
    shown = (await api("GET", f"webhook-deliveries/{first.json()['id']}", scope="admin")).json()
    assert (shown["type"], shown["status"], shown["attempts"][0]["answer"]) == (
        "webhook.test",
        "delivered",
        "thank you",
    )


async def test_what_is_about_somebody_removed_cannot_be_retried(api: Api, world: World) -> None:
    await api.create()
    world.add_people(1)
    world.rows("DELETE FROM subscriptions.subscriber")
    ((delivery_id,),) = world.rows("SELECT id FROM subscriptions.webhook_delivery WHERE status = 'cancelled'")
    answer = await api("POST", f"webhook-deliveries/{delivery_id}/retry", scope="admin")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:broadsheet:problem:webhook-cancelled")


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_endpoints_are_for_administrators(api: Api, scope: str) -> None:
    """They are sent every address, and their URLs may hold secrets."""
    created = await api.create()
    path = f"webhook-endpoints/{created['id']}"
    for method, asked, body in (
        ("GET", "webhook-endpoints", None),
        ("POST", "webhook-endpoints", GOOD),
        ("GET", path, None),
        ("PATCH", path, {}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", None),
        ("POST", f"{path}/rotate-secret", {}),
    ):
        assert (await api(method, asked, body, scope=scope)).status_code == 403, (method, asked)
    assert (await api("POST", "webhook-deliveries/1/retry", scope="read")).status_code == 403
