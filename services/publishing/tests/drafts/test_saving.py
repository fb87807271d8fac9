"""Saving a draft: nothing that was typed is lost, and nobody overwrites what they have not seen."""

import asyncio

import pytest

from broadsheet_publishing.compiling.issue_source import CONTENT_BYTES_MAX

from ..conftest import ISSUE, Publishing

EMPTY = {"title": "", "subject": None, "preheader": "", "format": "markdown", "content": "", "text_content": None}


async def new_draft(publishing: Publishing, **fields: object) -> tuple[int, str]:
    """Its id and its entity tag."""
    answer = await publishing.post("issues", fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.headers["etag"]


async def test_a_draft_may_be_empty(publishing: Publishing) -> None:
    answer = await publishing.post("issues", {})
    assert answer.status_code == 201
    assert EMPTY.items() <= answer.json().items()
    assert (answer.json()["status"], answer.json()["version"]) == ("draft", 1)


async def test_a_save_changes_what_was_sent_and_nothing_else(publishing: Publishing) -> None:
    issue_id, tag = await new_draft(
        publishing, title="Title", content="Text", preheader="Before", text_content="Plain", format="mjml"
    )
    saved = await publishing.patch(f"issues/{issue_id}", {"content": "New text"}, tag=tag, subject="user:7")
    assert saved.status_code == 200
    shown = (await publishing.get(f"issues/{issue_id}")).json()
    assert shown == saved.json()
    assert [shown[name] for name in ("title", "content", "preheader", "text_content", "format")] == [
        "Title",
        "New text",
        "Before",
        "Plain",
        "mjml",
    ]
    assert (shown["version"], shown["saved_by"], shown["created_by"]) == (2, "user:7", "key:1")


async def test_an_editor_gets_its_own_text_back_only_if_it_wants_it(publishing: Publishing) -> None:
    issue_id, tag = await new_draft(publishing, title="Title", content="Text")
    saved = await publishing.patch(
        f"issues/{issue_id}", {"content": "{{ nobody }}"}, tag=tag, headers={"Prefer": "return=minimal"}
    )
    assert (saved.status_code, saved.headers["preference-applied"]) == (200, "return=minimal")
    whole = await publishing.get(f"issues/{issue_id}")
    assert saved.headers["etag"] == whole.headers["etag"]
    texts = {"content", "text_content", "layout_id", "ab_test"}
    assert saved.json() == {name: value for name, value in whole.json().items() if name not in texts}
    assert [fault["code"] for fault in saved.json()["faults"]] == ["unknown-field"]
    other = await publishing.patch(f"issues/{issue_id}", {"content": "Text"}, headers={"Prefer": "respond-async"})
    assert (other.json()["content"], "preference-applied" in other.headers) == ("Text", False)


async def test_null_takes_a_field_back(publishing: Publishing) -> None:
    issue_id, _ = await new_draft(publishing, title="T", subject="S", text_content="Plain", slug="my-issue")
    saved = await publishing.patch(f"issues/{issue_id}", {"subject": None, "text_content": None, "slug": None})
    assert [saved.json()[name] for name in ("subject", "text_content", "slug")] == [None, None, None]
    assert (await publishing.patch(f"issues/{issue_id}", {"title": None})).status_code == 400


async def test_a_save_that_changes_nothing_is_no_version(publishing: Publishing) -> None:
    issue_id, tag = await new_draft(publishing, title="Title", content="Text")
    for body in ({}, {"title": "Title"}, {"content": "Text", "subject": None}):
        again = await publishing.patch(f"issues/{issue_id}", body, tag=tag)
        assert (again.status_code, again.json()["version"], again.headers["etag"]) == (200, 1, tag)


async def test_a_save_names_the_version_that_it_is_of(publishing: Publishing) -> None:
    issue_id, tag = await new_draft(publishing, title="Title")
    assert (await publishing.patch(f"issues/{issue_id}", {"title": "B"}, tag=None)).status_code == 428
    saved = await publishing.patch(f"issues/{issue_id}", {"title": "B"}, tag=tag, subject="user:2")
    assert saved.status_code == 200
    stale = await publishing.patch(f"issues/{issue_id}", {"title": "C"}, tag=tag)
    assert (stale.status_code, stale.headers["etag"]) == (412, saved.headers["etag"])
    assert stale.json()["detail"].startswith("It is version 2 now, saved by user:2 at ")
    assert (await publishing.get(f"issues/{issue_id}")).json()["title"] == "B"


async def test_of_many_saves_at_once_one_wins_and_the_others_learn_it(publishing: Publishing) -> None:
    issue_id, tag = await new_draft(publishing, title="Title")
    answers = await asyncio.gather(
        *(publishing.patch(f"issues/{issue_id}", {"content": f"Text {n}"}, tag=tag) for n in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412, 412]
    won = next(answer for answer in answers if answer.status_code == 200)
    assert (await publishing.get(f"issues/{issue_id}")).json()["content"] == won.json()["content"]


async def test_what_cannot_be_mailed_is_saved_and_its_faults_are_shown(publishing: Publishing) -> None:
    content = "Hello {{ subscriber.name }}\n\nand {{ subscriber.shoe }} {% if %}"
    answer = await publishing.post("issues", {"title": "T", "content": content, "subject": "{{ unsubscribe_url }}"})
    assert answer.status_code == 201
    assert answer.json()["content"] == content
    found = {(fault["field"], fault["line"]) for fault in answer.json()["faults"]}
    assert ("content", 3) in found
    assert "subject" in {field for field, _ in found}
    issue_id = answer.json()["id"]
    assert (await publishing.get(f"issues/{issue_id}")).json()["faults"] == answer.json()["faults"]
    mended = await publishing.patch(f"issues/{issue_id}", {"content": "Hello", "subject": None})
    assert mended.json()["faults"] == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": "a\nBcc: eve@example.com"}, "/title"),
        ({"subject": "a\u2028b"}, "/subject"),
        ({"title": "🎉" * 1_001}, "/title"),
        ({"preheader": "x" * 1_001}, "/preheader"),
        ({"content": "x" * (CONTENT_BYTES_MAX + 1)}, "/content"),
        ({"slug": "No slug"}, "/slug"),
        ({"layout_id": 77}, "/layout_id"),
        ({"segment_id": 77}, "/segment_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_what_can_be_sent_by_no_means_is_refused_at_its_field(
    publishing: Publishing, body: dict[str, object], pointer: str
) -> None:
    issue_id, _ = await new_draft(publishing, title="Title")
    for answer in (await publishing.post("issues", body), await publishing.patch(f"issues/{issue_id}", body)):
        assert answer.status_code == 422, answer.text
        assert [problem["pointer"] for problem in answer.json()["errors"]] == [pointer]
    assert (await publishing.get(f"issues/{issue_id}")).json()["version"] == 1


async def test_what_an_issue_names_must_be_there_also_when_it_is_published_at_once(publishing: Publishing) -> None:
    publishing.add_confirmed(1)
    for field in ("layout_id", "segment_id", "newsletter_id"):
        refused = await publishing.write_issue(publish=True, **{field: 77})
        assert refused.status_code == 422
        assert [problem["pointer"] for problem in refused.json()["errors"]] == [f"/{field}"]


async def test_a_format_that_there_is_not_is_named_with_those_that_there_are(publishing: Publishing) -> None:
    answer = await publishing.post("issues", {"format": "docx"})
    (problem,) = answer.json()["errors"]
    assert (answer.status_code, problem["pointer"]) == (400, "/format")
    assert all(name in problem["detail"] for name in ("markdown", "html", "mjml", "text"))


async def test_a_slug_is_one_issues_of_a_newsletter(publishing: Publishing) -> None:
    first, _ = await new_draft(publishing, title="A", slug="autumn")
    refused = await publishing.post("issues", {"title": "B", "slug": "autumn"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:slug-taken")
    other, _ = await new_draft(publishing, title="B")
    assert (await publishing.patch(f"issues/{other}", {"slug": "autumn"})).status_code == 409
    assert (await publishing.patch(f"issues/{first}", {"slug": "autumn", "title": "A2"})).status_code == 200
    elsewhere = publishing.add_newsletter("elsewhere")
    await new_draft(publishing, title="B", slug="autumn", newsletter_id=elsewhere)


async def test_only_a_draft_can_be_changed(publishing: Publishing) -> None:
    issue_id, _ = await new_draft(publishing, **ISSUE)
    await publishing.post(f"issues/{issue_id}/cancel")
    refused = await publishing.patch(f"issues/{issue_id}", {"title": "B"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:broadsheet:problem:not-a-draft")
    assert (await publishing.patch("issues/4711", {"title": "B"})).status_code == 404


async def test_a_draft_is_deleted_with_its_revisions(publishing: Publishing) -> None:
    issue_id, _ = await new_draft(publishing, title="Title")
    assert (await publishing.delete(f"issues/{issue_id}")).status_code == 204
    assert (await publishing.get(f"issues/{issue_id}")).status_code == 404
    assert (await publishing.delete(f"issues/{issue_id}")).status_code == 404
    assert publishing.rows("SELECT count(*) FROM publishing.issue_revision") == [(0,)]


async def test_a_duplicate_is_a_draft_with_the_same_content(publishing: Publishing) -> None:
    fields = ISSUE | {"subject": "S", "preheader": "P", "slug": "one"}
    issue_id, _ = await new_draft(publishing, **fields)
    await publishing.post(f"issues/{issue_id}/cancel")
    first = await publishing.post(f"issues/{issue_id}/duplicate", key="once", subject="user:3")
    again = await publishing.post(f"issues/{issue_id}/duplicate", key="once", subject="user:3")
    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    copy = first.json()
    assert {name: copy[name] for name in fields if name != "slug"} == ISSUE | {"subject": "S", "preheader": "P"}
    assert (copy["slug"], copy["status"], copy["version"], copy["created_by"]) == (None, "draft", 1, "user:3")


async def test_saving_needs_the_right_to_write(publishing: Publishing) -> None:
    issue_id, _ = await new_draft(publishing, title="Title")
    headers = publishing.identity("read") | {"If-Match": "*"}
    answer = await publishing.client.patch(f"/api/v1/issues/{issue_id}", json={"title": "B"}, headers=headers)
    assert answer.status_code == 403
