"""A cache of the newsletters for the public pages, from publishing: names, slugs, sites with their forms.

While publishing does not answer, the last known state is used: no public page fails because of it.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.problems import ProblemError, UnavailableError
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.sign_up.tracking_notice import tracking_notice

RETRY_S = 2.0
PAGE_ROWS = 200
PAGES_MAX = 10
"""More newsletters than this have no public page."""
NAME_BEFORE_FIRST_ANSWER = "Broadsheet"
_IDENTITY = Identity(subject="public", scopes=frozenset({"newsletters:read"}))


class PublicNewsletter(msgspec.Struct, frozen=True):
    """`slug` is empty until publishing has answered once. Empty `sign_up_…` texts mean the page's own words."""

    name: str
    slug: str = ""
    is_default: bool = False
    is_listed: bool = False
    allowed_origins: tuple[str, ...] = ()
    has_archive: bool = False
    sign_up_heading: str = ""
    sign_up_text: str = ""
    sign_up_button: str = ""
    track_opens: bool = False
    track_links: bool = False

    @property
    def tracking_notice(self) -> str:
        return tracking_notice(opens=self.track_opens, links=self.track_links)


class _Newsletters(msgspec.Struct, frozen=True):
    items: list[PublicNewsletter]
    next_cursor: str | None = None


class NewsletterDirectory:
    """`cache_s`: how long an answer of publishing's is good for."""

    def __init__(
        self, upstreams: Upstreams, *, cache_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._upstreams = upstreams
        self._cache_s = cache_s
        self._monotonic_s = monotonic_s
        self._known: list[PublicNewsletter] | None = None
        self._ask_again_at_s = float("-inf")
        self._asking = asyncio.Lock()

    async def default(self) -> PublicNewsletter:
        known = await self._newsletters(may_wait=False) or []
        return next((one for one in known if one.is_default), PublicNewsletter(NAME_BEFORE_FIRST_ANSWER))

    async def find(self, slug: str) -> PublicNewsletter | None:
        """Raises `UnavailableError` while nothing is known yet."""
        known = await self._newsletters(may_wait=True)
        if known is None:
            raise UnavailableError
        return next((one for one in known if one.slug == slug), None)

    async def listed(self) -> list[PublicNewsletter]:
        """Those that the home page names beside the default one."""
        known = await self._newsletters(may_wait=False) or []
        return [one for one in known if one.is_listed and not one.is_default]

    async def _newsletters(self, *, may_wait: bool) -> list[PublicNewsletter] | None:
        """One visitor's request refreshes it; others meanwhile use what is known. They wait only for the first
        answer.
        """
        if self._is_due() and (not self._asking.locked() or (may_wait and self._known is None)):
            async with self._asking:
                if self._is_due():
                    await self._ask()
        return self._known

    def _is_due(self) -> bool:
        return self._monotonic_s() >= self._ask_again_at_s

    async def _ask(self) -> None:
        found: list[PublicNewsletter] = []
        cursor: str | None = None
        try:
            for _ in range(PAGES_MAX):
                page = await self._upstreams.call(
                    "publishing",
                    "GET",
                    f"/api/v1/newsletters?limit={PAGE_ROWS}" + (f"&cursor={cursor}" if cursor else ""),
                    identity=_IDENTITY,
                    answer=_Newsletters,
                )
                found += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
        except (ProblemError, UpstreamRefusalError):
            self._ask_again_at_s = self._monotonic_s() + RETRY_S  # logged where it was raised
            return
        self._known = found
        self._ask_again_at_s = self._monotonic_s() + self._cache_s
