"""The archive's pages as readers, feed readers and search engines get them."""

from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from broadsheet_common.process.settings import HttpUrl
from broadsheet_gateway.archive.pages import ArchiveDesk
from broadsheet_gateway.http.content_policy import CONTENT_SECURITY_POLICY

from ..conftest import PUBLIC_URL, Gateway, MakeGateway

LIST, ARTICLE, FEED = "/newsletters/weekly/issues", "/newsletters/weekly/issues/first", "/newsletters/weekly/feed.atom"
_ATOM = {"a": "http://www.w3.org/2005/Atom"}
_MAP = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}

NEWSLETTER: dict[str, Any] = {
    "id": 1,
    "slug": "weekly",
    "name": "The Weekly & Co.",
    "description": "What happened.",
    "language": "fr",
    "direction": "ltr",
    "accent_colour": "#7a1f1f",
    "logo_url": None,
    "logo_alt": "",
    "archive_is_hidden": False,
    "sign_up_heading": "",
    "sign_up_text": "",
    "sign_up_button": "",
    "created_at": "2026-01-01T00:00:00Z",
    "changed_at": "2026-03-20T10:00:00Z",
}


def line(number: int = 1, **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "slug": "first" if number == 1 else f"issue-{number}",
        "title": f"Issue {number} <b>",
        "summary": "",
        "created_at": "2026-03-18T09:00:00Z",
        "published_at": "2026-03-20T08:30:00+09:00",
        "updated_at": "2026-03-19T23:30:00Z",
        **fields,
    }


def issue(number: int = 1, **fields: object) -> dict[str, Any]:
    return line(number) | {"html": "<p>Texte.</p>", "keeps_look": False, "text_start": "Texte."} | fields


def answer_all(gateway: Gateway, *, newsletter: dict[str, Any] | None = None, shown: object = None) -> None:
    letter, service = NEWSLETTER | (newsletter or {}), gateway.publishing
    items = [line(3), line(2), line(1)]
    service.answer("GET", f"/public/archive{LIST.removeprefix('/newsletters')}", body={
        "newsletter": letter, "items": items, "next_before_id": 1,
    })  # fmt: skip
    service.answer("GET", f"/public/archive{ARTICLE.removeprefix('/newsletters')}", body={
        "newsletter": letter, "issue": shown or issue(), "previous": None, "next": line(2),
    })  # fmt: skip
    service.answer("GET", "/public/archive/weekly/feed", body={"newsletter": letter, "items": [issue(2), issue(1)]})
    service.answer("GET", "/public/archive", body={"items": [
        {"newsletter_slug": "weekly", "issue_slug": None, "updated_at": "2026-01-01T00:00:00Z"},
        {"newsletter_slug": "weekly", "issue_slug": "first", "updated_at": "2026-03-19T23:30:00Z"},
    ]})  # fmt: skip


@pytest.fixture
async def made(make_gateway: MakeGateway) -> Gateway:
    """One that has kept no page yet."""
    gateway = await make_gateway()
    answer_all(gateway)
    return gateway


def asked(gateway: Gateway) -> list[str]:
    return [one.path for one in gateway.publishing.received if one.path.startswith("/public/archive")]


async def get(gateway: Gateway, path: str, **headers: str) -> httpx.Response:
    client = await gateway.client()
    return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def one(page: LexborHTMLParser, selector: str) -> LexborNode:
    (found,) = page.css(selector)
    return found


def metas(page: LexborHTMLParser) -> dict[str, str]:
    found = {}
    for node in page.css("meta[property], meta[name]"):
        found[node.attributes.get("property") or node.attributes.get("name") or ""] = node.attributes["content"] or ""
    return found


async def test_an_article_says_whose_it_is_what_it_is_and_where(made: Gateway) -> None:
    response = await get(made, ARTICLE)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = LexborHTMLParser(response.text)
    (article,) = page.css("article")
    assert (article.attributes["lang"], article.attributes["dir"]) == ("fr", "ltr")
    assert one(page, "h1").text() == "Issue 1 <b>"
    assert one(page, "time").text() == "20 mars 2026", "in the newsletter's time zone"
    assert one(page, ".mail p").text() == "Texte."
    links = {(node.attributes["rel"] or ""): node.attributes["href"] for node in page.css("link[rel]")}
    assert links["canonical"] == PUBLIC_URL + ARTICLE
    assert links["alternate"] == FEED
    shown = metas(page)
    assert shown["og:title"] == "Issue 1 <b>"
    assert shown["og:url"] == PUBLIC_URL + ARTICLE
    assert shown["og:type"] == "article"
    assert shown["og:description"] == shown["description"] == "Texte."
    assert "robots" not in shown
    assert [node.attributes["href"] for node in page.css("nav a[rel]")] == ["/newsletters/weekly/issues/issue-2"]
    assert one(page, "a.button").attributes["href"] == "/newsletters/weekly"
    assert made.publishing.last_identity().scopes == {"public"}


