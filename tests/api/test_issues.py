"""`/api/v1/issues` and `/api/v1/newsletters` through the gateway."""

import asyncio
from typing import Any

import httpx
import pytest

from harness.system import System

ISSUES = "/api/v1/issues"
BODY = {"title": "First", "format": "html", "content": "<p>HTML</p>", "text_content": "Text"}
ZERO = dict.fromkeys(
    ["audience", "pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled"], 0
)


async def _draft(system: System, **changes: object) -> dict[str, Any]:
    answer = await system.api.post(ISSUES, json={**BODY, **changes})
    assert answer.status_code == 201, answer.text
    issue: dict[str, Any] = answer.json()
    return issue


async def test_the_newsletters_are_listed_with_the_default_one(system: System) -> None:
    page = (await system.api.get("/api/v1/newsletters")).json()
    [newsletter] = page["items"]
    assert (newsletter["slug"], newsletter["is_default"], page["next_cursor"]) == ("newsletter", True, None)
    assert (await system.api.get(f"/api/v1/newsletters/{newsletter['id']}")).json() == newsletter


async def test_an_issue_begins_as_a_draft_with_all_counts_0(system: System) -> None:
    issue = await _draft(system)
    assert issue["status"] == "draft"
    assert issue["counts"] == ZERO
    assert (issue["content"], issue["text_content"]) == ("<p>HTML</p>", "Text")
    assert (await system.api.get(f"{ISSUES}/{issue['id']}")).json() == issue
    system.seed.subscribers(1)
    await system.deliver_all_pending()
    assert system.oracle.messages() == [], "a draft is not sent"


async def test_a_published_issue_is_sent_and_its_counts_say_so(system: System) -> None:
    system.seed.subscribers(3)
    issue = await _draft(system)
    published = await system.api.post(f"{ISSUES}/{issue['id']}/publish")
    assert published.status_code == 202
    assert published.json()["published_at"] is not None
    await system.deliver_all_pending()
    sent = (await system.api.get(f"{ISSUES}/{issue['id']}")).json()
    assert (sent["status"], sent["counts"]) == ("sent", {**ZERO, "audience": 3, "accepted": 3})
    assert sent["finished_at"] is not None


async def test_an_issue_can_be_created_and_published_in_one_request(system: System) -> None:
    system.seed.subscribers(2)
    answer = await system.api.post(ISSUES, json={**BODY, "publish": True})
    assert answer.status_code == 201
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 2


async def test_the_list_is_newest_first_with_counts_and_without_contents(system: System) -> None:
    system.seed.subscribers(1)
    await _draft(system, title="Draft")
    await _draft(system, title="Published", publish=True)
    await system.deliver_all_pending()
    items = (await system.api.get(ISSUES)).json()["items"]
    assert [(item["title"], item["status"], item["counts"]["accepted"]) for item in items] == [
        ("Published", "sent", 1),
        ("Draft", "draft", 0),
    ]
    assert not {"content", "text_content"} & set(items[0])


