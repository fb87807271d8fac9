"""The checks as an author asks for them, and before an issue is published."""

from typing import Any

from ..conftest import ISSUE, Publishing

FINE = "Hello {{ subscriber.name | default: 'reader' }}, this is [a link](https://example.com/).\n\n" * 5


async def checks(publishing: Publishing, **fields: object) -> dict[str, Any]:
    issue_id = (await publishing.post("issues", {"title": "The news", "content": FINE} | fields)).json()["id"]
    answer = await publishing.post(f"issues/{issue_id}/checks", {})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_ordinary_issue_is_not_blocked(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    found = await checks(publishing, preheader="What happened this week, in short and in order.")
    assert found["is_blocked"] is False
    assert [one["code"] for one in found["findings"] if one["severity"] == "blocks"] == []


async def test_the_layout_that_ships_gives_an_author_nothing_to_be_warned_of(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    found = await checks(publishing, preheader="What happened this week, in short and in order.")
    warned = [one["data"] for one in found["findings"] if one["severity"] == "warns"]
    # Postmark was not asked yet.
    assert warned == [{"checks": ["sender"]}, {"checks": ["stream"]}]


async def test_a_newsletter_that_tracks_links_can_be_sent_in_the_layout_that_ships(publishing: Publishing) -> None:
    """Its links to unsubscribe are exempt from tracking when it is mailed, so that they do not block it."""
    publishing.add_confirmed(1)
    tracked = await publishing.patch("newsletters/1", {"track_links": True, "track_opens": True})
    assert tracked.status_code == 200
    found = await checks(publishing)
    assert [one["code"] for one in found["findings"] if one["severity"] == "blocks"] == []
    answer = await publishing.write_issue(title="The news", content=FINE, format="markdown", publish=True)
    assert answer.status_code == 201, answer.text


async def test_what_blocks_comes_first_and_says_where_and_what_to_do(publishing: Publishing) -> None:
    found = await checks(
        publishing, content="[a](javascript:alert(1))\n\n[b](/relative)\n\n{{ subscriber.shoe }}", title=""
    )
    assert found["is_blocked"] is True
    first = found["findings"][0]
    assert (first["severity"], bool(first["advice"])) == ("blocks", True)
    faults = {(one["data"]["fault"], one["field"]) for one in found["findings"] if one["code"] == "compile-fault"}
    assert ("unknown-field", "content") in faults
    assert ("empty", "title") in faults


async def test_what_blocks_is_not_published_or_scheduled(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    body = {"title": "The news", "content": "[b](/relative)"}
    issue_id = (await publishing.post("issues", body)).json()["id"]
    schedule = {"at": "2027-01-15T08:00:00Z"}
    for answer in (
        await publishing.publish(issue_id),
        await publishing.post(f"issues/{issue_id}/schedule", schedule),
        await publishing.post("issues", body | {"publish": True}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:broadsheet:problem:blocked-by-findings")
        (problem,) = answer.json()["errors"]
        assert problem["pointer"] == "/content"
        assert problem["detail"].startswith("link-relative: ")
    assert publishing.rows("SELECT status FROM publishing.issue") == [("draft",)]


async def test_the_same_mail_a_second_time_is_noticed(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    await publishing.write_issue(publish=True)
    copy = (await publishing.post("issues", ISSUE)).json()["id"]
    found = (await publishing.post(f"issues/{copy}/checks", {})).json()["findings"]
    assert "sent-before" in {one["code"] for one in found}


async def test_postmark_is_asked_about_the_newsletter_when_its_issue_is_checked(publishing: Publishing) -> None:
    await checks(publishing)
    assert publishing.rows("SELECT newsletter_id FROM delivery.preflight_fact") == [(1,)]
    assert (await publishing.post("issues/4711/checks", {})).status_code == 404
