"""An issue is published to the audience that its author was shown, or to none; at once and by its schedule."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_publishing.audience.audience_token import ShownAudience, encode_token
from broadsheet_publishing.audience.expect_audience import find_members_of_due
from broadsheet_publishing.schedule.fire_schedule import (
    NOT_AT_ITS_TIME,
    Fired,
    NothingDue,
    Withdrawn,
    fire_next_schedule,
)
from harness.cluster import Database

from ..conftest import INSTALLATION, Publishing, PublishingOwner, running_publishing, until
from .world import (
    TOMORROW,
    add_people,
    add_segment,
    find_members_at_once,
    look,
    new_issue,
    problem,
    publish,
    set_state,
    suppress,
)


@pytest.fixture
async def publishing(database: Database) -> AsyncIterator[Publishing]:
    """With the loop that publishes and withdraws."""
    async with running_publishing(database, acts_on_time=True) as running:
        yield running


@pytest.mark.parametrize(
    ("joined", "left", "limits", "is_within"),
    [
        (3, 0, {}, True),
        (0, 3, {}, True),
        (3, 0, {"growth_max": 3}, True),
        (4, 0, {"growth_max": 3}, False),
        (0, 2, {"shrinkage_max": 2}, True),
        (0, 3, {"shrinkage_max": 2}, False),
        (5, 0, {"shrinkage_max": 0}, True),
        (0, 5, {"growth_max": 0}, True),
        (3, 3, {"growth_max": 0, "shrinkage_max": 0}, True),
    ],
)
async def test_it_goes_out_if_the_audience_changed_by_no_more_than_allowed(
    publishing: Publishing, joined: int, left: int, limits: dict[str, int], *, is_within: bool
) -> None:
    people = add_people(publishing, *["Ada"] * 10)
    issue_id = await new_issue(publishing)
    shown = await look(publishing, issue_id)
    add_people(publishing, *["Ada"] * joined)
    set_state(publishing, "unsubscribed", *people[:left])
    answer = await publish(publishing, issue_id, shown["token"], **limits)
    found = 10 + joined - left
    if is_within:
        assert answer.status_code == 202, answer.text
        assert answer.json()["audience_change"] == {
            "shown": 10,
            "shown_at": shown["as_of"],
            "found": found,
            "grown_by": max(0, found - 10),
            "shrunk_by": max(0, 10 - found),
        }
        return
    assert problem(answer) == (409, "audience-changed")
    assert answer.json()["facts"] == {"shown": 10, "found": found}
    assert str(found) in answer.json()["detail"]
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "draft"
    for table in ("delivery.issue_run", "publishing.fan_out", "publishing.compiled_content"):
        assert publishing.rows(f"SELECT count(*) FROM {table}") == [(0,)]


async def test_people_who_were_suppressed_meanwhile_make_it_smaller(publishing: Publishing) -> None:
    people = add_people(publishing, *["Ada"] * 3)
    issue_id = await new_issue(publishing)
    shown = await look(publishing, issue_id)
    suppress(publishing, people[0])
    answer = await publish(publishing, issue_id, shown["token"], shrinkage_max=0)
    assert (problem(answer), answer.json()["facts"]) == ((409, "audience-changed"), {"shown": 3, "found": 2})


async def test_without_a_token_it_goes_out_as_before(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    answer = await publishing.publish(await new_issue(publishing))
    assert (answer.status_code, answer.json()["audience_change"]) == (202, None)


async def test_the_same_key_gives_the_same_answer_with_the_change_in_it(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    body = {"audience": {"token": (await look(publishing, issue_id))["token"]}}
    first = await publishing.post(f"issues/{issue_id}/publish", body, key="once")
    second = await publishing.post(f"issues/{issue_id}/publish", body, key="once")
    assert (first.status_code, first.json()) == (second.status_code, second.json()) == (202, first.json())
    assert first.json()["audience_change"]["found"] == 1


async def test_a_segment_is_counted_anew_and_frozen_with_the_filter_that_was_shown(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    people = add_people(publishing, *["Ada"] * 4, *["Ben"] * 9)
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    shown = await look(publishing, issue_id)
    set_state(publishing, "unsubscribed", people[0])
    add_people(publishing, *["Ben"] * 7)
    refused = await publish(publishing, issue_id, shown["token"], shrinkage_max=0)
    assert (problem(refused), refused.json()["facts"]) == ((409, "audience-changed"), {"shown": 4, "found": 3})
    answer = await publish(publishing, issue_id, shown["token"], shrinkage_max=1, growth_max=0)
    assert (answer.status_code, answer.json()["audience_change"]["shrunk_by"]) == (202, 1)
    await publishing.until_fanned_out(issue_id)
    assert publishing.enqueued(issue_id) == people[1:4]
    assert publishing.rows("SELECT count(*) FROM subscriptions.audience_block") == [(0,)]


async def test_another_segment_than_was_shown_is_refused(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada", "Ben")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    token = (await look(publishing, issue_id))["token"]
    for segment_id in (add_segment(publishing, named="Ben"), None):
        await publishing.patch(f"issues/{issue_id}", {"segment_id": segment_id})
        assert problem(await publish(publishing, issue_id, token)) == (409, "audience-changed")
        body = {"at": TOMORROW, "audience": {"token": token}}
        assert problem(await publishing.post(f"issues/{issue_id}/schedule", body)) == (409, "audience-changed")
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "draft"


async def test_another_filter_of_the_same_segment_is_refused_and_another_name_is_not(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada", "Ben")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    token = (await look(publishing, issue_id))["token"]
    publishing.rows('UPDATE subscriptions.segment SET filter = filter || \'{"value": "Ben"}\', updated_at = now()')
    assert problem(await publish(publishing, issue_id, token)) == (409, "audience-changed")
    publishing.rows("UPDATE subscriptions.segment SET filter = filter || '{\"value\": \"Ada\"}', name = 'Renamed'")
    assert (await publish(publishing, issue_id, token)).status_code == 202


async def test_a_token_of_another_issue_of_yesterday_or_of_nothing_is_refused(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id, other_id = await new_issue(publishing), await new_issue(publishing)
    token = (await look(publishing, issue_id))["token"]
    for wrong in (await look(publishing, other_id))["token"], token[:-4], "x" * 1_000, "":
        for step, body in (("publish", {}), ("schedule", {"at": TOMORROW})):
            answer = await publishing.post(f"issues/{issue_id}/{step}", body | {"audience": {"token": wrong}})
            assert problem(answer) == (422, "invalid-input"), wrong
            assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/audience/token"]
    assert problem(await publishing.post(f"issues/{issue_id}/audience", {"token": "x"})) == (422, "invalid-input")
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "draft"


async def test_a_token_of_yesterday_is_compared_and_publishes_nothing(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    issue_id = await new_issue(publishing)
    old = encode_token(ShownAudience(issue_id, 1, None, None, 1, datetime.now(UTC) - timedelta(hours=25)))
    for step, body in (("publish", {}), ("schedule", {"at": TOMORROW})):
        answer = await publishing.post(f"issues/{issue_id}/{step}", body | {"audience": {"token": old}})
        assert problem(answer) == (409, "audience-token-expired")
    compared = await look(publishing, issue_id, token=old)
    assert compared["previous"]["change"]["found"] == 1
    assert (await publishing.get(f"issues/{issue_id}")).json()["status"] == "draft"


@pytest.mark.parametrize("limit", [{"growth_max": -1}, {"shrinkage_max": 2**60}, {"growth_max": "few"}, {"more": 1}])
async def test_a_limit_that_is_none_is_refused(publishing: Publishing, limit: dict[str, object]) -> None:
    publishing.add_confirmed(1)
    issue_id = await new_issue(publishing)
    answer = await publish(publishing, issue_id, (await look(publishing, issue_id))["token"], **limit)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["pointer"]) == (400, f"/audience/{next(iter(limit))}")


async def test_of_two_who_publish_at_once_with_tokens_one_does(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    token = (await look(publishing, issue_id))["token"]
    answers = await asyncio.gather(*(publish(publishing, issue_id, token) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]


async def scheduled(publishing: Publishing, issue_id: int, **limits: object) -> None:
    """With what was shown just now."""
    token = (await look(publishing, issue_id))["token"]
    body = {"at": TOMORROW, "audience": {"token": token} | limits}
    answer = await publishing.post(f"issues/{issue_id}/schedule", body)
    assert (answer.status_code, answer.json()["status"]) == (200, "scheduled"), answer.text


def make_due(owner: PublishingOwner) -> None:
    owner.rows("UPDATE publishing.issue SET scheduled_at = now() - interval '1 second' WHERE status = 'scheduled'")


async def fired(publishing: Publishing, issue_id: int) -> dict[str, Any]:
    """The issue, once the service's own loop has published or withdrawn it."""

    async def is_fired() -> bool:
        return bool((await publishing.get(f"issues/{issue_id}")).json()["status"] != "scheduled")

    await until(is_fired)
    issue: dict[str, Any] = (await publishing.get(f"issues/{issue_id}")).json()
    return issue


