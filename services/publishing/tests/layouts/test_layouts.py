"""Layouts of one's own: tried before they are saved, used by newsletters and issues, kept while something uses them."""

import asyncio

from ..conftest import Publishing

HTML = "<html><body><h1>Mine</h1>{{ content }}</body></html>"


async def add(publishing: Publishing, **changes: object) -> int:
    answer = await publishing.post("layouts", {"name": "Mine", "format": "html", "source": HTML} | changes)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def html_of(publishing: Publishing, issue_id: int) -> str:
    return str((await publishing.post(f"issues/{issue_id}/preview", {})).json()["html"])


async def test_an_issue_is_wrapped_in_its_own_layout_or_in_its_newsletters(publishing: Publishing) -> None:
    own, theirs = await add(publishing), await add(publishing, name="Theirs", source=HTML.replace("Mine", "Theirs"))
    issue_id = (await publishing.post("issues", {"title": "T", "content": "*Hello*"})).json()["id"]
    assert "Mine" not in await html_of(publishing, issue_id)
    await publishing.patch("newsletters/1", {"layout_id": theirs})
    assert "<h1>Theirs</h1>" in await html_of(publishing, issue_id)
    await publishing.patch(f"issues/{issue_id}", {"layout_id": own})
    shown = await html_of(publishing, issue_id)
    assert "<h1>Mine</h1>" in shown
    assert "<em>Hello</em>" in shown


async def test_an_mjml_layout_wraps_too(publishing: Publishing) -> None:
    source = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>{{ content }}</mj-text></mj-column></mj-section>"
        "</mj-body></mjml>"
    )
    layout_id = await add(publishing, format="mjml", source=source)
    body = {"title": "T", "content": "*Hello*", "layout_id": layout_id}
    issue_id = (await publishing.post("issues", body)).json()["id"]
    assert "<em>Hello</em>" in await html_of(publishing, issue_id)


async def test_one_that_no_mail_can_be_made_with_is_refused(publishing: Publishing) -> None:
    for source in ("<html><body>no place</body></html>", "{{ content }} {{ content }}", "{{ content }} {{ nobody }}"):
        answer = await publishing.post("layouts", {"name": "Bad", "format": "html", "source": source})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/source"), source
    assert (await publishing.get("layouts")).json()["items"] == []


async def test_a_change_names_the_version_that_it_is_of(publishing: Publishing) -> None:
    layout_id = await add(publishing)
    shown = await publishing.get(f"layouts/{layout_id}")
    assert (await publishing.patch(f"layouts/{layout_id}", {"name": "New"}, tag=None)).status_code == 428
    changed = await publishing.patch(f"layouts/{layout_id}", {"name": "New"}, tag=shown.headers["etag"])
    assert (changed.json()["name"], changed.json()["source"]) == ("New", HTML)
    stale = await publishing.patch(f"layouts/{layout_id}", {"name": "Old"}, tag=shown.headers["etag"])
    assert stale.status_code == 412
    bad = await publishing.patch(f"layouts/{layout_id}", {"source": "no place"})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/source")
    assert (await publishing.get(f"layouts/{layout_id}")).json() == changed.json()


async def test_a_name_is_one_layouts_however_many_ask_at_once(publishing: Publishing) -> None:
    body = {"name": "Same", "format": "html", "source": HTML}
    answers = await asyncio.gather(*(publishing.post("layouts", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    other = await add(publishing, name="Other")
    taken = await publishing.patch(f"layouts/{other}", {"name": "Same"})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:broadsheet:problem:name-taken")


async def test_one_that_is_used_is_not_deleted(publishing: Publishing) -> None:
    layout_id = await add(publishing)
    issue_id = (await publishing.post("issues", {"title": "T", "layout_id": layout_id})).json()["id"]
    used = await publishing.delete(f"layouts/{layout_id}")
    assert (used.status_code, used.json()["type"]) == (409, "urn:broadsheet:problem:layout-in-use")
    await publishing.post(f"issues/{issue_id}/cancel")
    assert (await publishing.delete(f"layouts/{layout_id}")).status_code == 204
    assert (await publishing.delete(f"layouts/{layout_id}")).status_code == 404
    assert (await publishing.get(f"issues/{issue_id}")).json()["layout_id"] is None
