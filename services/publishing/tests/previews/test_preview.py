"""An issue as its readers will get it."""

from typing import Any

import psycopg

from ..conftest import Publishing

CONTENT = (
    "# Hello {{ subscriber.name | default: 'reader' }}\n\n"
    "{% if subscriber.tags contains 'vip' %}Very important{% endif %} {{ subscriber.attributes.city }}\n\n"
    "[Leave]({{ unsubscribe_url }})"
)


def define_city(publishing: Publishing) -> None:
    publishing.rows("INSERT INTO subscriptions.attribute (name, type, label) VALUES ('city', 'text', 'City')")


async def draft(publishing: Publishing, **fields: object) -> int:
    answer = await publishing.post("issues", {"title": "For {{ subscriber.name }}", "content": CONTENT} | fields)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def preview(publishing: Publishing, issue_id: int, body: object = None) -> dict[str, Any]:
    answer = await publishing.post(f"issues/{issue_id}/preview", body or {})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_it_is_shown_as_somebody_with_a_value_for_every_field(publishing: Publishing) -> None:
    define_city(publishing)
    shown = await preview(publishing, await draft(publishing, preheader="News for {{ subscriber.name }}"))
    assert (shown["subject"], shown["to"]) == ("For Ada Lovelace", "ada@example.com")
    assert shown["from"] == "Broadsheet <news@example.com>"
    assert "Hello Ada Lovelace" in shown["html"]
    assert "Sample" in shown["html"]
    assert "News for Ada Lovelace" in shown["html"]
    assert "Hello Ada Lovelace" in shown["text"]
    assert "https://news.example.com/unsubscribe/test" in shown["html"]
    assert "1 Example Street" in shown["text"]
    assert (shown["html_bytes"], shown["text_bytes"]) == (len(shown["html"].encode()), len(shown["text"].encode()))
    headers = {header["name"]: header["value"] for header in shown["headers"]}
    assert headers["List-Unsubscribe"] == "<https://news.example.com/unsubscribe/test>"


async def test_it_is_shown_as_a_subscriber_of_the_newsletter_gets_it(publishing: Publishing) -> None:
    define_city(publishing)
    publishing.add_confirmed(1)
    ((subscriber_id,),) = publishing.rows(
        "UPDATE subscriptions.subscriber SET name = 'Zoë <3', tags = '{vip}', attributes = '{\"city\": \"Łódź\"}' "
        "RETURNING id"
    )
    issue_id = await draft(publishing)
    shown = await preview(publishing, issue_id, {"subscriber_id": subscriber_id})
    assert shown["subject"] == "For Zoë <3"
    assert "Hello Zoë &lt;3" in shown["html"]
    assert "Very important Łódź" in shown["text"]
    stranger = await publishing.post(f"issues/{issue_id}/preview", {"subscriber_id": subscriber_id + 1})
    assert [problem["pointer"] for problem in stranger.json()["errors"]] == ["/subscriber_id"]


async def test_it_is_shown_as_a_sample_person(publishing: Publishing) -> None:
    define_city(publishing)
    issue_id = await draft(publishing)
    sample = {"name": "", "email": "x@example.com", "tags": ["vip"], "attributes": {"city": "Rome"}}
    shown = await preview(publishing, issue_id, {"sample": sample})
    assert "Hello reader" in shown["html"]
    assert "Very important Rome" in shown["text"]
    both = await publishing.post(f"issues/{issue_id}/preview", {"sample": sample, "subscriber_id": 1})
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/sample")


async def test_plain_text_alone_has_no_html(publishing: Publishing) -> None:
    shown = await preview(publishing, await draft(publishing, format="text", content="Just words", title="T"))
    assert shown["html"] is None
    assert shown["text"].startswith("Just words")


async def test_a_draft_with_faults_names_them_and_their_places(publishing: Publishing) -> None:
    issue_id = await draft(publishing, content="one\n\n{{ subscriber.shoe }}")
    answer = await publishing.post(f"issues/{issue_id}/preview", {})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:broadsheet:problem:issue-has-faults")
    (problem,) = answer.json()["errors"]
    assert problem["pointer"] == "/content"
    assert problem["detail"].startswith("Line 3, column ")


async def test_what_was_scheduled_is_shown_as_it_will_go_out(publishing: Publishing) -> None:
    define_city(publishing)
    issue_id = await draft(publishing)
    before = await preview(publishing, issue_id)
    assert (await publishing.post(f"issues/{issue_id}/schedule", {"at": "2027-01-15T08:00:00Z"})).status_code == 200
    with psycopg.connect(publishing.owner_url) as owner:
        owner.execute("UPDATE publishing.newsletter SET accent_colour = '#123456'")
    assert (await preview(publishing, issue_id))["html"] == before["html"]


async def test_a_preview_needs_an_issue_and_the_right_to_read(publishing: Publishing) -> None:
    assert (await publishing.post("issues/4711/preview", {})).status_code == 404
    issue_id = await draft(publishing, content="x")
    headers = publishing.identity("write")
    answer = await publishing.client.post(f"/api/v1/issues/{issue_id}/preview", json={}, headers=headers)
    assert answer.status_code == 403