async def test_a_scheduled_issue_within_its_limits_goes_out(publishing: Publishing) -> None:
    people = add_people(publishing, *["Ada"] * 5)
    issue_id = await new_issue(publishing)
    await scheduled(publishing, issue_id, shrinkage_max=1, growth_max=0)
    set_state(publishing, "unsubscribed", people[0])
    make_due(publishing)
    assert (await fired(publishing, issue_id))["published_at"] is not None
    assert publishing.rows("SELECT found_count FROM publishing.audience_expectation") == [(4,)]


async def test_a_scheduled_issue_beyond_its_limits_is_a_draft_again_and_says_why(publishing: Publishing) -> None:
    people = add_people(publishing, *["Ada"] * 5)
    issue_id = await new_issue(publishing)
    await scheduled(publishing, issue_id, shrinkage_max=1)
    set_state(publishing, "unsubscribed", *people[:2])
    make_due(publishing)
    issue = await fired(publishing, issue_id)
    assert (issue["status"], issue["status_reason"]) == (
        "draft",
        f"{NOT_AT_ITS_TIME} 5 people were shown, and 3 would get it: 2 fewer, and at most 1 are allowed.",
    )
    (step, *_) = (await publishing.get(f"issues/{issue_id}/history")).json()["items"]
    assert (step["step"], step["note"]) == ("withdrawn", issue["status_reason"])
    assert publishing.rows("SELECT count(*) FROM publishing.audience_expectation") == [(0,)]
    assert (await publishing.publish(issue_id)).status_code == 202


