"""Writing and publishing issues through the service's routes, on a real database."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from .conftest import ISSUE, Publishing

COUNTS = ("pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled")


async def draft_id(publishing: Publishing) -> int:
    issue_id: int = (await publishing.write_issue()).json()["id"]
    return issue_id


async def test_a_new_issue_is_a_draft_of_the_default_newsletter(publishing: Publishing) -> None:
    response = await publishing.post("issues", ISSUE, subject="user:7")
    assert response.status_code == 201
    issue = response.json()
    assert {name: issue[name] for name in ISSUE} == ISSUE
    assert (issue["newsletter_id"], issue["status"], issue["created_by"]) == (1, "draft", "user:7")
    assert (issue["status_reason"], issue["published_at"], issue["finished_at"]) == (None, None, None)
    assert issue["counts"] == dict.fromkeys(("audience", *COUNTS), 0)
    assert datetime.fromisoformat(issue["created_at"]).utcoffset() is not None
    assert (await publishing.get(f"issues/{issue['id']}")).json() == issue


async def test_a_published_issue_is_enqueued_for_everybody_confirmed_and_nobody_else(publishing: Publishing) -> None:
    publishing.add_subscribers(5, state="pending")
    publishing.add_confirmed(1_203)
    publishing.add_subscribers(5, state="unsubscribed")
    publishing.add_confirmed(3, newsletter_id=publishing.add_newsletter("second"))
    issue_id = await draft_id(publishing)
    published = await publishing.publish(issue_id)
    assert published.status_code == 202
    assert published.json()["status"] == "publishing"
    await publishing.until_fanned_out(issue_id)
    issue = (await publishing.get(f"issues/{issue_id}")).json()
    assert issue["status"] == "sending"
    assert issue["counts"]["audience"] == issue["counts"]["pending"] == 1_203
    assert publishing.enqueued(issue_id) == publishing.audience()
    assert publishing.rows("SELECT first_seq, last_seq FROM delivery.delivery_chunk ORDER BY id") == [
        (1, 500),
        (501, 1_000),
        (1_001, 1_203),
    ]


async def test_an_issue_can_be_written_and_published_at_once(publishing: Publishing) -> None:
    publishing.add_confirmed(2)
    response = await publishing.write_issue(publish=True)
    assert (response.status_code, response.json()["status"]) == (201, "publishing")
    await publishing.until_fanned_out(response.json()["id"])


async def test_publishing_a_second_time_is_a_conflict(publishing: Publishing) -> None:
    publishing.add_confirmed(2)
    issue_id = await draft_id(publishing)
    await publishing.publish(issue_id, key="a")
    for key in ("b", None):
        response = await publishing.publish(issue_id, key=key)
        assert (response.status_code, response.json()["type"]) == (409, "urn:broadsheet:problem:already-published")


async def test_publishing_to_nobody_is_a_conflict_and_nothing_is_published(publishing: Publishing) -> None:
    publishing.add_subscribers(3, state="pending")
    issue_id = await draft_id(publishing)
    response = await publishing.publish(issue_id, key="a")
    assert (response.status_code, response.json()["type"]) == (409, "urn:broadsheet:problem:no-recipients")
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "draft"
    publishing.add_confirmed(1)
    assert (await publishing.publish(issue_id, key="a")).status_code == 202


async def test_writing_and_publishing_to_nobody_leaves_no_draft_behind(publishing: Publishing) -> None:
    response = await publishing.post("issues", ISSUE | {"publish": True}, key="a")
    assert (response.status_code, response.json()["type"]) == (409, "urn:broadsheet:problem:no-recipients")
    assert publishing.rows("SELECT count(*) FROM publishing.issue") == [(0,)]


async def test_publishing_an_issue_that_is_not_there_is_not_found(publishing: Publishing) -> None:
    assert (await publishing.publish(12345)).status_code == 404


async def test_a_cancelled_issue_is_not_published(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id = await draft_id(publishing)
    publishing.rows("UPDATE publishing.issue SET status = 'cancelled' WHERE id = %s", issue_id)
    response = await publishing.publish(issue_id)
    assert (response.status_code, response.json()["type"]) == (409, "urn:broadsheet:problem:conflict")


async def test_fifty_publishes_at_once_with_one_key_are_one_run_and_equal_answers(publishing: Publishing) -> None:
    publishing.add_confirmed(3)
    issue_id = await draft_id(publishing)
    responses = await asyncio.gather(*(publishing.publish(issue_id, key="a") for _ in range(50)))
    assert Counter(response.status_code for response in responses) == {202: 50}
    assert len({response.content for response in responses}) == 1
    await publishing.until_fanned_out(issue_id)
    assert publishing.rows("SELECT count(*) FROM delivery.issue_run") == [(1,)]
    assert publishing.enqueued(issue_id) == publishing.audience()


async def test_fifty_publishes_at_once_with_different_keys_are_one_run_and_the_rest_conflicts(
    publishing: Publishing,
) -> None:
    publishing.add_confirmed(3)
    issue_id = await draft_id(publishing)
    responses = await asyncio.gather(*(publishing.publish(issue_id, key=f"key-{n}") for n in range(50)))
    assert Counter(response.status_code for response in responses) == {202: 1, 409: 49}
    await publishing.until_fanned_out(issue_id)
    assert publishing.enqueued(issue_id) == publishing.audience()


async def test_fifty_identical_submissions_at_once_are_one_issue_and_equal_answers(publishing: Publishing) -> None:
    publishing.add_confirmed(3)
    body = ISSUE | {"publish": True}
    responses = await asyncio.gather(*(publishing.post("issues", body, key="a") for _ in range(50)))
    assert Counter(response.status_code for response in responses) == {201: 50}
    assert len({response.content for response in responses}) == 1
    assert publishing.rows("SELECT count(*) FROM publishing.issue") == [(1,)]
    assert publishing.rows("SELECT count(*) FROM delivery.issue_run") == [(1,)]


async def test_the_same_key_replays_the_first_answer_even_after_the_issue_went_on(publishing: Publishing) -> None:
    publishing.add_confirmed(3)
    issue_id = await draft_id(publishing)
    first = await publishing.publish(issue_id, key="a")
    await publishing.until_fanned_out(issue_id)
    second = await publishing.publish(issue_id, key="a")
    assert (second.status_code, second.json()) == (202, first.json())


async def test_the_same_key_with_another_body_or_issue_is_refused(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    first = await publishing.post("issues", ISSUE, key="a")
    other_body = await publishing.post("issues", ISSUE | {"title": "Another"}, key="a")
    other_route = await publishing.publish(first.json()["id"], key="a")
    for response in (other_body, other_route):
        assert (response.status_code, response.json()["type"]) == (422, "urn:broadsheet:problem:idempotency-key-reused")
    assert publishing.rows("SELECT title, status FROM publishing.issue") == [("The first issue", "draft")]


async def test_keys_of_two_users_never_meet(publishing: Publishing) -> None:
    first = await publishing.post("issues", ISSUE, key="a", subject="user:1")
    second = await publishing.post("issues", ISSUE, key="a", subject="user:2")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_an_expired_key_may_be_used_again(publishing: Publishing) -> None:
    first = await publishing.post("issues", ISSUE, key="a")
    publishing.rows("UPDATE publishing.idempotency_key SET expires_at = now() - interval '1 s'")
    second = await publishing.post("issues", ISSUE, key="a")
    assert first.json()["id"] != second.json()["id"]


async def test_a_database_fault_leaves_nothing_half_published(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id = await draft_id(publishing)
    publishing.rows("ALTER TABLE delivery.issue_run RENAME TO gone")
    assert (await publishing.publish(issue_id, key="a")).status_code == 500
    publishing.rows("ALTER TABLE delivery.gone RENAME TO issue_run")
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "draft"
    assert publishing.rows("SELECT count(*) FROM publishing.fan_out") == [(0,)]
    assert (await publishing.publish(issue_id, key="a")).status_code == 202


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [("paused", "paused", "Postmark refuses the token"), ("cancelled", "cancelled", None)],
)
async def test_the_status_is_what_delivery_says(
    publishing: Publishing, state: str, status: str, reason: str | None
) -> None:
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue(publish=True)).json()["id"]
    await publishing.until_fanned_out(issue_id)
    publishing.rows(
        "UPDATE delivery.issue_run SET state = %s, pause_reason = %s WHERE issue_id = %s", state, reason, issue_id
    )
    issue = (await publishing.get(f"issues/{issue_id}")).json()
    assert (issue["status"], issue["status_reason"]) == (status, reason)


async def test_a_finished_issue_is_sent_and_its_counts_add_up(publishing: Publishing) -> None:
    publishing.add_confirmed(600)
    issue_id = (await publishing.write_issue(publish=True)).json()["id"]
    await publishing.until_fanned_out(issue_id)
    publishing.rows(
        "UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = last_seq - first_seq - 2, "
        "failed_count = 1, suppressed_count = 1, excluded_count = 1"
    )
    publishing.rows("UPDATE delivery.issue_run SET state = 'finished', finished_at = now()")
    issue = (await publishing.get(f"issues/{issue_id}")).json()
    assert issue["status"] == "sent"
    assert issue["finished_at"] is not None
    assert issue["counts"] == dict.fromkeys(COUNTS, 0) | {
        "audience": 600,
        "accepted": 594,
        "failed": 2,
        "suppressed": 2,
        "excluded": 2,
    }
    assert issue["counts"]["audience"] == sum(issue["counts"][name] for name in COUNTS)


async def test_the_list_shows_newest_first_with_counts_and_without_content(publishing: Publishing) -> None:
    second = publishing.add_newsletter("second")
    publishing.add_confirmed(4)
    published = (await publishing.write_issue(publish=True, title="Published")).json()["id"]
    await publishing.until_fanned_out(published)
    await publishing.write_issue(title="Draft", newsletter_id=second)
    page = (await publishing.get("issues")).json()
    assert [(item["title"], item["status"], item["counts"]["audience"]) for item in page["items"]] == [
        ("Draft", "draft", 0),
        ("Published", "sending", 4),
    ]
    assert "html_content" not in page["items"][0]
    assert page["next_cursor"] is None
    of_second = (await publishing.get("issues", newsletter_id=second)).json()["items"]
    assert [item["title"] for item in of_second] == ["Draft"]


async def test_the_list_is_paged_without_gaps_or_repeats(publishing: Publishing) -> None:
    for number in range(5):
        await publishing.write_issue(title=f"Issue {number}")
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = (await publishing.get("issues", limit=2, **({"cursor": cursor} if cursor else {}))).json()
        seen += [item["title"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == [f"Issue {number}" for number in reversed(range(5))]


async def test_newsletters_are_listed_and_shown(publishing: Publishing) -> None:
    second = publishing.add_newsletter("second")
    first_page = (await publishing.get("newsletters", limit=1)).json()
    (shown,) = first_page["items"]
    assert (shown["id"], shown["slug"], shown["name"], shown["is_default"]) == (1, "newsletter", "Newsletter", True)
    assert (shown["from_email"], shown["message_stream"], shown["is_ready"]) == (None, "broadcast", True)
    second_page = (await publishing.get("newsletters", limit=1, cursor=first_page["next_cursor"])).json()
    assert [item["slug"] for item in second_page["items"]] == ["second"]
    assert second_page["next_cursor"] is None
    assert (await publishing.get(f"newsletters/{second}")).json()["name"] == "Second"
    assert (await publishing.get("newsletters/777")).status_code == 404


async def test_a_request_without_a_body_may_name_any_content_type(publishing: Publishing) -> None:
    """Some clients name one for the body that they do not send."""
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue()).json()["id"]
    headers = publishing.identity("read", "write") | {"Content-Type": "application/octet-stream"}
    path = f"/api/v1/issues/{issue_id}/publish"
    refused = await publishing.client.post(path, headers=headers, content=b"x")
    assert refused.status_code == 415
    assert (await publishing.client.post(path, headers=headers)).status_code == 202


async def test_a_list_is_narrowed_to_a_status_as_each_issue_shows_it(publishing: Publishing) -> None:
    publishing.add_confirmed(2)
    draft, scheduled, cancelled, sending, paused, sent, stopped = [await draft_id(publishing) for _ in range(7)]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await publishing.post(f"issues/{scheduled}/schedule", {"at": tomorrow})).status_code == 200
    await publishing.post(f"issues/{cancelled}/cancel")
    for issue_id in (sending, paused, sent, stopped):
        await publishing.publish(issue_id)
        await publishing.until_fanned_out(issue_id)
    publishing.rows(
        "UPDATE delivery.issue_run SET state = 'paused', pause_reason = 'A wrong link' WHERE issue_id = %s", paused
    )
    await publishing.post(f"issues/{stopped}/cancel")
    publishing.rows("UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = 2 WHERE issue_id = %s", sent)
    publishing.rows("UPDATE delivery.issue_run SET state = 'finished', finished_at = now() WHERE issue_id = %s", sent)
    publishing_now = publishing.add_published_issue()
    expected = {
        "draft": [draft],
        "scheduled": [scheduled],
        "cancelled": [stopped, cancelled],
        "sending": [sending],
        "paused": [paused],
        "sent": [sent],
        "publishing": [publishing_now],
    }
    for status, ids in expected.items():
        items = (await publishing.get("issues", status=status)).json()["items"]
        assert [one["id"] for one in items] == ids, status
        assert {one["status"] for one in items} == {status}
    assert (await publishing.get("issues", status="lost")).status_code == 400


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("spring", ["The Spring issue"]),
        ("100%", ["100% wool"]),
        ("_", ["snake_case"]),
        ("\\", ["back\\slash"]),
        ("x", []),
    ],
)
async def test_a_list_is_narrowed_to_titles_that_hold_a_text_as_it_is(
    publishing: Publishing, search: str, found: list[str]
) -> None:
    for title in ("The Spring issue", "100% wool", "1000 sheep", "snake_case", "back\\slash"):
        await publishing.write_issue(title=title)
    items = (await publishing.get("issues", search=search)).json()["items"]
    assert [one["title"] for one in items] == found
