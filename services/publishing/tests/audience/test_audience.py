"""Who would get an issue, and why the others would not."""

from typing import Any

import pytest

from ..conftest import Publishing
from .world import (
    add_people,
    add_segment,
    erase,
    find_members_at_once,
    look,
    new_issue,
    problem,
    publish,
    set_state,
    stop_finding_members,
    suppress,
)

NOBODY = {"pending": 0, "unsubscribed": 0, "outside_segment": 0, "suppressed": 0, "erased": 0}


def subscriptions(publishing: Publishing, newsletter_id: int = 1) -> int:
    ((count,),) = publishing.rows(
        "SELECT count(*) FROM subscriptions.subscription WHERE newsletter_id = %s", newsletter_id
    )
    return int(count)


def with_subscription(shown: dict[str, Any]) -> int:
    excluded = {reason: people for reason, people in shown["excluded"].items() if reason != "erased"}
    return int(shown["count"] + sum(excluded.values()))


async def test_everybody_who_is_confirmed_gets_it_and_each_other_has_one_reason(publishing: Publishing) -> None:
    confirmed = add_people(publishing, *["Ada"] * 7)
    add_people(publishing, "Ada", "Ada", state="pending")
    add_people(publishing, *["Ada"] * 3, state="unsubscribed")
    suppress(publishing, confirmed[0])
    elsewhere = publishing.add_newsletter("elsewhere")
    add_people(publishing, *["Ada"] * 5, newsletter_id=elsewhere)
    shown = await look(publishing, await new_issue(publishing))
    assert (shown["count"], shown["excluded"]) == (
        6,
        NOBODY | {"pending": 2, "unsubscribed": 3, "suppressed": 1},
    )
    assert with_subscription(shown) == subscriptions(publishing) == 12
    assert (shown["newsletter_id"], shown["segment_id"], shown["previous"]) == (1, None, None)


async def test_whoever_left_or_never_confirmed_counts_as_that_even_if_suppressed_too(publishing: Publishing) -> None:
    add_people(publishing, "Ada")
    left = add_people(publishing, "Ada", state="unsubscribed")
    pending = add_people(publishing, "Ada", state="pending")
    suppress(publishing, *left, *pending)
    shown = await look(publishing, await new_issue(publishing))
    assert (shown["count"], shown["excluded"]) == (1, NOBODY | {"pending": 1, "unsubscribed": 1})


async def test_a_suppression_on_another_stream_or_one_that_was_lifted_excludes_nobody(publishing: Publishing) -> None:
    people = add_people(publishing, "Ada", "Ben")
    suppress(publishing, people[0], stream="outbound")
    suppress(publishing, people[1])
    publishing.rows("UPDATE delivery.suppression SET active = false WHERE message_stream = 'broadcast'")
    shown = await look(publishing, await new_issue(publishing))
    assert (shown["count"], shown["excluded"]) == (2, NOBODY)