async def test_a_scheduled_issue_to_a_segment_is_held_to_what_was_shown(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    people = add_people(publishing, *["Ada"] * 5, "Ben", "Ben")
    segment_id = add_segment(publishing, named="Ada")
    within, beyond = [await new_issue(publishing, segment_id=segment_id) for _ in range(2)]
    await scheduled(publishing, within, shrinkage_max=1)
    await scheduled(publishing, beyond, shrinkage_max=0)
    set_state(publishing, "unsubscribed", people[0])
    make_due(publishing)
    assert (await fired(publishing, within))["published_at"] is not None
    issue = await fired(publishing, beyond)
    assert issue["status"] == "draft"
    assert "5 people were shown, and 4 would get it" in issue["status_reason"]
    await publishing.until_fanned_out(within)
    assert publishing.enqueued(within) == people[1:5]
    # What was requested for it is gone, so that it can be published later.
    answer = await publish(publishing, beyond, (await look(publishing, beyond))["token"])
    assert answer.status_code == 202, answer.text
    await publishing.until_fanned_out(beyond)
    assert publishing.enqueued(beyond) == people[1:5]


async def test_a_scheduled_issue_whose_segment_has_another_filter_is_a_draft_again(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada", "Ben")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    await scheduled(publishing, issue_id)
    publishing.rows('UPDATE subscriptions.segment SET filter = filter || \'{"value": "Ben"}\'')
    make_due(publishing)
    issue = await fired(publishing, issue_id)
    assert (issue["status"], issue["status_reason"]) == (
        "draft",
        f"{NOT_AT_ITS_TIME} The segment's filter was changed since the audience was shown.",
    )


async def test_a_schedule_without_an_audience_a_new_one_and_none_drop_the_limits(publishing: Publishing) -> None:
    publishing.add_confirmed(3)
    issue_id = await new_issue(publishing)
    for is_moved in (True, False):
        await scheduled(publishing, issue_id, growth_max=0)
        assert publishing.rows("SELECT shown_count, growth_max FROM publishing.audience_expectation") == [(3, 0)]
        path = f"issues/{issue_id}/schedule"
        dropped = await (publishing.post(path, {"at": TOMORROW}) if is_moved else publishing.delete(path))
        assert dropped.status_code == 200
        assert publishing.rows("SELECT count(*) FROM publishing.audience_expectation") == [(0,)]
    await scheduled(publishing, issue_id, growth_max=0)
    publishing.add_confirmed(1)
    assert (await publishing.publish(issue_id)).status_code == 202, "by hand, without a token: as it is"


async def test_one_that_waits_for_its_members_holds_up_no_other_and_asks_once(
    engine: AsyncEngine, owner: PublishingOwner
) -> None:
    add_people(owner, "Ada", "Ada")
    segment_id = add_segment(owner, named="Ada")
    waiting, other = [
        owner.rows(
            "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, status, "
            "scheduled_at, segment_id) VALUES (1, 'Title', '<p>x</p>', 'x', 'user:1', 'scheduled', "
            "now() - interval '1 minute', %s) RETURNING id",
            chosen,
        )[0][0]
        for chosen in (segment_id, None)
    ]
    owner.rows(
        "INSERT INTO publishing.audience_expectation (issue_id, shown_count, shown_at, segment_id, filter_digest, "
        "growth_max) SELECT %s, 2, now(), segment_id, filter_digest, 0 FROM subscriptions.published_segment_versions",
        waiting,
    )
    assert await fire_next_schedule(engine, INSTALLATION) == Fired(other)
    assert isinstance(await fire_next_schedule(engine, INSTALLATION), NothingDue)
    ((first,),) = owner.rows("SELECT issue_id FROM subscriptions.audience")
    assert await find_members_of_due(engine, resting_issue_ids=frozenset()) == {waiting}
    assert await find_members_of_due(engine, resting_issue_ids=frozenset({waiting})) == frozenset()
    # Nobody found them in a minute: they are asked for again, and the first request is given up.
    owner.rows("UPDATE subscriptions.audience SET frozen_at = now() - interval '2 minutes'")
    find_members_at_once(owner)
    assert await find_members_of_due(engine, resting_issue_ids=frozenset()) == {waiting}
    assert owner.rows("SELECT released_at IS NOT NULL FROM subscriptions.audience WHERE issue_id = %s", first) == [
        (True,)
    ]
    assert await fire_next_schedule(engine, INSTALLATION) == Fired(waiting)


async def test_one_whose_segment_was_deleted_does_not_wait(engine: AsyncEngine, owner: PublishingOwner) -> None:
    add_people(owner, "Ada")
    ((issue_id,),) = owner.rows(
        "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, created_by, status, "
        "scheduled_at, segment_id) VALUES (1, 'Title', '<p>x</p>', 'x', 'user:1', 'scheduled', now(), 99) RETURNING id"
    )
    owner.rows(
        "INSERT INTO publishing.audience_expectation (issue_id, shown_count, shown_at, segment_id, filter_digest) "
        "VALUES (%s, 1, now(), 99, 'x')",
        issue_id,
    )
    assert await fire_next_schedule(engine, INSTALLATION) == Withdrawn(issue_id)
