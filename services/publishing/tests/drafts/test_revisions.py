"""Every save can be looked at, compared and brought back."""

from ..conftest import Publishing


async def saves(publishing: Publishing, *bodies: dict[str, object]) -> int:
    issue_id = int((await publishing.post("issues", bodies[0])).json()["id"])
    for body in bodies[1:]:
        assert (await publishing.patch(f"issues/{issue_id}", body)).status_code == 200
    return issue_id


async def test_every_save_is_listed_newest_first(publishing: Publishing) -> None:
    issue_id = await saves(publishing, {"title": "A", "content": "é"}, {"title": "B"}, {"content": "xyz"})
    first = (await publishing.get(f"issues/{issue_id}/revisions", limit=2)).json()
    rest = (await publishing.get(f"issues/{issue_id}/revisions", limit=2, cursor=first["next_cursor"])).json()
    listed = [*first["items"], *rest["items"]]
    assert [(one["version"], one["title"], one["size_bytes"]) for one in listed] == [
        (3, "B", 4),
        (2, "B", 3),
        (1, "A", 3),
    ]
    assert rest["next_cursor"] is None
    assert (await publishing.get("issues/4711/revisions")).status_code == 404


async def test_a_revision_is_the_issue_as_it_was(publishing: Publishing) -> None:
    issue_id = await saves(
        publishing, {"title": "A", "content": "Old", "text_content": "Plain", "subject": "S"}, {"content": "New"}
    )
    shown = (await publishing.get(f"issues/{issue_id}/revisions/1")).json()
    assert [shown[name] for name in ("title", "subject", "content", "text_content", "saved_by")] == [
        "A",
        "S",
        "Old",
        "Plain",
        "key:1",
    ]
    assert (await publishing.get(f"issues/{issue_id}/revisions/3")).status_code == 404


async def test_two_saves_are_compared_field_by_field_and_line_by_line(publishing: Publishing) -> None:
    before = "\n".join(f"line {n}" for n in range(1, 21))
    after = before.replace("line 10\n", "line ten\nand more\n")
    issue_id = await saves(publishing, {"title": "A", "content": before}, {"title": "B", "content": after})
    answer = (await publishing.get(f"issues/{issue_id}/revisions/2/changes", **{"with": 1})).json()
    assert (answer["before"], answer["after"]) == (1, 2)
    title, content = answer["changes"]
    assert (title["field"], title["before"], title["after"]) == ("title", "A", "B")
    (block,) = content["blocks"]
    assert (block["before_line"], block["after_line"]) == (7, 7)
    assert [(line["kind"], line["text"]) for line in block["lines"]] == [
        ("same", "line 7"),
        ("same", "line 8"),
        ("same", "line 9"),
        ("removed", "line 10"),
        ("added", "line ten"),
        ("added", "and more"),
        ("same", "line 11"),
        ("same", "line 12"),
        ("same", "line 13"),
    ]


async def test_a_change_of_format_is_undone_by_restoring(publishing: Publishing) -> None:
    issue_id = await saves(
        publishing, {"content": "# Hello", "title": "A"}, {"format": "html", "content": "<h1>Hello</h1>"}
    )
    restored = await publishing.post(f"issues/{issue_id}/revisions/1/restore")
    assert restored.status_code == 428
    tag = (await publishing.get(f"issues/{issue_id}")).headers["etag"]
    headers = publishing.identity("read", "write") | {"If-Match": tag}
    restored = await publishing.client.post(f"/api/v1/issues/{issue_id}/revisions/1/restore", headers=headers)
    assert restored.status_code == 200
    assert [restored.json()[name] for name in ("format", "content", "version")] == ["markdown", "# Hello", 3]
    newest = (await publishing.get(f"issues/{issue_id}/revisions")).json()["items"][0]
    assert (newest["version"], newest["restored_from"]) == (3, 1)


async def test_a_restored_issue_does_without_a_layout_that_is_gone(publishing: Publishing) -> None:
    ((layout_id,),) = publishing.rows(
        "INSERT INTO publishing.layout (name, format, source) VALUES ('Own', 'html', '{{ content }}') RETURNING id"
    )
    issue_id = await saves(publishing, {"title": "A", "layout_id": layout_id}, {"layout_id": None, "title": "B"})
    publishing.rows("DELETE FROM publishing.layout")
    headers = publishing.identity("read", "write") | {"If-Match": "*"}
    restored = await publishing.client.post(f"/api/v1/issues/{issue_id}/revisions/1/restore", headers=headers)
    assert (restored.status_code, restored.json()["title"], restored.json()["layout_id"]) == (200, "A", None)


async def test_old_revisions_are_thinned_when_there_are_many(publishing: Publishing) -> None:
    issue_id = await saves(publishing, {"title": "A"})
    publishing.rows(
        """
        INSERT INTO publishing.issue_revision (issue_id, version, title, preheader, format, content, size_bytes,
                                               saved_at, saved_by)
        SELECT %s, n, 'old', '', 'markdown', '', 3, now() - interval '2 days' + n * interval '1 second', 'key:1'
          FROM generate_series(2, 1999) AS n
        """,
        issue_id,
    )
    publishing.rows("UPDATE publishing.issue SET version = 1999 WHERE id = %s", issue_id)
    assert (await publishing.patch(f"issues/{issue_id}", {"title": "B"})).json()["version"] == 2000
    ((count, newest),) = publishing.rows(
        "SELECT count(*), max(version) FROM publishing.issue_revision WHERE issue_id = %s", issue_id
    )
    assert newest == 2000
    assert 50 <= count <= 53  # the newest, and one an hour
