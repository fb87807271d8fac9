"""Cancelling: a draft for good; a published issue at any moment of its fan-out."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.fan_out.fan_out import Enqueued, Finished, NothingToDo, fan_out_step
from harness.cluster import Database

from .conftest import Publishing, PublishingOwner, running_publishing


async def test_a_cancelled_draft_is_never_published(publishing: Publishing) -> None:
    publishing.add_confirmed(2)
    issue_id = (await publishing.write_issue()).json()["id"]
    for _ in range(2):
        answer = await publishing.post(f"issues/{issue_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await publishing.publish(issue_id)).status_code == 409
    assert publishing.enqueued(issue_id) == []
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "cancelled"


async def test_a_published_issue_is_cancelled_with_who_did_it(publishing: Publishing) -> None:
    publishing.add_confirmed(3)
    issue_id = (await publishing.write_issue(publish=True)).json()["id"]
    await publishing.until_fanned_out(issue_id)
    answer = await publishing.post(f"issues/{issue_id}/cancel", subject="user:4")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert publishing.rows("SELECT action, decided_by FROM delivery.operator_action") == [("cancel", "user:4")]
    assert (await publishing.post(f"issues/{issue_id}/cancel")).status_code == 200
    assert publishing.rows("SELECT count(*) FROM delivery.operator_action") == [(1,)]


async def test_a_sent_issue_cannot_be_cancelled(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue(publish=True)).json()["id"]
    await publishing.until_fanned_out(issue_id)
    publishing.rows("UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = 1")
    publishing.rows("UPDATE delivery.issue_run SET state = 'finished', finished_at = now()")
    answer = await publishing.post(f"issues/{issue_id}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:broadsheet:problem:already-sent")
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "sent"
    assert (await publishing.post("issues/999/cancel")).status_code == 404


async def test_a_fan_out_that_is_under_way_stops_and_is_closed(engine: AsyncEngine, owner: PublishingOwner) -> None:
    owner.add_confirmed(35)
    issue_id = owner.add_published_issue()
    assert await fan_out_step(engine, page_rows=10) == Enqueued(issue_id, 10)
    owner.rows("SELECT delivery.cancel_issue(%s, 'key:1')", issue_id)
    assert await fan_out_step(engine, page_rows=10) == Finished(issue_id, 0)
    assert await fan_out_step(engine, page_rows=10) == NothingToDo()
    assert len(owner.enqueued(issue_id)) == 10
    assert owner.rows(
        "SELECT next_seq, fan_out_finished_at IS NOT NULL, enqueued_count FROM delivery.issue_run "
        "JOIN publishing.fan_out USING (issue_id)"
    ) == [(11, True, 10)]


async def test_publishing_and_cancelling_at_once_take_turns(database: Database) -> None:
    async with running_publishing(database) as publishing:
        publishing.add_confirmed(2)
        for _ in range(5):
            issue_id = (await publishing.write_issue()).json()["id"]
            answers = await asyncio.gather(
                publishing.publish(issue_id), *(publishing.post(f"issues/{issue_id}/cancel") for _ in range(3))
            )
            assert [answer.status_code for answer in answers[1:]] == [200] * 3
            assert answers[0].status_code in {202, 409}
            assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "cancelled"


@pytest.mark.parametrize(("parked", "says"), [(0, None), (7, "7 deliveries may have been sent")])
async def test_an_issue_says_that_deliveries_wait_for_a_decision(
    publishing: Publishing, parked: int, says: str | None
) -> None:
    publishing.add_confirmed(7)
    issue_id = (await publishing.write_issue(publish=True)).json()["id"]
    await publishing.until_fanned_out(issue_id)
    if parked:
        publishing.rows(
            "UPDATE delivery.delivery_chunk SET status = 'uncertain', attempt_id = gen_random_uuid(), parked_at = now()"
        )
    issue = (await publishing.get(f"issues/{issue_id}")).json()
    assert (issue["status"], issue["parked"]) == ("sending", parked)
    assert issue["counts"]["uncertain"] == parked
    assert issue["status_reason"] is None if says is None else issue["status_reason"].startswith(says)