async def test_pages_of_issues_cover_all_of_them_once(system: System) -> None:
    ids = [(await _draft(system, title=f"Issue {n}"))["id"] for n in range(7)]
    first = (await system.api.get(ISSUES, params={"limit": 4})).json()
    second = (await system.api.get(ISSUES, params={"limit": 4, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_publishing_twice_is_409_already_published(system: System) -> None:
    system.seed.subscribers(1)
    issue = await _draft(system)
    await system.api.post(f"{ISSUES}/{issue['id']}/publish")
    again = await system.api.post(f"{ISSUES}/{issue['id']}/publish")
    assert (again.status_code, again.json()["type"]) == (409, "urn:broadsheet:problem:already-published")


async def test_the_same_key_and_body_give_the_same_answer_and_one_issue(system: System) -> None:
    system.seed.subscribers(1)
    headers = {"Idempotency-Key": "key-1"}
    first = await system.api.post(ISSUES, json={**BODY, "publish": True}, headers=headers)
    await system.deliver_all_pending()
    second = await system.api.post(ISSUES, json={**BODY, "publish": True}, headers=headers)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 1
    assert system.seed.count("publishing.issue") == 1


async def test_the_same_key_with_another_body_is_422(system: System) -> None:
    headers = {"Idempotency-Key": "key-1"}
    await system.api.post(ISSUES, json=BODY, headers=headers)
    other = await system.api.post(ISSUES, json={**BODY, "title": "Other"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")
    assert system.seed.count("publishing.issue") == 1


async def test_one_key_twenty_times_at_once_publishes_once_with_equal_answers(system: System) -> None:
    system.seed.subscribers(2)
    issue = await _draft(system)

    async def publish() -> httpx.Response:
        return await system.api.post(f"{ISSUES}/{issue['id']}/publish", headers={"Idempotency-Key": "key-1"})

    answers = await asyncio.gather(*(publish() for _ in range(20)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 2


async def test_twenty_publishers_at_once_without_a_key_publish_once(system: System) -> None:
    system.seed.subscribers(2)
    issue = await _draft(system)
    answers = await asyncio.gather(*(system.api.post(f"{ISSUES}/{issue['id']}/publish") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 19
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 2


async def test_a_publish_without_recipients_is_409_and_the_issue_stays_a_draft(system: System) -> None:
    system.seed.subscribers(2, state="unsubscribed")
    issue = await _draft(system)
    answer = await system.api.post(f"{ISSUES}/{issue['id']}/publish")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:broadsheet:problem:no-recipients")
    assert (await system.api.get(f"{ISSUES}/{issue['id']}")).json()["status"] == "draft"
    assert system.seed.count("delivery.issue_run") == 0
    assert system.seed.count("publishing.fan_out") == 0


async def test_deliveries_are_paged_in_order_and_cover_everybody_once(system: System) -> None:
    readers = system.seed.subscribers(23)
    issue_id = (await _draft(system, publish=True))["id"]
    await system.deliver_all_pending()
    seen: list[dict[str, Any]] = []
    params = {"limit": "10"}
    for size in (10, 10, 3):
        page = (await system.api.get(f"{ISSUES}/{issue_id}/deliveries", params=params)).json()
        assert len(page["items"]) == size
        seen += page["items"]
        params["cursor"] = page["next_cursor"]
    assert params["cursor"] is None
    assert [item["subscriber_id"] for item in seen] == readers
    assert {item["status"] for item in seen} == {"accepted"}
    assert {item["message_id"] for item in seen} == {str(mail.message_id) for mail in system.newsletter_mails()}


async def test_deliveries_can_be_narrowed_by_status(system: System) -> None:
    readers = system.seed.subscribers(3)
    issue_id = (await _draft(system, publish=True))["id"]
    await system.fan_outs_finished()
    system.seed.leave(readers[1])
    await system.deliver_all_pending()
    page = (await system.api.get(f"{ISSUES}/{issue_id}/deliveries", params={"status": "excluded"})).json()
    [excluded] = page["items"]
    assert excluded["subscriber_id"] == readers[1]
    assert "unsubscribed" in excluded["reason"]


async def test_a_paused_issue_sends_nothing_until_it_is_resumed(system: System) -> None:
    system.seed.subscribers(3)
    issue_id = (await _draft(system, publish=True))["id"]
    paused = await system.api.post(f"{ISSUES}/{issue_id}/pause", json={"reason": "A wrong link."})
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    await system.deliver_all_pending()
    assert system.newsletter_mails() == []
    shown = (await system.api.get(f"{ISSUES}/{issue_id}")).json()
    assert (shown["status"], shown["status_reason"]) == ("paused", "A wrong link.")
    resumed = await system.api.post(f"{ISSUES}/{issue_id}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "open")
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 3
    assert (await system.api.get(f"{ISSUES}/{issue_id}")).json()["status"] == "sent"


async def test_a_sent_issue_can_be_neither_paused_nor_published_again(system: System) -> None:
    system.seed.subscribers(1)
    issue_id = (await _draft(system, publish=True))["id"]
    await system.deliver_all_pending()
    assert (await system.api.post(f"{ISSUES}/{issue_id}/pause", json={})).status_code == 409
    assert (await system.api.post(f"{ISSUES}/{issue_id}/publish")).status_code == 409


async def test_the_senders_can_be_seen_paused_and_resumed(system: System) -> None:
    answer = await system.api.get("/api/v1/senders")
    shown, seen = answer.json(), {"If-Match": answer.headers["etag"]}
    assert (shown["sending"]["state"], shown["sending"]["reason"], shown["replicas"]) == ("running", None, [])
    limited = await system.api.patch("/api/v1/senders", json={"messages_per_s_max": 1000}, headers=seen)
    assert (limited.status_code, limited.json()["messages_per_s_max"]) == (200, 1000)
    late = await system.api.patch("/api/v1/senders", json={"messages_per_s_max": 500}, headers=seen)
    assert (late.status_code, late.json()["type"]) == (412, "urn:broadsheet:problem:precondition-failed")
    paused = await system.api.post("/api/v1/senders/pause", json={"reason": "Maintenance."})
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    system.seed.subscribers(1)
    await _draft(system, publish=True)
    await system.deliver_all_pending()
    assert system.newsletter_mails() == []
    assert (await system.api.post("/api/v1/senders/resume")).json()["state"] == "running"
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 1


async def test_an_issue_of_another_newsletter_goes_to_its_own_subscribers(system: System) -> None:
    system.seed.subscribers(2)
    [(made,)] = system.seed.execute(
        "INSERT INTO publishing.newsletter (slug, name, postal_address) VALUES ('second', 'Second', 'x') RETURNING id"
    )
    other = int(str(made))
    created = await system.api.post(
        "/api/v1/subscribers", json={"email": "second@example.com", "name": "A", "newsletter_id": other}
    )
    assert created.status_code == 201
    await system.confirm(await system.confirmation_link("second@example.com"))
    await _draft(system, newsletter_id=other, publish=True)
    await system.deliver_all_pending()
    assert [mail.to for mail in system.newsletter_mails()] == ["second@example.com"]
    listed = (await system.api.get(ISSUES, params={"newsletter_id": other})).json()["items"]
    assert [item["newsletter_id"] for item in listed] == [other]


@pytest.mark.parametrize("limit", ["0", "201", "many"])
async def test_a_page_size_out_of_range_is_400(system: System, limit: str) -> None:
    answer = await system.api.get(ISSUES, params={"limit": limit})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
