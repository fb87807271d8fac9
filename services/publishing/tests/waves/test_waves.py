"""Issues that go out at the same local time everywhere."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.schedule.fire_schedule import Fired, NothingDue, fire_next_schedule

from ..conftest import INSTALLATION, Publishing, PublishingOwner, steps_until_finished

ZONES = {"tokyo": "Asia/Tokyo", "paris": "Europe/Paris", "la": "america/los_angeles", "odd": "Mars/Olympus"}
IN_TWO_DAYS = (datetime.now(UTC) + timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0, tzinfo=None)


def add_people(publishing: PublishingOwner) -> None:
    """One in each of `ZONES`, and one without."""
    publishing.add_confirmed(len(ZONES) + 1)
    ids = publishing.audience()
    for subscriber_id, (name, zone) in zip(ids, ZONES.items(), strict=False):
        publishing.rows(
            "UPDATE subscriptions.subscriber SET name = %s, attributes = %s WHERE id = %s",
            name,
            Jsonb({"time_zone": zone}),
            subscriber_id,
        )
    publishing.rows("UPDATE subscriptions.subscriber SET name = 'none' WHERE id = %s", ids[-1])


async def scheduled(publishing: Publishing, **body: object) -> dict[str, Any]:
    issue_id = (await publishing.write_issue()).json()["id"]
    answer = await publishing.post(
        f"issues/{issue_id}/schedule",
        {"at": IN_TWO_DAYS.isoformat("T", "minutes"), "in_reader_time_zone": True} | body,
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def due(publishing: Publishing) -> dict[str, datetime]:
    """When each person's delivery may be sent, by name."""
    return dict(
        publishing.rows(
            "SELECT person.name, chunk.run_at FROM delivery.delivery JOIN delivery.delivery_chunk AS chunk "
            "ON chunk.issue_id = delivery.issue_id AND delivery.seq BETWEEN chunk.first_seq AND chunk.last_seq "
            "JOIN subscriptions.subscriber AS person ON person.id = delivery.subscriber_id"
        )
    )


async def fire(publishing: Publishing, engine: AsyncEngine, issue_id: int, *, local: datetime = IN_TWO_DAYS) -> None:
    """As if the time of the first wave had come, of an issue that is for `local`."""
    publishing.rows(
        "UPDATE publishing.issue SET scheduled_at = now() - interval '1 second', scheduled_local = %s",
        local.isoformat("T", "seconds"),
    )
    assert await fire_next_schedule(engine, INSTALLATION) == Fired(issue_id)
    await publishing.until_fanned_out(issue_id)


async def test_it_is_scheduled_for_the_first_wave_and_the_waves_are_told(publishing: Publishing) -> None:
    publishing.rows("UPDATE publishing.newsletter SET time_zone = 'Europe/Paris'")
    issue = await scheduled(publishing)
    assert (issue["in_reader_time_zone"], issue["scheduled_time_zone"]) == (True, "Europe/Paris")
    waves = (await publishing.get(f"issues/{issue['id']}/waves")).json()["waves"]
    assert issue["scheduled_at"] == waves[0]["due_at"]
    assert "Pacific/Kiritimati" in waves[0]["time_zones"]
    assert [wave["is_past"] for wave in waves] == [False] * len(waves)
    assert {wave["recipients"] for wave in waves} == {None}
    [fallback] = [wave for wave in waves if wave["is_fallback"]]
    assert "Europe/Paris" in fallback["time_zones"]
    taken_back = await publishing.delete(f"issues/{issue['id']}/schedule")
    assert taken_back.json()["in_reader_time_zone"] is False
    assert (await publishing.get(f"issues/{issue['id']}/waves")).json() == {"waves": []}