async def test_who_is_not_in_the_segment_counts_as_outside_even_if_suppressed_too(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    inside = add_people(publishing, *["Ada"] * 4)
    outside = add_people(publishing, *["Ben"] * 3)
    add_people(publishing, "Ada", state="pending")
    add_people(publishing, "Ada", state="unsubscribed")
    suppress(publishing, inside[0], outside[0])
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    shown = await look(publishing, issue_id)
    assert (shown["count"], shown["excluded"]) == (
        3,
        NOBODY | {"pending": 1, "unsubscribed": 1, "outside_segment": 3, "suppressed": 1},
    )
    assert with_subscription(shown) == subscriptions(publishing)
    assert [person["id"] for person in shown["sample"]] == inside[1:]


async def test_people_who_were_erased_while_confirmed_are_counted_and_are_in_no_sum(publishing: Publishing) -> None:
    people = add_people(publishing, *["Ada"] * 4)
    pending = add_people(publishing, "Ada", state="pending")
    elsewhere = publishing.add_newsletter("elsewhere")
    others = add_people(publishing, "Ada", newsletter_id=elsewhere)
    for person in (people[0], people[1], *pending, *others):
        erase(publishing, person)
    shown = await look(publishing, await new_issue(publishing))
    assert (shown["count"], shown["excluded"]) == (2, NOBODY | {"erased": 2})
    assert with_subscription(shown) == subscriptions(publishing)


async def test_what_is_counted_is_what_the_published_issue_is_made_for(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    people = add_people(publishing, *["Ada"] * 5, *["Ben"] * 4)
    suppress(publishing, people[0])
    for segment_id in (None, add_segment(publishing, named="Ada")):
        issue_id = await new_issue(publishing, segment_id=segment_id)
        shown = await look(publishing, issue_id)
        assert (await publish(publishing, issue_id, shown["token"])).status_code == 202
        await publishing.until_fanned_out(issue_id)
        assert len(publishing.enqueued(issue_id)) == shown["count"] + shown["excluded"]["suppressed"]
        assert {person["id"] for person in shown["sample"]} <= set(publishing.enqueued(issue_id)) - {people[0]}


async def test_the_sample_is_ten_people_from_the_whole_audience_and_the_same_each_time(publishing: Publishing) -> None:
    publishing.add_confirmed(400)
    people = publishing.audience()
    issue_id = await new_issue(publishing)
    shown = await look(publishing, issue_id)
    chosen = [person["id"] for person in shown["sample"]]
    assert len(set(chosen)) == 10
    halves = [people.index(person) // 200 for person in chosen]
    assert set(halves) == {0, 1}, "the ids of one half only"
    assert (await look(publishing, issue_id))["sample"] == shown["sample"]
    other = await look(publishing, await new_issue(publishing))
    assert other["sample"] != shown["sample"]
    named = publishing.rows("SELECT email, name FROM subscriptions.subscriber WHERE id = %s", chosen[0])
    assert [(shown["sample"][0]["email"], shown["sample"][0]["name"])] == named


async def test_an_audience_of_nobody_is_shown_as_that(publishing: Publishing) -> None:
    shown = await look(publishing, await new_issue(publishing))
    assert (shown["count"], shown["excluded"], shown["sample"]) == (0, NOBODY, [])


async def test_an_earlier_answer_is_compared(publishing: Publishing) -> None:
    people = add_people(publishing, *["Ada"] * 5)
    issue_id = await new_issue(publishing)
    first = await look(publishing, issue_id)
    add_people(publishing, "Ada", "Ada")
    grown = (await look(publishing, issue_id, token=first["token"]))["previous"]
    assert grown == {
        "change": {"shown": 5, "shown_at": first["as_of"], "found": 7, "grown_by": 2, "shrunk_by": 0},
        "is_same_segment": True,
    }
    set_state(publishing, "unsubscribed", *people[:4])
    shrunk = (await look(publishing, issue_id, token=first["token"]))["previous"]
    assert (shrunk["change"]["grown_by"], shrunk["change"]["shrunk_by"]) == (0, 2)


async def test_an_answer_from_another_segment_is_compared_and_said_to_be(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada", "Ada", "Ben")
    issue_id = await new_issue(publishing)
    first = await look(publishing, issue_id)
    segment_id = add_segment(publishing, named="Ada")
    assert (await publishing.patch(f"issues/{issue_id}", {"segment_id": segment_id})).status_code == 200
    second = await look(publishing, issue_id, token=first["token"])
    assert (second["segment_id"], second["previous"]["is_same_segment"]) == (segment_id, False)
    assert (second["previous"]["change"]["shown"], second["previous"]["change"]["found"]) == (3, 2)
    publishing.rows('UPDATE subscriptions.segment SET filter = filter || \'{"value": "Ben"}\'')
    third = await look(publishing, issue_id, token=second["token"])
    assert (third["count"], third["previous"]["is_same_segment"]) == (1, False)


async def test_the_segment_of_a_draft_is_chosen_changed_and_left_out_again(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada", "Ada", "Ben")
    issue_id = await new_issue(publishing)
    for segment_id, count in (
        (add_segment(publishing, named="Ada"), 2),
        (add_segment(publishing, named="Ben"), 1),
        (None, 3),
    ):
        changed = await publishing.patch(f"issues/{issue_id}", {"segment_id": segment_id})
        assert (changed.status_code, changed.json()["segment_id"]) == (200, segment_id)
        assert (await look(publishing, issue_id))["count"] == count
    assert (await publishing.get(f"issues/{issue_id}")).json()["version"] == 4


async def test_nothing_is_kept_of_a_segment_that_was_counted(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    add_people(publishing, "Ada")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    await look(publishing, issue_id)
    assert publishing.rows("SELECT count(*) FROM subscriptions.audience_block") == [(0,)]
    # The row itself goes when somebody asks an hour later.
    publishing.rows("UPDATE subscriptions.audience SET frozen_at = now() - interval '2 hours'")
    await look(publishing, issue_id)
    assert publishing.rows("SELECT count(*) FROM subscriptions.audience") == [(1,)]


async def test_who_confirms_while_a_segment_is_looked_at_was_pending_at_that_moment(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    inside, late = add_people(publishing, "Ada", "Ben")
    publishing.rows(
        "UPDATE subscriptions.subscription SET confirmed_at = now() + interval '1 hour' WHERE subscriber_id = %s", late
    )
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    shown = await look(publishing, issue_id)
    assert [person["id"] for person in shown["sample"]] == [inside]
    assert (shown["count"], shown["excluded"]) == (1, NOBODY | {"pending": 1})


async def test_a_segment_whose_members_are_not_found_in_time_is_503_and_holds_nothing(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadsheet_publishing.audience.find_members.WAIT_MAX_S", 0.2)
    add_people(publishing, "Ada")
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    answer = await publishing.post(f"issues/{issue_id}/audience", {})
    assert problem(answer) == (503, "unavailable")
    assert publishing.rows("SELECT count(*) FROM subscriptions.audience WHERE completed_at IS NULL") == [(0,)]


async def test_at_most_twenty_segments_are_looked_at_at_once(publishing: Publishing) -> None:
    find_members_at_once(publishing)
    issue_id = await new_issue(publishing, segment_id=add_segment(publishing, named="Ada"))
    stop_finding_members(publishing)
    publishing.rows(
        "INSERT INTO subscriptions.audience (issue_id, newsletter_id, segment_id, filter) "
        "SELECT -n, 1, 1, '{}' FROM generate_series(1001, 1020) AS n"
    )
    assert problem(await publishing.post(f"issues/{issue_id}/audience", {})) == (503, "unavailable")
    assert publishing.rows("SELECT count(*) FROM subscriptions.audience") == [(20,)]


async def test_only_drafts_and_scheduled_issues_have_an_audience_to_look_at(publishing: Publishing) -> None:
    assert problem(await publishing.post("issues/4711/audience", {})) == (404, "not-found")
    publishing.add_confirmed(1)
    issue_id = await new_issue(publishing)
    assert (await publishing.publish(issue_id)).status_code == 202
    assert problem(await publishing.post(f"issues/{issue_id}/audience", {})) == (409, "already-published")
    cancelled = await new_issue(publishing)
    await publishing.post(f"issues/{cancelled}/cancel")
    assert problem(await publishing.post(f"issues/{cancelled}/audience", {})) == (409, "conflict")
    gone = await new_issue(publishing)
    publishing.rows("UPDATE publishing.issue SET segment_id = 999 WHERE id = %s", gone)
    assert problem(await publishing.post(f"issues/{gone}/audience", {})) == (409, "segment-gone")
