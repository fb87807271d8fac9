"""A cache of the newsletters for the public pages, from publishing: names, slugs, sites with their forms.

While publishing does not answer, the last known state is used: no public page fails because of it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from broadsheet_common.contracts.identity import Identity
from broadsheet_common.http.problems import ProblemError, UnavailableError
from broadsheet_common.languages.language import Language
from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError, Upstreams
from broadsheet_gateway.pages.for_readers.newsletter_look import ACCENT_COLOUR, NewsletterLook
from broadsheet_gateway.pages.times import PageZones
from broadsheet_gateway.sign_up.tracking_notice import tracking_notice

RETRY_S = 2.0
ZONES_WAIT_MAX_S = 1.0
PAGE_ROWS = 200
PAGES_MAX = 10
"""More newsletters than this have no public page."""
NAME_BEFORE_FIRST_ANSWER = "Broadsheet"
HOME_PATH = "/subscriptions"
"""Where the default newsletter's form is sent; every other one's is sent to its own page."""
NEWSLETTERS_PREFIX = "/newsletters/"
_IDENTITY = Identity(subject="public", scopes=frozenset({"newsletters:read"}))


class PublicNewsletter(msgspec.Struct, frozen=True):
    """`slug` is empty until publishing has answered once. Empty `sign_up_…` texts and `texts` mean our own words.
    `language` is a tag (BCP 47).
    """

    name: str
    slug: str = ""
    id: int = 0
    description: str = ""
    language: str = "en"
    direction: Literal["ltr", "rtl"] = "ltr"
    accent_colour: str = ACCENT_COLOUR
    logo_url: str | None = None
    logo_alt: str = ""
    is_default: bool = False
    is_listed: bool = False
    allowed_origins: tuple[str, ...] = ()
    has_archive: bool = False
    sign_up_heading: str = ""
    sign_up_text: str = ""
    sign_up_button: str = ""
    texts: ReaderTexts = OUR_WORDS
    time_zone: str = "UTC"
    track_opens: bool = False
    track_links: bool = False
    archived_at: datetime | None = None

    @property
    def tracking_notice(self) -> str:
        return tracking_notice(opens=self.track_opens, links=self.track_links, language=self.look.words)

    @property
    def path(self) -> str:
        return f"/newsletters/{self.slug}"

    @property
    def look(self) -> NewsletterLook:
        """As its pages show it. The default one's form is the home page."""
        return NewsletterLook(
            newsletter_name=self.name,
            slug=self.slug,
            page_path="/" if self.is_default or not self.slug else self.path,
            archive_path=f"{self.path}/issues" if self.has_archive else "",
            description=self.description,
            language=self.language,
            direction=self.direction,
            accent_colour=self.accent_colour,
            logo_url=self.logo_url,
            logo_alt=self.logo_alt,
            texts=self.texts,
        )


class _Newsletters(msgspec.Struct, frozen=True):
    items: list[PublicNewsletter]
    next_cursor: str | None = None


class _Known(msgspec.Struct, frozen=True):
    """All that there are, archived ones too: people still leave them."""

    by_id: Mapping[int, PublicNewsletter]
    by_slug: Mapping[str, PublicNewsletter]
    listed: tuple[PublicNewsletter, ...]
    default: PublicNewsletter
    zones: PageZones = PageZones()


_NOTHING: Final = _Known(MappingProxyType({}), MappingProxyType({}), (), PublicNewsletter(NAME_BEFORE_FIRST_ANSWER))


class NewsletterDirectory:
    """`cache_s`: how long an answer of publishing's is good for."""

    def __init__(
        self, upstreams: Upstreams, *, cache_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._upstreams = upstreams
        self._cache_s = cache_s
        self._monotonic_s = monotonic_s
        self._known: _Known | None = None
        self._ask_again_at_s = float("-inf")
        self._asking = asyncio.Lock()

    async def default(self) -> PublicNewsletter:
        return (await self._newsletters(may_wait=False) or _NOTHING).default

    async def find(self, slug: str) -> PublicNewsletter | None:
        """Raises `UnavailableError` while nothing is known yet."""
        known = await self._newsletters(may_wait=True)
        if known is None:
            raise UnavailableError
        found = known.by_slug.get(slug)
        return None if found is None or found.archived_at is not None else found

    async def listed(self) -> tuple[PublicNewsletter, ...]:
        """Those that the home page names beside the default one."""
        return (await self._newsletters(may_wait=False) or _NOTHING).listed

    async def look_of(self, newsletter_id: int, name: str) -> NewsletterLook:
        """The look of a newsletter that a service named. One that is not known here has its name, and no more."""
        found = (await self._newsletters(may_wait=False) or _NOTHING).by_id.get(newsletter_id)
        return NewsletterLook(newsletter_name=name, page_path="/") if found is None else found.look

    async def look_of_slug(self, slug: str) -> NewsletterLook | None:
        found = (await self._newsletters(may_wait=False) or _NOTHING).by_slug.get(slug)
        return None if found is None else found.look

    async def zones(self) -> PageZones:
        """The time zones of pages inside. No page waits long for them: the last known ones do, and before that UTC."""
        try:
            async with asyncio.timeout(ZONES_WAIT_MAX_S):
                await self._newsletters(may_wait=False)
        except TimeoutError:
            self._ask_again_at_s = self._monotonic_s() + RETRY_S
        return (self._known or _NOTHING).zones

    def language_of_page(self, path: str) -> Language | None:
        """The language of the newsletter whose page this is, as far as is known now; None for other pages."""
        known = self._known or _NOTHING
        if path in {"/", HOME_PATH}:
            return known.default.look.words if known.default.slug else None
        found = known.by_slug.get(path.removeprefix(NEWSLETTERS_PREFIX).partition("/")[0])
        return found.look.words if found is not None and path.startswith(NEWSLETTERS_PREFIX) else None

    async def _newsletters(self, *, may_wait: bool) -> _Known | None:
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
                    f"/api/v1/newsletters?limit={PAGE_ROWS}&archived=true" + (f"&cursor={cursor}" if cursor else ""),
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
        self._known = _known(found)
        self._ask_again_at_s = self._monotonic_s() + self._cache_s


def _known(found: list[PublicNewsletter]) -> _Known:
    open_ones = [one for one in found if one.archived_at is None]
    default = next((one for one in open_ones if one.is_default), None)
    of_installation = default or next(iter(open_ones), _NOTHING.default)
    return _Known(
        by_id=MappingProxyType({one.id: one for one in found}),
        by_slug=MappingProxyType({one.slug: one for one in found}),
        listed=tuple(one for one in open_ones if one.is_listed and not one.is_default),
        default=default or _NOTHING.default,
        zones=PageZones(MappingProxyType({one.id: one.time_zone for one in found}), of_installation.time_zone),
    )
