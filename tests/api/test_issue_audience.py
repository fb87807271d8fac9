"""The audience of an issue through the gateway: counted, shown, and held to when the issue is published."""

from typing import Any

from harness.system import System

ISSUES = "/api/v1/issues"


async def _draft(system: System, **fields: object) -> int:
    answer = await system.api.post(ISSUES, json={"title": "First", "content": "Hello", **fields})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def _look(system: System, issue_id: int) -> dict[str, Any]:
    answer = await system.api.post(f"{ISSUES}/{issue_id}/audience")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_the_segment_that_was_shown_is_counted_and_sent_to(system: System) -> None:
    readers = system.seed.subscribers(4)
    others = system.seed.subscribers(3, prefix="other")
    system.seed.subscribers(2, prefix="pending", state="pending")
    segment = await system.api.post(
        "/api/v1/segments",
        json={"name": "Readers", "filter": {"field": "email", "op": "starts_with", "value": "reader"}},
    )
    assert segment.status_code == 201, segment.text
    issue_id = await _draft(system, segment_id=segment.json()["id"])
    shown = await _look(system, issue_id)
    assert (shown["count"], shown["excluded"]) == (
        4,
        {"pending": 2, "unsubscribed": 0, "outside_segment": len(others), "suppressed": 0, "erased": 0},
    )
    assert [person["id"] for person in shown["sample"]] == readers
    expected = {"audience": {"token": shown["token"], "shrinkage_max": 0}}
    system.seed.leave(readers[0])
    refused = await system.api.post(f"{ISSUES}/{issue_id}/publish", json=expected)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:audience-changed")
    assert refused.json()["facts"] == {"shown": 4, "found": 3}
    expected["audience"]["token"] = (await _look(system, issue_id))["token"]
    published = await system.api.post(f"{ISSUES}/{issue_id}/publish", json=expected)
    assert (published.status_code, published.json()["audience_change"]["found"]) == (202, 3), published.text
    await system.deliver_all_pending()
    assert len(system.newsletter_mails()) == 3


async def test_a_person_who_was_erased_is_counted_as_that(system: System) -> None:
    readers = system.seed.subscribers(3)
    erased = await system.api.post(f"/api/v1/subscribers/{readers[1]}/erase")
    assert erased.is_success, erased.text
    shown = await _look(system, await _draft(system))
    assert (shown["count"], shown["excluded"]["erased"]) == (2, 1)
    assert [person["id"] for person in shown["sample"]] == [readers[0], readers[2]]