async def test_the_pages_have_nothing_of_a_session_and_no_form(made: Gateway) -> None:
    client = await made.signed_in()
    anonymous = await get(made, ARTICLE)
    response = await client.get(ARTICLE)
    assert response.content == anonymous.content
    assert "set-cookie" not in response.headers
    assert "<form" not in response.text
    assert "<script" not in response.text


async def test_a_list_goes_from_page_to_page(made: Gateway) -> None:
    page = LexborHTMLParser((await get(made, LIST)).text)
    assert [node.attributes["href"] for node in page.css(".archive-list a")] == [
        "/newsletters/weekly/issues/issue-3",
        "/newsletters/weekly/issues/issue-2",
        ARTICLE,
    ]
    assert [node.attributes["href"] for node in page.css(".pager a")] == [f"{LIST}?before=1"]
    older = await get(made, f"{LIST}?before=1")
    assert made.publishing.last.query == "limit=20&before_id=1"
    page = LexborHTMLParser(older.text)
    assert [node.attributes["href"] for node in page.css(".pager a")] == [LIST, f"{LIST}?before=1"]
    assert one(page, "link[rel=canonical]").attributes["href"] == f"{PUBLIC_URL}{LIST}?before=1"
    assert (await get(made, f"{LIST}?before=x")).status_code == 400


