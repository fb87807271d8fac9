"""Which issues are in the archive, and what publishing tells of them."""

from typing import Any

import pytest
from httpx import Response

from ..conftest import Publishing


async def read(publishing: Publishing, path: str, **query: Any) -> Response:
    return await publishing.client.get(f"/public/archive{path}", params=query, headers=publishing.identity("public"))


async def archived(publishing: Publishing, slug: str = "default") -> list[str]:
    """The slugs of the issues in the list."""
    answer = await read(publishing, f"/{slug}/issues")
    assert answer.status_code == 200, answer.text
    return [item["slug"] for item in answer.json()["items"]]


async def publish_issue(publishing: Publishing, title: str = "The first issue", **fields: object) -> int:
    answer = await publishing.write_issue(title=title, publish=True, **fields)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def opt(publishing: Publishing, issue_id: int, *, in_archive: bool) -> Response:
    return await publishing.post(f"issues/{issue_id}/archive", {"in_archive": in_archive}, subject="user:7")


@pytest.fixture
async def world(publishing: Publishing) -> Publishing:
    """The default newsletter has an archive and a reader."""
    publishing.rows("UPDATE publishing.newsletter SET has_archive = true, slug = 'default', time_zone = 'Asia/Tokyo'")
    publishing.add_confirmed(1)
    return publishing


async def test_a_published_issue_is_there_at_once_with_the_newsletters_look(world: Publishing) -> None:
    await publish_issue(world, content="<p>Hello {{ subscriber.name | default: 'you' }}</p>")
    answer = await read(world, "/default/issues/the-first-issue")
    assert answer.status_code == 200
    found = answer.json()
    assert found["newsletter"]["slug"] == "default"
    assert "<p>Hello you</p>" in found["issue"]["html"]
    assert found["issue"]["published_at"].endswith("+09:00"), "in the newsletter's time zone"
    assert (found["previous"], found["next"]) == (None, None)


async def test_what_was_not_published_is_not_there(world: Publishing) -> None:
    await world.write_issue(title="A draft", slug="a-draft")
    assert await archived(world) == []
    assert (await read(world, "/default/issues/a-draft")).status_code == 404


async def test_a_newsletter_without_an_archive_and_an_archived_one_have_none(world: Publishing) -> None:
    await publish_issue(world)
    for change in ("has_archive = false", "has_archive = true, is_default = false, archived_at = now()"):
        world.rows(f"UPDATE publishing.newsletter SET {change}")
        for path in ("/default/issues", "/default/issues/the-first-issue", "/default/feed"):
            assert (await read(world, path)).status_code == 404
        assert (await read(world, "")).json() == {"items": []}
    for path in ("/nothing/issues", "/default/issues/nothing"):
        assert (await read(world, path)).status_code == 404


async def test_a_hidden_archive_can_be_read_and_is_in_no_site_map(world: Publishing) -> None:
    await publish_issue(world)
    listed = (await read(world, "")).json()["items"]
    assert [item["issue_slug"] for item in listed] == [None, "the-first-issue"]
    world.rows("UPDATE publishing.newsletter SET archive_is_hidden = true")
    assert (await read(world, "/default/issues")).json()["newsletter"]["archive_is_hidden"] is True
    assert (await read(world, "")).json() == {"items": []}


async def test_an_issue_is_taken_out_before_it_is_sent(world: Publishing) -> None:
    await publish_issue(world, "Out", in_archive=False)
    await publish_issue(world, "In")
    assert await archived(world) == ["in"]
    assert (await read(world, "/default/issues/out")).status_code == 404


async def test_an_issue_is_taken_out_after_it_was_sent_and_in_again(world: Publishing) -> None:
    issue_id = await publish_issue(world)
    await world.until_fanned_out(issue_id)
    for in_archive in (False, True):
        answer = await opt(world, issue_id, in_archive=in_archive)
        assert (answer.status_code, answer.json()["in_archive"]) == (200, in_archive)
        assert await archived(world) == (["the-first-issue"] if in_archive else [])
        status = (await read(world, "/default/issues/the-first-issue")).status_code
        assert status == (200 if in_archive else 404)
        # Once more changes nothing, and is no step.
        again = await opt(world, issue_id, in_archive=in_archive)
        assert (again.status_code, again.headers["etag"]) == (200, answer.headers["etag"])
    steps = (await world.get(f"issues/{issue_id}/history")).json()["items"]
    assert [(step["step"], step["actor"], step["note"]) for step in steps[:2]] == [
        ("archive_changed", "user:7", "Taken into the archive."),
        ("archive_changed", "user:7", "Taken out of the archive."),
    ]
    assert [step["step"] for step in steps].count("archive_changed") == 2


async def test_an_issue_that_was_published_without_an_address_gets_one_when_it_is_taken_in(world: Publishing) -> None:
    await publish_issue(world)
    issue_id = await publish_issue(world, in_archive=False)
    sql = "SELECT web_path FROM publishing.compiled_content WHERE issue_id = %s"
    assert world.rows(sql, issue_id) == [(None,)]
    assert (await opt(world, issue_id, in_archive=True)).json()["slug"] == "the-first-issue-2"
    assert world.rows(sql, issue_id) == [("/newsletters/default/issues/the-first-issue-2",)]
    assert await archived(world) == ["the-first-issue-2", "the-first-issue"]


