"""Scheduled issues: chosen, changed, withdrawn, and published once when their time has come."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.background import runner as background
from broadsheet_common.background.runner import BackgroundRunner
from broadsheet_publishing.issues.publish_issue import publish_issue
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.schedule import store as schedule_store
from broadsheet_publishing.schedule.fire_schedule import (
    Fired,
    NothingDue,
    Withdrawn,
    fire_next_schedule,
)
from broadsheet_publishing.schedule.worker import POLL_S, ScheduleWorker
from harness.cluster import Database

from .conftest import INSTALLATION, Publishing, PublishingOwner, running_publishing, until

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")


def add_due_issue(owner: PublishingOwner, *, newsletter_id: int = 1, ago: str = "1 second") -> int:
    ((issue_id,),) = owner.rows(
        "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, status, "
        "scheduled_at) VALUES (%s, 'Title', '<p>x</p>', 'x', 'user:1', 'scheduled', now() - %s::interval) "
        "RETURNING id",
        newsletter_id,
        ago,
    )
    return int(issue_id)


def runs(owner: PublishingOwner) -> list[int]:
    return [row[0] for row in owner.rows("SELECT issue_id FROM delivery.issue_run ORDER BY issue_id")]


def status(owner: PublishingOwner, issue_id: int) -> str:
    ((found,),) = owner.rows("SELECT status FROM publishing.issue WHERE id = %s", issue_id)
    return str(found)


async def is_published(owner: PublishingOwner, issue_id: int) -> bool:
    await asyncio.sleep(0)
    return status(owner, issue_id) == "published"


async def test_a_draft_is_scheduled_and_says_for_when(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue()).json()["id"]
    year = datetime.now(UTC).year + 1
    answer = await publishing.post(
        f"issues/{issue_id}/schedule", {"at": f"{year}-01-15T08:00", "time_zone": "Europe/Paris"}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["scheduled_at"]) == ("scheduled", f"{year}-01-15T07:00:00Z")
    assert (body["scheduled_local"], body["scheduled_time_zone"]) == (f"{year}-01-15T08:00:00", "Europe/Paris")
    assert (await publishing.get(f"issues/{issue_id}")).json() == body
    assert runs(publishing) == []


async def test_it_goes_out_by_itself_at_its_time(database: Database) -> None:
    async with running_publishing(database, acts_on_time=True) as publishing:
        publishing.add_confirmed(3)
        issue_id = (await publishing.write_issue()).json()["id"]
        soon = publishing.rows("SELECT now() + interval '15 seconds'")[0][0]
        assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": soon.isoformat("T", "seconds")})).is_success
        await until(lambda: is_published(publishing, issue_id), timeout_s=60.0)
        await publishing.until_fanned_out(issue_id)
        assert publishing.enqueued(issue_id) == publishing.audience()
        assert publishing.rows(
            "SELECT published_at >= scheduled_at, status FROM publishing.issue WHERE id = %s", issue_id
        ) == [(True, "published")]


async def test_a_schedule_is_replaced_taken_back_and_overtaken_by_hand(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue()).json()["id"]
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).is_success
    later = (datetime.fromisoformat(TOMORROW) + timedelta(hours=1)).isoformat()
    moved = await publishing.post(f"issues/{issue_id}/schedule", {"at": later})
    assert datetime.fromisoformat(moved.json()["scheduled_at"]) == datetime.fromisoformat(later)
    for _ in range(2):
        taken_back = await publishing.delete(f"issues/{issue_id}/schedule")
        assert (taken_back.json()["status"], taken_back.json()["scheduled_at"]) == ("draft", None)
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).is_success
    assert (await publishing.publish(issue_id)).status_code == 202
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).status_code == 409
    assert (await publishing.delete(f"issues/{issue_id}/schedule")).status_code == 409
    assert runs(publishing) == [issue_id]


async def test_a_cancelled_schedule_does_not_fire(publishing: Publishing, engine: AsyncEngine) -> None:
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue()).json()["id"]
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).is_success
    assert (await publishing.post(f"issues/{issue_id}/cancel")).json()["status"] == "cancelled"
    publishing.rows("UPDATE publishing.issue SET scheduled_at = now() - interval '1 hour'")
    assert isinstance(await fire_next_schedule(engine, INSTALLATION), NothingDue)
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).status_code == 409
    assert (await publishing.delete(f"issues/{issue_id}/schedule")).status_code == 409


async def test_a_time_that_is_none_is_refused_and_the_schedule_stays(publishing: Publishing) -> None:
    issue_id = (await publishing.write_issue()).json()["id"]
    first = (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).json()
    for body, status_code, pointer in (
        ({"at": "tomorrow"}, 422, "/at"),
        ({"at": "2020-01-01T00:00Z"}, 422, "/at"),
        ({"at": "2026-12-24T08:00"}, 422, "/time_zone"),
        ({"at": TOMORROW, "occurrence": "third"}, 400, "/occurrence"),
        ({"time_zone": "Europe/Paris"}, 400, "/at"),
    ):
        answer = await publishing.post(f"issues/{issue_id}/schedule", body)
        assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (
            status_code,
            [pointer],
        )
    assert (await publishing.get(f"issues/{issue_id}")).json()["scheduled_at"] == first["scheduled_at"]
    assert (await publishing.post("issues/999/schedule", {"at": TOMORROW})).status_code == 404
    assert (await publishing.delete("issues/999/schedule")).status_code == 404


async def test_one_key_schedules_once(publishing: Publishing) -> None:
    issue_id = (await publishing.write_issue()).json()["id"]
    answers = await asyncio.gather(
        *(publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW}, key="k") for _ in range(10))
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1


async def test_many_workers_at_once_fire_each_schedule_once(engine: AsyncEngine, owner: PublishingOwner) -> None:
    owner.add_confirmed(2)
    issues = sorted(add_due_issue(owner) for _ in range(5))
    fired: list[int] = []

    async def work() -> None:
        while isinstance(step := await fire_next_schedule(engine, INSTALLATION), Fired):
            fired.append(step.issue_id)

    await asyncio.gather(*(work() for _ in range(5)))
    assert sorted(fired) == issues
    assert runs(owner) == issues
    assert owner.rows("SELECT count(*) FROM publishing.fan_out") == [(5,)]


async def test_a_worker_that_dies_before_its_commit_leaves_the_schedule_as_it_was(
    engine: AsyncEngine, owner: PublishingOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.add_confirmed(1)
    issue_id = add_due_issue(owner)

    async def dying(connection: AsyncConnection, issue_id: int, **rest: Any) -> None:
        await publish_issue(connection, issue_id, **rest)
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("broadsheet_publishing.schedule.fire_schedule.publish_issue", dying)
        with pytest.raises(asyncio.CancelledError):
            await fire_next_schedule(engine, INSTALLATION)
    assert (status(owner, issue_id), runs(owner)) == ("scheduled", [])
    assert await fire_next_schedule(engine, INSTALLATION) == Fired(issue_id)
    assert (status(owner, issue_id), runs(owner)) == ("published", [issue_id])


async def test_who_has_no_readers_is_a_draft_again_and_says_why(publishing: Publishing, engine: AsyncEngine) -> None:
    issue_id = (await publishing.write_issue()).json()["id"]
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})).is_success
    publishing.rows("UPDATE publishing.issue SET scheduled_at = now()")
    assert await fire_next_schedule(engine, INSTALLATION) == Withdrawn(issue_id)
    body = (await publishing.get(f"issues/{issue_id}")).json()
    assert (body["status"], body["scheduled_at"]) == ("draft", None)
    assert body["status_reason"] == "It was not published at its time: nobody was confirmed on the newsletter."
    again = await publishing.post(f"issues/{issue_id}/schedule", {"at": TOMORROW})
    assert again.json()["status_reason"] is None


async def test_one_whose_segment_is_gone_is_a_draft_again_and_says_why(
    publishing: Publishing, engine: AsyncEngine
) -> None:
    publishing.add_confirmed(1)
    issue_id = (await publishing.write_issue()).json()["id"]
    publishing.rows(
        "UPDATE publishing.issue SET segment_id = 999, status = 'scheduled', scheduled_at = now() WHERE id = %s",
        issue_id,
    )
    assert await fire_next_schedule(engine, INSTALLATION) == Withdrawn(issue_id)
    body = (await publishing.get(f"issues/{issue_id}")).json()
    assert (body["status"], runs(publishing)) == ("draft", [])
    assert body["status_reason"] == "It was not published at its time: its segment was deleted."


async def test_what_was_due_long_ago_goes_out_late_and_the_longest_due_first(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(1)
    recent, old = add_due_issue(owner), add_due_issue(owner, ago="3 hours")
    assert [await fire_next_schedule(engine, INSTALLATION), await fire_next_schedule(engine, INSTALLATION)] == [
        Fired(old),
        Fired(recent),
    ]
    assert await fire_next_schedule(engine, INSTALLATION) == NothingDue(None)


async def test_one_that_cannot_be_published_does_not_hold_up_the_others(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    owner.add_confirmed(1)
    broken, good = add_due_issue(owner, ago="1 hour"), add_due_issue(owner)
    # Something of the issue is there already, so that its run cannot be opened.
    owner.rows("INSERT INTO publishing.fan_out (issue_id) VALUES (%s)", broken)
    with pytest.raises(IssueStepFailedError):
        await fire_next_schedule(engine, INSTALLATION)
    woken: list[bool] = []
    worker = ScheduleWorker(engine, INSTALLATION, on_published=lambda: woken.append(True))
    assert 0 < await worker.fire_all_due() <= POLL_S
    assert (status(owner, broken), status(owner, good)) == ("scheduled", "published")
    assert woken == [True]


async def test_the_wait_ends_when_the_next_one_is_due_by_the_databases_clock(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    worker = ScheduleWorker(engine, INSTALLATION, on_published=lambda: None)
    assert POLL_S / 2 <= await worker.fire_all_due() <= POLL_S
    add_due_issue(owner, ago="-1 day")
    assert POLL_S / 2 <= await worker.fire_all_due() <= POLL_S
    add_due_issue(owner, ago="-0.2 seconds")
    assert await worker.fire_all_due() <= 0.2


async def test_a_database_that_is_away_is_waited_for(
    engine: AsyncEngine, owner: PublishingOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.add_confirmed(1)
    issue_id = add_due_issue(owner)
    worker = ScheduleWorker(engine, INSTALLATION, on_published=lambda: None)
    real, failures = schedule_store.lock_due_issue, iter([ConnectionError(), TimeoutError()])

    async def failing(connection: AsyncConnection, *, resting_issue_ids: Sequence[int]) -> int | None:
        for error in failures:
            raise error
        return await real(connection, resting_issue_ids=resting_issue_ids)

    monkeypatch.setattr(schedule_store, "lock_due_issue", failing)
    monkeypatch.setattr(background, "BACK_OFF_MAX_S", 0.01)
    async with BackgroundRunner([worker.loop]).running(stop_timeout_s=10):
        await until(lambda: is_published(owner, issue_id))
    assert runs(owner) == [issue_id]