async def test_all_are_frozen_together_and_each_is_due_in_their_own_morning(
    publishing: Publishing, engine: AsyncEngine
) -> None:
    add_people(publishing)
    issue = await scheduled(publishing, time_zone="Europe/London")
    await fire(publishing, engine, issue["id"])
    found = due(publishing)
    day = IN_TWO_DAYS.replace(tzinfo=UTC)
    assert found["tokyo"] == day - timedelta(hours=9)
    assert found["paris"] in {day - timedelta(hours=1), day - timedelta(hours=2)}
    assert found["la"] in {day + timedelta(hours=7), day + timedelta(hours=8)}
    # A zone that there is not, and none at all: the one that was chosen for them.
    assert found["odd"] == found["none"]
    assert found["odd"] in {day, day - timedelta(hours=1)}
    assert sorted(publishing.enqueued(issue["id"])) == publishing.audience()
    waves = (await publishing.get(f"issues/{issue['id']}/waves")).json()["waves"]
    assert {wave["due_at"]: wave["recipients"] for wave in waves if wave["recipients"]} == {
        moment.isoformat().replace("+00:00", "Z"): sum(other == moment for other in found.values())
        for moment in found.values()
    }


async def test_where_the_hour_has_passed_it_goes_out_at_once_and_nobody_is_left_out(
    publishing: Publishing, engine: AsyncEngine
) -> None:
    add_people(publishing)
    issue = await scheduled(publishing)
    now: datetime = publishing.rows("SELECT now()")[0][0]
    # Two hours ago in UTC: past in Tokyo and Paris, ahead in Los Angeles.
    local = (now - timedelta(hours=2)).replace(tzinfo=None)
    await fire(publishing, engine, issue["id"], local=local)
    found = due(publishing)
    assert len(found) == len(ZONES) + 1
    assert found["tokyo"] < now
    assert found["paris"] < now
    assert found["la"] > now + timedelta(hours=4)
    past = [w for w in (await publishing.get(f"issues/{issue['id']}/waves")).json()["waves"] if w["is_past"]]
    assert sum(wave["recipients"] for wave in past) == len(found) - 1


async def test_by_hand_it_goes_out_to_all_at_once(publishing: Publishing) -> None:
    add_people(publishing)
    issue = await scheduled(publishing)
    assert (await publishing.publish(issue["id"])).status_code == 202
    await publishing.until_fanned_out(issue["id"])
    now = publishing.rows("SELECT now()")[0][0]
    assert all(moment <= now for moment in due(publishing).values())
    assert (await publishing.get(f"issues/{issue['id']}/waves")).json() == {"waves": []}


async def test_pages_and_restarts_split_nobody_twice(owner: PublishingOwner, engine: AsyncEngine) -> None:
    add_people(owner)
    issue_id = owner.add_published_issue()
    owner.rows(
        "INSERT INTO publishing.wave (issue_id, number, due_at, is_fallback) "
        "SELECT %s, n, now() + make_interval(hours => n), n = 1 FROM generate_series(1, 2) AS n",
        issue_id,
    )
    owner.rows("INSERT INTO publishing.wave_zone VALUES (%s, 'asia/tokyo', 2)", issue_id)
    await steps_until_finished(engine, page_rows=2)
    assert sorted(owner.enqueued(issue_id)) == owner.audience()
    assert owner.rows("SELECT number, recipients FROM publishing.wave ORDER BY 1") == [(1, 4), (2, 1)]
    assert isinstance(await fire_next_schedule(engine, INSTALLATION), NothingDue)


async def test_an_offset_and_an_ab_test_do_not_go_with_it(publishing: Publishing) -> None:
    issue_id = (await publishing.write_issue()).json()["id"]
    at = f"{IN_TWO_DAYS.isoformat('T', 'minutes')}Z"
    answer = await publishing.post(f"issues/{issue_id}/schedule", {"at": at, "in_reader_time_zone": True})
    assert answer.status_code == 422
    publishing.rows("UPDATE publishing.newsletter SET track_links = true")
    tested = (await publishing.write_issue(title="Another", ab_test={"others": [{"subject": "x"}]})).json()["id"]
    both = await publishing.post(
        f"issues/{tested}/schedule", {"at": IN_TWO_DAYS.isoformat("T", "minutes"), "in_reader_time_zone": True}
    )
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/in_reader_time_zone")
