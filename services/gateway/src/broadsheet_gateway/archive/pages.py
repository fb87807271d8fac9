"""The archive's pages: a newsletter's issues, one issue, the feed; and the site map.

They are the same for everybody: no session, no flash message and no token is in them, so that they may be kept.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Annotated, Any, Final

from litestar import Response, route
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from markupsafe import Markup

from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import RECORD_ID_MAX
from broadsheet_gateway.archive.archive_answers import ArchiveLine, ArchiveList, ArchiveNewsletter, ArchivePage
from broadsheet_gateway.archive.archive_source import ArchiveSource
from broadsheet_gateway.archive.atom_feed import MEDIA_TYPE as ATOM
from broadsheet_gateway.archive.atom_feed import atom_feed
from broadsheet_gateway.archive.page_cache import KeptPage, PageCache
from broadsheet_gateway.archive.sitemap import MEDIA_TYPE as SITEMAP
from broadsheet_gateway.archive.sitemap import sitemap_xml
from broadsheet_gateway.http.responses import HTML, AnyRequest
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.archive_views import ArchiveArticle, ArchiveIssues, ArchiveLook
from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.pages.views import PageView

STALE_S: Final = 3600.0
SITEMAP_FRESH_S: Final = 300.0
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_XML_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

AnyResponse = Response[Any]
BeforeId = Annotated[int | None, QueryParameter(name="before", ge=1, le=RECORD_ID_MAX)]


class ArchiveDesk:
    """What the handlers here share."""

    def __init__(self, source: ArchiveSource, pages: Pages, *, public_url: str, cache_s: float) -> None:
        """`public_url`: absolute, without a slash at its end. `cache_s`: how long a page is good for."""
        self._source = source
        self._pages = pages
        self._public_url = public_url
        self._cache = PageCache(fresh_s=cache_s, stale_s=STALE_S, entries_max=2_000, bytes_max=64 * 1024 * 1024)
        # Larger, and made of every issue there is.
        self._sitemaps = PageCache(
            fresh_s=max(cache_s, SITEMAP_FRESH_S), stale_s=STALE_S, entries_max=1, bytes_max=32 * 1024 * 1024
        )
        self._caching = f"public, max-age={cache_s:.0f}, stale-if-error={STALE_S:.0f}"

    async def issues(self, slug: str, before_id: int | None) -> AnyResponse:
        _check(slug)

        async def make() -> KeptPage:
            found = await self._source.read_list(slug, before_id)
            return self._page(self._list_view(found, before_id))

        return await self._answer(f"issues/{slug}/{before_id or ''}", make)

    async def article(self, slug: str, issue_slug: str) -> AnyResponse:
        _check(slug)
        _check(issue_slug)

        async def make() -> KeptPage:
            found = await self._source.read_issue(slug, issue_slug)
            return self._page(self._article_view(found))

        return await self._answer(f"issue/{slug}/{issue_slug}", make)

    def kept_article(self, slug: str, issue_slug: str) -> KeptPage | None:
        """None: it must be asked for by `article`."""
        return self._cache.fresh(f"issue/{slug}/{issue_slug}")

    async def feed(self, request: AnyRequest, slug: str) -> AnyResponse:
        _check(slug)

        async def make() -> KeptPage:
            found = await self._source.read_feed(slug)
            body = atom_feed(found, archive_url=self._url(_path(found.newsletter)))
            changed_at = format_datetime(found.newsletter.changed_at.astimezone(UTC), usegmt=True)
            return self._kept(body, ATOM, _XML_POLICY, {"Last-Modified": changed_at})

        response = await self._answer(f"feed/{slug}", make)
        if _is_unchanged(request, response.headers["Last-Modified"]):
            kept = {name: response.headers[name] for name in ("ETag", "Last-Modified", "Cache-Control")}
            return Response(b"", status_code=304, headers=kept, media_type=ATOM)
        return response

    async def sitemap(self) -> AnyResponse:
        async def make() -> KeptPage:
            body = sitemap_xml(await self._source.read_sitemap(), public_url=self._public_url)
            return self._kept(body, SITEMAP, _XML_POLICY, {})

        return _response(await self._sitemaps.get("sitemap", make))

    async def _answer(self, key: str, make: Callable[[], Awaitable[KeptPage]]) -> AnyResponse:
        return _response(await self._cache.get(key, make))

    def _page(self, view: PageView) -> KeptPage:
        return self._kept(self._pages.render(view).encode(), HTML, view.content_policy, {})

    def _kept(self, body: bytes, media_type: str, policy: str, headers: dict[str, str]) -> KeptPage:
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        own = {"ETag": tag, "Cache-Control": self._caching, "Content-Security-Policy": policy}
        headers = own | headers
        sent = headers | {"Content-Type": f"{media_type}; charset=utf-8", "Content-Length": str(len(body))}
        raw_headers = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in sent.items())
        return KeptPage(body, media_type, headers, raw_headers)

    def _url(self, path: str) -> str:
        return self._public_url + path

    def _look(self, newsletter: ArchiveNewsletter) -> ArchiveLook:
        return ArchiveLook(
            newsletter_name=newsletter.name,
            description=newsletter.description,
            language=newsletter.language,
            direction=newsletter.direction,
            accent_colour=newsletter.accent_colour,
            logo_url=newsletter.logo_url,
            logo_alt=newsletter.logo_alt or newsletter.name,
            is_hidden=newsletter.archive_is_hidden,
            sign_up_heading=newsletter.sign_up_heading,
            sign_up_text=newsletter.sign_up_text,
            sign_up_button=newsletter.sign_up_button,
            archive_heading=newsletter.archive_heading,
            page_path=f"/newsletters/{newsletter.slug}",
            archive_path=_path(newsletter),
        )

    def _list_view(self, found: ArchiveList, before_id: int | None) -> ArchiveIssues:
        path = _path(found.newsletter)
        older = found.next_before_id
        return ArchiveIssues(
            look=self._look(found.newsletter),
            canonical_url=self._url(path if before_id is None else f"{path}?before={before_id}"),
            items=tuple(_link(found.newsletter, item) for item in found.items),
            is_first=before_id is None,
            older_before_id=older,
        )

    def _article_view(self, found: ArchivePage) -> ArchiveArticle:
        newsletter, issue = found.newsletter, found.issue
        return ArchiveArticle(
            look=self._look(newsletter),
            canonical_url=self._url(f"{_path(newsletter)}/{issue.slug}"),
            title=issue.title,
            description=issue.summary or issue.text_start,
            published_at=issue.published_at,
            updated_at=issue.updated_at,
            content=Markup(issue.html),  # noqa: S704  # publishing's allow-list made it safe
            keeps_look=issue.keeps_look,
            previous=_link(newsletter, found.previous) if found.previous is not None else None,
            next=_link(newsletter, found.next) if found.next is not None else None,
        )


def _path(newsletter: ArchiveNewsletter) -> str:
    return f"/newsletters/{newsletter.slug}/issues"


def _link(newsletter: ArchiveNewsletter, line: ArchiveLine) -> ArchivedLink:
    return ArchivedLink(
        title=line.title,
        summary=line.summary,
        published_at=line.published_at,
        page_path=f"{_path(newsletter)}/{line.slug}",
    )


def _check(slug: str) -> None:
    if _SLUG.fullmatch(slug) is None:
        raise NotFoundError("There is no such page in an archive.")


def _response(page: KeptPage) -> AnyResponse:
    return Response(page.body, headers=page.headers, media_type=page.media_type)


def _is_unchanged(request: AnyRequest, last_modified: str) -> bool:
    """`If-Modified-Since` counts only without `If-None-Match` (RFC 9110, 13.1.3)."""
    given = request.headers.get("if-modified-since")
    if given is None or "if-none-match" in request.headers:
        return False
    since = _date(given)
    changed_at = _date(last_modified)
    return since is not None and changed_at is not None and changed_at <= since


def _date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


@route("/newsletters/{slug:str}/issues", http_method=["GET", "HEAD"], include_in_schema=False)
async def archive_issues(
    slug: FromPath[str], archive_desk: NamedDependency[ArchiveDesk], before_id: BeforeId = None
) -> AnyResponse:
    return await archive_desk.issues(slug, before_id)


@route("/newsletters/{slug:str}/issues/{issue_slug:str}", http_method=["GET", "HEAD"], include_in_schema=False)
async def archive_article(
    slug: FromPath[str], issue_slug: FromPath[str], archive_desk: NamedDependency[ArchiveDesk]
) -> AnyResponse:
    return await archive_desk.article(slug, issue_slug)


@route("/newsletters/{slug:str}/feed.atom", http_method=["GET", "HEAD"], include_in_schema=False)
async def archive_feed(
    request: AnyRequest, slug: FromPath[str], archive_desk: NamedDependency[ArchiveDesk]
) -> AnyResponse:
    return await archive_desk.feed(request, slug)


@route("/sitemap.xml", http_method=["GET", "HEAD"], include_in_schema=False)
async def sitemap(archive_desk: NamedDependency[ArchiveDesk]) -> AnyResponse:
    return await archive_desk.sitemap()


ARCHIVE_HANDLERS: tuple[HTTPRouteHandler, ...] = (archive_issues, archive_article, archive_feed, sitemap)
