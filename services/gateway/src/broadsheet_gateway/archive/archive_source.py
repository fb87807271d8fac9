"""Asks publishing about archives."""

from typing import Final
from urllib.parse import urlencode

from broadsheet_common.contracts.identity import PUBLIC_IDENTITY
from broadsheet_common.http.problems import NotFoundError
from broadsheet_gateway.archive.archive_answers import ArchiveFeed, ArchiveList, ArchivePage, Sitemap
from broadsheet_gateway.forwarding.upstreams import T, UpstreamRefusalError, Upstreams

PAGE_ISSUES: Final = 20
SITEMAP_MAX: Final = 50_000
_NOT_FOUND: Final = 404


class ArchiveSource:
    """Every call raises `NotFoundError` for what is not in an archive, and `UnavailableError` or `UpstreamTimeoutError`
    while publishing does not answer. Slugs must have been checked: they go into a path.
    """

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def read_list(self, newsletter_slug: str, before_id: int | None, *, limit: int = PAGE_ISSUES) -> ArchiveList:
        query = {"limit": limit} | ({"before_id": before_id} if before_id is not None else {})
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
                "publishing", "GET", f"/public/archive{path}", identity=PUBLIC_IDENTITY, answer=answer
            )
        except UpstreamRefusalError as refusal:
            if refusal.status == _NOT_FOUND:
                raise NotFoundError("There is no such page in an archive.") from refusal
            raise