async def test_a_hidden_archive_asks_not_to_be_listed(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    answer_all(gateway, newsletter={"archive_is_hidden": True})
    for path in (LIST, ARTICLE):
        assert metas(LexborHTMLParser((await get(gateway, path)).text))["robots"] == "noindex"


async def test_an_article_has_a_policy_of_its_own_and_only_a_designed_one_may_have_styles(
    make_gateway: MakeGateway,
) -> None:
    for keeps_look in (False, True):
        gateway = await make_gateway()
        answer_all(gateway, shown=issue(keeps_look=keeps_look))
        response = await get(gateway, ARTICLE)
        (policy,) = response.headers.get_list("content-security-policy")
        directives = dict(part.split(" ", 1) for part in policy.split("; "))
        assert directives["default-src"] == "'none'"
        assert directives["img-src"] == "'self' https:"
        assert directives["style-src"] == "'self'"
        assert directives["form-action"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
        assert directives.get("style-src-attr") == ("'unsafe-inline'" if keeps_look else None)
        assert "script-src" not in directives, "nothing runs: default-src"
        assert ("mail-designed" in response.text) == keeps_look


async def test_other_pages_keep_the_policy_of_all(gateway: Gateway) -> None:
    for path in ("/login", "/nothing"):
        assert (await get(gateway, path)).headers.get_list("content-security-policy") == [CONTENT_SECURITY_POLICY]


@pytest.mark.parametrize("path", [LIST, ARTICLE, FEED, "/sitemap.xml"])
async def test_pages_are_kept_and_answered_with_304(made: Gateway, path: str) -> None:
    first = await get(made, path)
    assert first.status_code == 200
    assert first.headers["cache-control"].startswith("public, max-age=30")
    tag = first.headers["etag"]
    again = await get(made, path, if_none_match=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await get(made, path, if_none_match='"other"')).status_code == 200
    client = await made.client()
    head = await client.head(path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    assert head.headers["content-length"] == first.headers["content-length"]
    assert len(asked(made)) == 1


async def test_what_is_answered_from_the_cache_is_what_was_made(made: Gateway) -> None:
    first, again = await get(made, ARTICLE), await get(made, ARTICLE)
    assert again.content == first.content
    own = {"x-request-id"}
    assert {name: value for name, value in again.headers.items() if name not in own} == {
        name: value for name, value in first.headers.items() if name not in own
    }
    client = await made.client()
    posted = await client.post(ARTICLE)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_query_does_not_make_another_page(made: Gateway) -> None:
    for query in ("", "?utm_source=mail", "?x=1"):
        assert (await get(made, ARTICLE + query)).status_code == 200
    assert len(asked(made)) == 1


async def test_a_feed_has_permanent_ids(make_gateway: MakeGateway) -> None:
    ids = []
    for slug, public_url in (("weekly", PUBLIC_URL), ("renamed", "https://other.example.com")):
        gateway = await make_gateway(public_url=HttpUrl.parse(public_url))
        newsletter = NEWSLETTER | {"slug": slug, "name": f"Named {slug}"}
        body = {"newsletter": newsletter, "items": [issue(2, slug=f"{slug}-2"), issue(1, title=f"Titled {slug}")]}
        gateway.publishing.answer("GET", f"/public/archive/{slug}/feed", body=body)
        response = await get(gateway, f"/newsletters/{slug}/feed.atom")
        root = ET.fromstring(response.content)
        ids.append([node.text for node in root.iter("{http://www.w3.org/2005/Atom}id")])
        assert public_url in response.text
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3
    assert all(one.startswith("urn:uuid:") for one in ids[0] if one)
    # As they were given out; a change would show every reader every issue again.
    assert ids[0][0] == "urn:uuid:765c0b6b-83c4-5431-a7e2-4d4a3ede1028"


async def test_a_feed_is_whole_and_well_formed(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    body = {
        "newsletter": NEWSLETTER,
        "items": [issue(2, html="<p>A &amp; B \u0001\ufffe</p>"), issue(1, html="", text_start="")],
    }
    gateway.publishing.answer("GET", "/public/archive/weekly/feed", body=body)
    response = await get(gateway, FEED)
    assert response.headers["content-type"].startswith("application/atom+xml")
    root = ET.fromstring(response.content)
    assert root.findtext("a:title", namespaces=_ATOM) == "The Weekly & Co."
    assert root.findtext("a:updated", namespaces=_ATOM) == "2026-03-19T23:30:00Z"
    assert {node.get("rel"): node.get("href") for node in root.findall("a:link", _ATOM)} == {
        "self": PUBLIC_URL + FEED,
        "alternate": PUBLIC_URL + LIST,
    }
    first, second = root.findall("a:entry", _ATOM)
    content = first.find("a:content", _ATOM)
    assert content is not None
    assert (content.get("type"), content.text) == ("html", "<p>A &amp; B </p>")
    assert second.find("a:content", _ATOM) is None
    assert second.findtext("a:summary", namespaces=_ATOM) == "Issue 1 <b>", "an entry has one or the other"
    for entry in (first, second):
        published = entry.findtext("a:published", namespaces=_ATOM)
        assert published is not None
        assert datetime.fromisoformat(published).utcoffset() is not None


async def test_a_feed_that_did_not_change_since_is_not_sent_again(made: Gateway) -> None:
    first = await get(made, FEED)
    since = first.headers["last-modified"]
    assert since == "Fri, 20 Mar 2026 10:00:00 GMT"
    unchanged = await get(made, FEED, if_modified_since=since)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    again = await get(made, FEED, if_none_match=unchanged.headers["etag"])
    assert again.status_code == 304, "the tag of a 304 is good for the next question"
    assert (await get(made, FEED, if_modified_since="Fri, 20 Mar 2026 09:59:59 GMT")).status_code == 200
    assert (await get(made, FEED, if_modified_since="no date")).status_code == 200
    # A tag counts before a date.
    assert (await get(made, FEED, if_modified_since=since, if_none_match='"other"')).status_code == 200


async def test_the_site_map_names_lists_and_issues(made: Gateway) -> None:
    response = await get(made, "/sitemap.xml")
    root = ET.fromstring(response.content)
    assert [node.text for node in root.findall("s:url/s:loc", _MAP)] == [PUBLIC_URL + LIST, PUBLIC_URL + ARTICLE]
    assert [node.text for node in root.findall("s:url/s:lastmod", _MAP)] == ["2026-03-19T23:30:00Z"]
    assert made.publishing.last.query == "limit=50000"


async def test_what_is_in_no_archive_is_not_found(made: Gateway) -> None:
    for path in ("/newsletters/UPPER/issues", "/newsletters/weekly/issues/No%2Fslug", "/newsletters/..%2F/feed.atom"):
        assert (await get(made, path)).status_code == 404
    assert asked(made) == [], "what can be no slug is not asked about"
    made.publishing.refuse("GET", "/public/archive/weekly/issues/gone", 404, "not-found")
    for _ in range(2):
        page = await get(made, "/newsletters/weekly/issues/gone", accept="text/html")
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert page.headers["cache-control"] == "no-store"
    assert len(asked(made)) == 1, "and it is remembered for a while"


async def test_while_publishing_does_not_answer_the_last_page_is_shown(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    gateway.publishing.fail("GET", "/public/archive/weekly/issues/first", httpx.ConnectError("down"))
    assert (await get(gateway, ARTICLE)).status_code == 503
    answer_all(gateway)
    first = await get(gateway, ARTICLE)
    assert first.status_code == 200
    desk = _desk(gateway)
    for entry in desk._cache._entries.values():
        entry.refresh_at_s = float("-inf")
    gateway.publishing.fail("GET", "/public/archive/weekly/issues/first", httpx.ConnectError("down"))
    assert (await get(gateway, ARTICLE)).content == first.content


def _desk(gateway: Gateway) -> ArchiveDesk:
    provider = gateway.app.dependencies["archive_desk"]
    desk = provider.dependency()  # type: ignore[union-attr]
    assert isinstance(desk, ArchiveDesk)
    return desk
