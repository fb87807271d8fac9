"""A/B tests: written with the draft, published with it, and decided once."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import Actor
from broadsheet_publishing.issues.step_failed import IssueStepFailedError
from broadsheet_publishing.variants import decide_winner
from broadsheet_publishing.variants.decide_winner import (
    Decided,
    NothingDue,
    NothingToChooseError,
    Postponed,
    choose_by_hand,
    decide_next_test,
)
from harness.owner import AUDIT_LOG

from ..conftest import ISSUE, Publishing, PublishingOwner, steps_until_finished

SUBJECTS: dict[str, Any] = {
    "others": [{"subject": "Another subject"}],
    "share_percent": 50,
    "decide_by": "clicks",
    "wait_minutes": 60,
    "sample_min": 5,
}


async def write(publishing: Publishing, **test: object) -> int:
    publishing.rows("UPDATE publishing.newsletter SET track_links = true, track_opens = true")
    answer = await publishing.write_issue(ab_test=SUBJECTS | test)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def published(publishing: Publishing, *, readers: int = 40, **test: object) -> int:
    publishing.add_confirmed(readers)
    issue_id = await write(publishing, **test)
    answer = await publishing.publish(issue_id)
    assert answer.status_code == 202, answer.text
    await publishing.until_fanned_out(issue_id)
    return issue_id


def parts(publishing: Publishing, issue_id: int) -> dict[int, int]:
    """Deliveries by variant."""
    rows = publishing.rows(
        "SELECT variant, sum(last_seq - first_seq + 1)::integer FROM delivery.delivery_chunk "
        "WHERE issue_id = %s GROUP BY variant ORDER BY variant",
        issue_id,
    )
    return dict(rows)


def report(publishing: Publishing, issue_id: int, **clicked: int) -> None:
    """What the reports would have rolled up: 10 delivered of each variant, and these clicked; `v1=2, v2=3`."""
    for name, count in clicked.items():
        for figure, value in (
            ("accepted", 10),
            ("delivery_reported", 10),
            ("delivered", 10),
            ("clicked_by_reader", count),
        ):
            publishing.rows(
                "INSERT INTO delivery.report_figure VALUES (%s, 'variant', %s, %s, %s)",
                issue_id,
                figure,
                name.removeprefix("v"),
                value,
            )


def come_due(publishing: Publishing, *, last: bool = False) -> None:
    publishing.rows("UPDATE publishing.ab_test SET look_at = now() - interval '1 second'")
    if last:
        publishing.rows("UPDATE publishing.ab_test SET give_up_at = now() - interval '1 second'")


async def state(publishing: Publishing, issue_id: int) -> dict[str, Any]:
    answer = await publishing.get(f"issues/{issue_id}/ab-test")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_it_is_part_of_the_draft_its_revisions_and_its_duplicates(publishing: Publishing) -> None:
    issue_id = await write(publishing)
    shown = (await publishing.get(f"issues/{issue_id}")).json()
    expected = SUBJECTS | {"others": [{"subject": "Another subject", "preheader": None, "content": None}]}
    assert shown["ab_test"] == expected
    assert shown["faults"] == []
    same = await publishing.patch(f"issues/{issue_id}", {"ab_test": SUBJECTS})
    assert same.json()["version"] == 1
    without = await publishing.patch(f"issues/{issue_id}", {"ab_test": None})
    assert (without.json()["ab_test"], without.json()["version"]) == (None, 2)
    changes = (await publishing.get(f"issues/{issue_id}/revisions/1/changes", **{"with": 2})).json()["changes"]
    assert [change["field"] for change in changes] == ["ab_test"]
    assert any("Another subject" in line["text"] for line in changes[0]["blocks"][0]["lines"])
    restored = await publishing.client.post(
        f"/api/v1/issues/{issue_id}/revisions/1/restore",
        headers=publishing.identity("read", "write") | {"If-Match": "*"},
    )
    assert restored.json()["ab_test"] == expected
    duplicate = await publishing.post(f"issues/{issue_id}/duplicate")
    assert duplicate.json()["ab_test"] == expected
    # Nothing of it is published.
    assert (await publishing.get(f"issues/{issue_id}/ab-test")).status_code == 404


@pytest.mark.parametrize(
    ("test", "pointer"),
    [
        ({"others": [{}]}, "/ab_test/others/0"),
        ({"others": [{"subject": "x"}, {"preheader": "two\nlines"}]}, "/ab_test/others/1/preheader"),
        ({"others": [{"content": "NUL \0"}]}, "/ab_test/others/0/content"),
    ],
)
async def test_what_cannot_be_kept_is_refused_at_its_place(
    publishing: Publishing, test: dict[str, object], pointer: str
) -> None:
    answer = await publishing.write_issue(ab_test=SUBJECTS | test)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "test",
    [
        {"others": []},
        {"others": [{"subject": "x"}] * 4},
        {"share_percent": 0},
        {"share_percent": 101},
        {"wait_minutes": 0},
        {"sample_min": 0},
        {"decide_by": "luck"},
        {"unknown": 1},
    ],
)
async def test_values_out_of_bounds_are_refused(publishing: Publishing, test: dict[str, object]) -> None:
    answer = await publishing.write_issue(ab_test=SUBJECTS | test)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("/ab_test")


async def test_faults_of_a_variant_are_told_once_with_its_number(publishing: Publishing) -> None:
    answer = await publishing.write_issue(
        content="<p>{{ subscriber.nam }}</p>",
        ab_test=SUBJECTS | {"others": [{"subject": "Hi {{ nobody }}"}, {"content": "<p>{% if %}</p>"}]},
    )
    faults = answer.json()["faults"]
    assert [(fault["field"], fault["variant"]) for fault in faults] == [
        ("content", None),
        ("subject", 2),
        ("content", 3),
    ]
    publishing.add_confirmed(1)
    issue_id = answer.json()["id"]
    await publishing.patch(f"issues/{issue_id}", {"content": "<p>Fine</p>"})
    refused = await publishing.publish(issue_id)
    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/ab_test/others/0/subject"}


async def test_a_preview_shows_the_variant_that_is_asked_for(publishing: Publishing) -> None:
    issue_id = await write(publishing, others=[{"subject": "Second"}, {"content": "<p>Third</p>"}])
    found = [(await publishing.post(f"issues/{issue_id}/preview", {"variant": n})).json() for n in (1, 2, 3)]
    assert [one["subject"] for one in found] == [ISSUE["title"], "Second", ISSUE["title"]]
    assert ["Third" in one["html"] for one in found] == [False, False, True]
    # The text of the issue itself does not belong to another content.
    assert "Third" in found[2]["text"]
    missing = await publishing.post(f"issues/{issue_id}/preview", {"variant": 4})
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (422, "/variant")


async def test_the_audience_is_split_and_the_rest_waits(publishing: Publishing) -> None:
    issue_id = await published(publishing, readers=600, share_percent=50)
    found = parts(publishing, issue_id)
    assert sum(found.values()) == 600
    # Half of 600 with a standard deviation of 12: eight of them.
    assert all(50 <= found[variant] <= 250 for variant in (1, 2))
    assert 200 <= found[0] <= 400
    assert publishing.rows("SELECT count(*) FROM delivery.delivery_chunk WHERE variant = 0 AND run_at <= now()") == [
        (0,)
    ]
    assert publishing.enqueued(issue_id) != []
    assert sorted(publishing.enqueued(issue_id)) == publishing.audience()
    contents = publishing.rows("SELECT variant, subject FROM publishing.published_contents ORDER BY variant")
    assert contents == [(1, ISSUE["title"]), (2, "Another subject")]


async def test_half_and_half_of_2000_is_about_1000_each_whatever_the_batches(
    owner: PublishingOwner, engine: AsyncEngine
) -> None:
    """Also the same people each time: nobody changes sides when a batch is done again."""
    owner.add_confirmed(2_000)
    issue_id = owner.add_published_issue()
    owner.rows(
        "INSERT INTO publishing.ab_test (issue_id, variant_count, share_percent, decide_by, sample_min) "
        "VALUES (%s, 2, 100, 'hand', 1)",
        issue_id,
    )
    found = []
    for page_rows in (130, 10_000):
        await steps_until_finished(engine, above=10**6, page_rows=page_rows)
        found.append(
            owner.rows(
                "SELECT subscriber_id FROM delivery.delivery JOIN delivery.delivery_chunk AS chunk "
                "ON chunk.issue_id = delivery.issue_id AND seq BETWEEN first_seq AND last_seq "
                "WHERE variant = 1 ORDER BY 1"
            )
        )
        owner.rows("TRUNCATE delivery.delivery, delivery.delivery_chunk CASCADE")
        owner.rows("UPDATE publishing.fan_out SET finished_at = NULL, cursor_subscriber_id = 0")
        owner.rows("UPDATE delivery.issue_run SET fan_out_finished_at = NULL")
    # A standard deviation of 22.
    assert 850 <= len(found[0]) <= 1_150
    assert found[0] == found[1]


async def test_with_a_share_of_all_nobody_waits(publishing: Publishing) -> None:
    issue_id = await published(publishing, readers=60, share_percent=100, others=[{"subject": s} for s in "abc"])
    found = parts(publishing, issue_id)
    assert 0 not in found
    assert sum(found.values()) == 60


async def test_the_rate_decides_at_its_time_and_the_rest_gets_the_winner(
    publishing: Publishing, engine: AsyncEngine
) -> None:
    issue_id = await published(publishing)
    before = parts(publishing, issue_id)
    assert await decide_next_test(engine) == NothingDue()
    report(publishing, issue_id, v1=2, v2=5)
    come_due(publishing)
    assert await decide_next_test(engine) == Decided(issue_id, 2)
    assert await decide_next_test(engine) == NothingDue()
    assert parts(publishing, issue_id) == {1: before[1], 2: before[2] + before[0]}
    assert publishing.rows("SELECT count(*) FROM delivery.delivery_chunk WHERE run_at > now()") == [(0,)]
    found = await state(publishing, issue_id)
    assert (found["winner"], found["reason"], found["look_at"], found["decided_by"]) == (2, "rate", None, "schedule")
    steps = (await publishing.get(f"issues/{issue_id}/history")).json()["items"]
    assert [step["note"] for step in steps if step["step"] == "winner_chosen"] == [
        "Variant 2: its rate is the highest."
    ]


async def test_too_few_are_looked_at_again_and_in_the_end_the_first_is_taken(
    publishing: Publishing, engine: AsyncEngine
) -> None:
    issue_id = await published(publishing, sample_min=11)
    report(publishing, issue_id, v1=0, v2=5)
    come_due(publishing)
    assert await decide_next_test(engine) == Postponed(issue_id)
    assert await decide_next_test(engine) == NothingDue()
    come_due(publishing, last=True)
    assert await decide_next_test(engine) == Decided(issue_id, 1)
    assert (await state(publishing, issue_id))["reason"] == "too_few"


async def test_a_person_chooses_once_and_before_the_time_too(publishing: Publishing, engine: AsyncEngine) -> None:
    issue_id = await published(publishing)
    before = parts(publishing, issue_id)
    assert (await publishing.post(f"issues/{issue_id}/winner", {"variant": 3})).status_code == 422
    for _ in range(2):
        chosen = await publishing.post(f"issues/{issue_id}/winner", {"variant": 1}, subject="user:7")
        assert (chosen.status_code, chosen.json()["winner"], chosen.json()["decided_by"]) == (200, 1, "user:7")
    audited = publishing.rows(
        f"SELECT actor, after ->> 'winner', after ->> 'reason' FROM {AUDIT_LOG} "
        "WHERE action = 'issue.winner_chosen' AND target_id = %s",
        str(issue_id),
    )
    assert audited == [("user:7", "1", "by_hand")]
    other = await publishing.post(f"issues/{issue_id}/winner", {"variant": 2})
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (409, "winner-chosen")
    assert parts(publishing, issue_id) == {1: before[1] + before[0], 2: before[2]}
    come_due(publishing)
    assert await decide_next_test(engine) == NothingDue()


async def test_the_same_choice_with_its_key_gets_the_first_answer_again(publishing: Publishing) -> None:
    issue_id = await published(publishing)
    path = f"issues/{issue_id}/winner"
    first = await publishing.post(path, {"variant": 1}, key="a")
    again = await publishing.post(path, {"variant": 1}, key="a")
    assert (again.status_code, again.content) == (200, first.content)
    other = await publishing.post(path, {"variant": 2}, key="a")
    assert (other.status_code, other.json()["type"].rpartition(":")[2]) == (422, "idempotency-key-reused")


async def test_only_a_person_decides_where_it_says_so(publishing: Publishing, engine: AsyncEngine) -> None:
    issue_id = await published(publishing, decide_by="hand")
    report(publishing, issue_id, v1=0, v2=5)
    assert (await state(publishing, issue_id))["look_at"] is None
    assert await decide_next_test(engine) == NothingDue()
    assert (await publishing.post(f"issues/{issue_id}/winner", {"variant": 2})).status_code == 200


async def test_a_cancelled_issue_has_no_winner(publishing: Publishing, engine: AsyncEngine) -> None:
    issue_id = await published(publishing)
    assert (await publishing.post(f"issues/{issue_id}/cancel")).json()["status"] == "cancelled"
    by_hand = await publishing.post(f"issues/{issue_id}/winner", {"variant": 1})
    assert (by_hand.status_code, by_hand.json()["type"].rpartition(":")[2]) == (409, "nothing-to-choose")
    report(publishing, issue_id, v1=0, v2=5)
    come_due(publishing)
    assert await decide_next_test(engine) == Decided(issue_id, None)
    assert (await state(publishing, issue_id))["reason"] == "cancelled"


async def test_nobody_decides_before_all_are_enqueued(owner: PublishingOwner, engine: AsyncEngine) -> None:
    issue_id = owner.add_published_issue()
    owner.rows(
        "INSERT INTO publishing.ab_test (issue_id, variant_count, share_percent, decide_by, sample_min, look_at, "
        "give_up_at) VALUES (%s, 2, 50, 'clicks', 1, now() - interval '2 hours', now() - interval '1 hour')",
        issue_id,
    )
    assert await decide_next_test(engine) == NothingDue()
    async with engine.begin() as connection:
        with pytest.raises(NothingToChooseError):
            await choose_by_hand(connection, issue_id, 1, by=Actor("user:1", "user:1"))
    await steps_until_finished(engine)
    assert await decide_next_test(engine) == Decided(issue_id, 1)


async def test_a_process_that_dies_while_choosing_has_chosen_nothing(
    publishing: Publishing, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue_id = await published(publishing)
    before = parts(publishing, issue_id)
    report(publishing, issue_id, v1=0, v2=5)
    come_due(publishing)

    async def dies(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        # Behind the release, before the commit.
        broken.setattr(decide_winner, "record_step", dies)
        with pytest.raises((RuntimeError, IssueStepFailedError)):
            await decide_next_test(engine)
    assert parts(publishing, issue_id) == before
    assert await decide_next_test(engine) == Decided(issue_id, 2)


async def test_many_who_decide_at_once_agree(publishing: Publishing, engine: AsyncEngine) -> None:
    issue_id = await published(publishing)
    report(publishing, issue_id, v1=0, v2=5)
    come_due(publishing)
    answers = await asyncio.gather(
        decide_next_test(engine),
        decide_next_test(engine),
        publishing.post(f"issues/{issue_id}/winner", {"variant": 1}),
        publishing.post(f"issues/{issue_id}/winner", {"variant": 2}),
    )
    assert sum(isinstance(answer, Decided) for answer in answers) <= 1
    winner = (await state(publishing, issue_id))["winner"]
    assert set(parts(publishing, issue_id)) == {1, 2}
    assert publishing.rows("SELECT winner FROM delivery.issue_run WHERE issue_id = %s", issue_id) == [(winner,)]
    steps = (await publishing.get(f"issues/{issue_id}/history")).json()["items"]
    assert sum(step["step"] == "winner_chosen" for step in steps) == 1


async def test_the_archive_shows_the_winner(publishing: Publishing) -> None:
    publishing.rows("UPDATE publishing.newsletter SET has_archive = true")
    issue_id = await published(publishing, others=[{"content": "<p>The better text</p>"}])
    slug = (await publishing.get(f"issues/{issue_id}")).json()["slug"]
    ((newsletter,),) = publishing.rows("SELECT slug FROM publishing.newsletter WHERE id = 1")
    address = f"/public/archive/{newsletter}/issues/{slug}"
    first = await publishing.client.get(address, headers=publishing.identity("public"))
    assert first.status_code == 200, first.text
    assert "The better text" not in first.text
    await publishing.post(f"issues/{issue_id}/winner", {"variant": 2})
    then = await publishing.client.get(address, headers=publishing.identity("public"))
    assert "The better text" in then.text
