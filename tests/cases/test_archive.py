"""Cases 27 to 29 of the authors': what other systems' archives showed, did and ran."""

import re
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from selectolax.lexbor import LexborHTMLParser

from harness.system import PUBLIC_URL, System

NAME, EMAIL = "Zaphodia Quux", "zaphodia.quux@example.com"
PERSONAL = """<!doctype html><html><body>
<h1>For {{ subscriber.name | default: "our readers" }}</h1>
<p>{% if subscriber.name != "" %}Dear {{ subscriber.name }}{% else %}Dear reader{% endif %}, we write to
{{ subscriber.email }}.
<a href="https://example.com/?reader={{ subscriber.email }}&amp;name={{ subscriber.name | url_encode }}">your page</a>
<a href="{{ web_url }}">on the web</a> <a href="{{ preferences_url }}">choose</a></p>
<p><a href="{{ unsubscribe_url }}">leave</a> or copy {{ unsubscribe_url }}</p>
</body></html>"""
_ATOM = {"a": "http://www.w3.org/2005/Atom"}


async def _publish(system: System, title: str, **fields: object) -> dict[str, Any]:
    body = {"title": title, "format": "html", "content": PERSONAL, "publish": True} | fields
    answer = await system.api.post("/api/v1/issues", json=body)
    assert answer.status_code == 201, answer.text
    issue: dict[str, Any] = answer.json()
    await system.deliver_all_pending()
    return issue


@pytest.fixture
async def archive(system: System) -> System:
    """The default newsletter has an archive, and one reader with a name."""
    await system.run_sql("UPDATE publishing.newsletter SET has_archive = true")
    await system.confirmed_subscriber(EMAIL, NAME)
    return system


def _path_of(url: str | None) -> str:
    assert url is not None
    return url.removeprefix(PUBLIC_URL)


async def test_the_archive_shows_nothing_of_a_reader_and_its_links_act_for_nobody(archive: System) -> None:
    await _publish(archive, "For {{ subscriber.name | default: 'all' }}", preheader="To {{ subscriber.email }}")
    (mail,) = archive.newsletter_mails()
    assert NAME in mail.html
    tree = LexborHTMLParser(mail.html)
    links = {node.text(): node.attributes["href"] or "" for node in tree.css("a")}
    token = links["leave"].removeprefix(f"{PUBLIC_URL}/unsubscribe/")
    assert re.fullmatch(r"[\w.~-]{20,}", token)

    # The mail leads there.
    web_path = _path_of(links["on the web"])
    page = await archive.visitor.get(web_path)
    assert page.status_code == 200
    newsletter_path = web_path.rpartition("/issues/")[0]
    everything = [page, *[await archive.visitor.get(newsletter_path + rest) for rest in ("/issues", "/feed.atom")]]
    for answer in everything:
        assert answer.status_code == 200
        for personal in (*NAME.split(), EMAIL, EMAIL.partition("@")[0], token, "/unsubscribe/"):
            assert personal.lower() not in answer.text.lower()
    assert "Dear reader" in page.text
    assert "For our readers" in page.text

    # Whoever follows every link, as scanners do, changes nothing.
    shown = LexborHTMLParser(page.text)
    assert shown.css("form") == []
    for node in shown.css("a[href]"):
        url = urlsplit(node.attributes["href"] or "")
        if url.netloc in {"", urlsplit(PUBLIC_URL).netloc} and url.path:
            assert (await archive.visitor.get(url.path)).status_code == 200
    assert await archive.run_sql("SELECT state FROM subscriptions.subscription") == [("confirmed",)]


async def test_an_issue_is_taken_out_of_the_archive_after_it_was_sent(archive: System) -> None:
    issue = await _publish(archive, "Taken out")
    (mail,) = archive.newsletter_mails()
    found = re.search(r'href="([^"]+)">on the web', mail.html)
    assert found is not None
    path = _path_of(found[1])
    feed_path = path.rpartition("/issues/")[0] + "/feed.atom"
    assert (await archive.visitor.get(path)).status_code == 200
    assert "Taken out" in (await archive.visitor.get(feed_path)).text
    for _ in range(2):
        answer = await archive.api.post(f"/api/v1/issues/{issue['id']}/archive", json={"in_archive": False})
        assert (answer.status_code, answer.json()["in_archive"]) == (200, False)
    assert (await archive.visitor.get(path)).status_code == 404
    assert "Taken out" not in (await archive.visitor.get(feed_path)).text
    await archive.api.post(f"/api/v1/issues/{issue['id']}/archive", json={"in_archive": True})
    assert (await archive.visitor.get(path)).status_code == 200


async def test_the_ids_of_a_feed_are_permanent(archive: System) -> None:
    issue = await _publish(archive, "Permanent")

    async def ids(slug: str) -> list[str | None]:
        feed = await archive.visitor.get(f"/newsletters/{slug}/feed.atom")
        assert feed.status_code == 200
        root = ET.fromstring(feed.content)
        return [node.text for node in (*root.findall("a:id", _ATOM), *root.findall("a:entry/a:id", _ATOM))]

    [(slug,)] = await archive.run_sql("SELECT slug FROM publishing.newsletter")
    first = await ids(str(slug))
    assert len(set(first)) == 2
    try:
        await archive.run_sql("UPDATE publishing.newsletter SET slug = 'renamed-feed', name = 'Renamed'")
        await archive.run_sql("UPDATE publishing.compiled_content SET title = 'Another title'")
        await archive.run_sql("UPDATE publishing.issue SET slug = 'another-slug' WHERE id = %s", issue["id"])
        assert await ids("renamed-feed") == first
    finally:
        await archive.run_sql("UPDATE publishing.newsletter SET slug = %s, name = 'Newsletter'", slug)


async def test_an_authors_script_never_runs_for_a_reader(archive: System) -> None:
    """Nothing with script is published; what was, before that was checked, is made safe where it is shown."""
    attack = '<p onclick="alert(1)">x</p><script>alert(1)</script><a href="javascript:alert(1)">y</a>'
    refused = await archive.api.post(
        "/api/v1/issues", json={"title": "Script", "format": "html", "content": attack, "publish": True}
    )
    assert refused.status_code == 422, refused.text
    issue = await _publish(archive, "Safe")
    await archive.run_sql("UPDATE publishing.compiled_content SET html_content = html_content || %s", attack)
    [(web_path,)] = await archive.run_sql(
        "SELECT web_path FROM publishing.compiled_content WHERE issue_id = %s", issue["id"]
    )
    page = await archive.visitor.get(str(web_path))
    shown = LexborHTMLParser(page.text)
    assert shown.css("script, iframe, object, embed, style") == []
    assert [name for node in shown.css("*") for name in node.attributes if name.startswith("on")] == []
    assert "alert(1)" not in page.text
    (policy,) = page.headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    feed = await archive.visitor.get(str(web_path).rpartition("/issues/")[0] + "/feed.atom")
    assert "alert(1)" not in feed.text
