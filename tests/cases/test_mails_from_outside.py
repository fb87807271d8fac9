"""Issues that others wrote to see what becomes of them, from the API to the mail."""

import pytest

from broadsheet_common.mail.visible_html import look_at_html
from harness.oracle import Captured
from harness.system import LINK, System

READER, NAME = "ann@example.com", "Ann Lee"
OTHER = "ben@example.com"


async def _mails(system: System, *, title: str, html_content: str) -> list[Captured]:
    """What the readers get of an issue that is written and published by one request."""
    await system.confirmed_subscriber(READER, NAME)
    await system.confirmed_subscriber(OTHER, "Ben")
    issue = {"title": title, "format": "html", "content": html_content, "text_content": "x", "publish": True}
    answer = await system.api.post("/api/v1/issues", json=issue)
    assert answer.status_code == 201, answer.text
    await system.fan_outs_finished()
    await system.deliver_all_pending()
    mails = system.newsletter_mails()
    assert sorted(mail.to for mail in mails) == [READER, OTHER]
    return mails


async def test_a_dotted_capital_i_leaves_the_html_whole(system: System) -> None:
    html_content = "<html><body><p>İSTANBUL İÇİN İYİ GÜNLER</p></body></html>"
    for mail in await _mails(system, title="İstanbul", html_content=html_content):
        assert "<body><p>İSTANBUL İÇİN İYİ GÜNLER</p><p style=" in mail.html
        assert mail.html.endswith("</p></body></html>")


async def test_a_merge_field_in_the_title_is_rendered(system: System) -> None:
    title = "Hi {{ subscriber.name }}, news"
    mails = await _mails(system, title=title, html_content="<p>Hi {{ subscriber.name }}</p>")
    assert {mail.to: mail.subject for mail in mails} == {READER: "Hi Ann Lee, news", OTHER: "Hi Ben, news"}


async def test_an_unknown_merge_field_in_the_title_is_refused_with_its_pointer(system: System) -> None:
    issue = {"title": "Hi {{ subscriber.nmae }}", "format": "html", "content": "<p>x</p>", "text_content": "x"}
    draft = await system.api.post("/api/v1/issues", json=issue)
    assert [(fault["field"], fault["line"], fault["column"]) for fault in draft.json()["faults"]] == [("title", 1, 7)]
    answer = await system.api.post("/api/v1/issues", json=issue | {"publish": True})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/title"
    assert "subscriber.nmae" in error["detail"]


@pytest.mark.parametrize(
    "body",
    [
        "<p>Hi</p><!-- {{ unsubscribe_url }} -->",
        '<p>Hi</p>{% if subscriber.name == "Ann Lee" %}<a href="{{ unsubscribe_url }}">leave</a>{% endif %}',
        '<p>Hi</p><!--[if mso]><a href="{{ unsubscribe_url }}">leave</a><![endif]-->',
        "{% assign u = unsubscribe_url %}<p>Hi</p>",
        "<p>The merge field is called unsubscribe_url.</p>",
    ],
)
async def test_every_reader_sees_a_way_to_leave(system: System, body: str) -> None:
    for mail in await _mails(system, title="c", html_content=f"<html><body>{body}</body></html>"):
        [url] = {link for link in LINK.findall(mail.text) if "/unsubscribe/" in link}
        assert look_at_html(mail.html, url).shows_link
        is_in_the_authors_words = mail.to == READER and "Ann Lee" in body
        assert ("You get this" in mail.html) is not is_in_the_authors_words