async def test_drafts_cancelled_and_unknown_issues_are_not_taken_out_or_in(world: Publishing) -> None:
    draft_id = (await world.write_issue()).json()["id"]
    answer = await opt(world, draft_id, in_archive=False)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:broadsheet:problem:not-published")
    await world.post(f"issues/{draft_id}/cancel")
    assert (await opt(world, draft_id, in_archive=False)).status_code == 409
    assert (await opt(world, 999, in_archive=False)).status_code == 404
    assert (await world.post(f"issues/{draft_id}/archive", {})).status_code == 400


async def test_an_issue_for_a_segment_is_there_only_if_its_author_says_so(world: Publishing) -> None:
    issue_id = await publish_issue(world)
    world.rows("UPDATE publishing.issue SET segment_id = 1, in_archive = NULL")
    assert await archived(world) == []
    await opt(world, issue_id, in_archive=True)
    assert await archived(world) == ["the-first-issue"]


async def test_a_cancelled_issue_is_there_only_if_mails_of_it_went_out(world: Publishing) -> None:
    issue_id = await publish_issue(world)
    await world.until_fanned_out(issue_id)
    await world.post(f"issues/{issue_id}/cancel")
    assert await archived(world) == []
    assert [item["issue_slug"] for item in (await read(world, "")).json()["items"]] == [None]
    world.rows("UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = 1")
    assert await archived(world) == ["the-first-issue"]


async def test_a_paused_and_a_finished_issue_are_there(world: Publishing) -> None:
    issue_id = await publish_issue(world)
    await world.until_fanned_out(issue_id)
    world.rows("UPDATE delivery.issue_run SET state = 'paused', pause_reason = 'by hand'")
    assert await archived(world) == ["the-first-issue"]
    world.rows("UPDATE delivery.delivery_chunk SET status = 'done', accepted_count = 1")
    world.rows("UPDATE delivery.issue_run SET state = 'finished', pause_reason = NULL, finished_at = now()")
    assert await archived(world) == ["the-first-issue"]


async def test_lists_go_on_and_issues_know_their_neighbours(world: Publishing) -> None:
    for number in range(1, 6):
        await publish_issue(world, f"Issue {number}")
    # Published in another order than written.
    world.rows("UPDATE publishing.issue SET published_at = now() - interval '1 day' WHERE title = 'Issue 5'")
    first = (await read(world, "/default/issues", limit=3)).json()
    assert [item["title"] for item in first["items"]] == ["Issue 4", "Issue 3", "Issue 2"]
    rest = (await read(world, "/default/issues", limit=3, before_id=first["next_before_id"])).json()
    assert [item["title"] for item in rest["items"]] == ["Issue 1", "Issue 5"]
    assert rest["next_before_id"] is None
    page = (await read(world, "/default/issues/issue-1")).json()
    assert (page["previous"]["title"], page["next"]["title"]) == ("Issue 5", "Issue 2")


async def test_a_feed_has_the_newest_issues_with_their_contents(world: Publishing) -> None:
    for number in range(1, 4):
        await publish_issue(world, f"Issue {number}", preheader="About {{ subscriber.name | default: 'it' }}")
    feed = (await read(world, "/default/feed")).json()
    assert [(item["title"], item["summary"]) for item in feed["items"]] == [
        (f"Issue {number}", "About it") for number in (3, 2, 1)
    ]
    assert all("<p>Hello" in item["html"] for item in feed["items"])


async def test_what_is_shown_follows_a_correction_and_the_newsletters_name(world: Publishing) -> None:
    await publish_issue(world, content="<p>From {{ newsletter.name }}, once</p>")

    async def shown() -> str:
        html: str = (await read(world, "/default/issues/the-first-issue")).json()["issue"]["html"]
        return html

    assert ", once</p>" in await shown()
    world.rows("UPDATE publishing.newsletter SET name = 'The Renamed'")
    assert "From The Renamed, once" in await shown()
    world.rows("UPDATE publishing.compiled_content SET html_content = replace(html_content, 'once', 'twice')")
    assert "From The Renamed, twice" in await shown()


async def test_an_issue_that_cannot_be_shown_to_everybody_is_listed_without_content(world: Publishing) -> None:
    await publish_issue(world)
    world.rows("UPDATE publishing.compiled_content SET html_content = '{{ broken', title = '{{ broken'")
    page = (await read(world, "/default/issues/the-first-issue")).json()
    assert page["issue"]["html"] == ""
    assert page["issue"]["title"] == page["newsletter"]["name"]


async def test_only_the_gateways_public_pages_may_ask(world: Publishing) -> None:
    for path in ("", "/default/issues", "/default/feed", "/default/issues/x"):
        answer = await world.client.get(f"/public/archive{path}", headers=world.identity("read"))
        assert answer.status_code == 403
        assert (await world.client.get(f"/public/archive{path}")).status_code == 401
