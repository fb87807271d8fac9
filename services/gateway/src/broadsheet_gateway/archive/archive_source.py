"""What publishing tells of archives: the shapes of its answers, and the calls."""

from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.forwarding.upstreams import T, UpstreamRefusalError, Upstreams
from broadsheet_gateway.reader.public_pages import PUBLIC

PAGE_ISSUES: Final = 20
SITEMAP_MAX: Final = 50_000
_NOT_FOUND: Final = 404


class ArchiveNewsletter(msgspec.Struct, frozen=True, kw_only=True):
    """`accent_colour` is `#rrggbb`."""

    id: int
    slug: str
    name: str
    description: str
    language: str
    direction: Literal["ltr", "rtl"]
    accent_colour: str
    logo_url: str | None
    logo_alt: str
    archive_is_hidden: bool
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    created_at: datetime
    changed_at: datetime


class ArchiveLine(msgspec.Struct, frozen=True, kw_only=True):
    """`published_at` is in the newsletter's time zone."""

    id: int
    slug: str
    title: str
    summary: str
    created_at: datetime
    published_at: datetime
    updated_at: datetime


class ArchiveIssue(ArchiveLine, frozen=True, kw_only=True):
    """`html` was made safe by publishing. Empty: it cannot be shown to everybody."""

    html: str
    keeps_look: bool
    text_start: str


class ArchiveList(msgspec.Struct, frozen=True, kw_only=True):
    newsletter: ArchiveNewsletter
    items: list[ArchiveLine]
    next_before_id: int | None


class ArchivePage(msgspec.Struct, frozen=True, kw_only=True):
    newsletter: ArchiveNewsletter
    issue: ArchiveIssue
    previous: ArchiveLine | None
    next: ArchiveLine | None


class ArchiveFeed(msgspec.Struct, frozen=True, kw_only=True):
    newsletter: ArchiveNewsletter
    items: list[ArchiveIssue]


class SitemapEntry(msgspec.Struct, frozen=True, kw_only=True):
    newsletter_slug: str
    issue_slug: str | None
    updated_at: datetime


class Sitemap(msgspec.Struct, frozen=True):
    items: list[SitemapEntry]


class ArchiveSource:
    """Every call raises `NotFoundError` for what is not in an archive, and `UnavailableError` or `UpstreamTimeoutError`
    while publishing does not answer. Slugs must have been checked: they go into a path.
    """

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def read_list(self, newsletter_slug: str, before_id: int | None) -> ArchiveList:
        query = {"limit": PAGE_ISSUES} | ({"before_id": before_id} if before_id is not None else {})
        return await self._read(f"/{newsletter_slug}/issues?{urlencode(query)}", ArchiveList)

    async def read_issue(self, newsletter_slug: str, issue_slug: str) -> ArchivePage:
        return await self._read(f"/{newsletter_slug}/issues/{issue_slug}", ArchivePage)

    async def read_feed(self, newsletter_slug: str) -> ArchiveFeed:
        return await self._read(f"/{newsletter_slug}/feed", ArchiveFeed)

    async def read_sitemap(self) -> Sitemap:
        return await self._read(f"?limit={SITEMAP_MAX}", Sitemap)

    async def _read(self, path: str, answer: type[T]) -> T:
        try:
            return await self._upstreams.call(
                "publishing", "GET", f"/public/archive{path}", identity=PUBLIC, answer=answer
            )
        except UpstreamRefusalError as refusal:
            if refusal.status == _NOT_FOUND:
                raise NotFoundError("There is no such page in an archive.") from refusal
            raise
