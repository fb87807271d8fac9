"""What each newsletter sent last, for the page with its sign-up form: asked of publishing once in a while, not for each
visitor.

While publishing is asked again, or does not answer, what is known is shown. Nobody waits for it but the first visitor
of a newsletter's page, and they for a moment only.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from broadsheet_common.http.problems import NotFoundError, ProblemError
from broadsheet_gateway.archive.archive_source import ArchiveSource
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.sign_up.newsletter_directory import PublicNewsletter

ISSUES: Final = 3
FIRST_WAIT_MAX_S: Final = 1.0
RETRY_S: Final = 5.0
KEPT_MAX: Final = 500
_NONE: Final[tuple[ArchivedLink, ...]] = ()

_log = structlog.get_logger()


class _Kept(msgspec.Struct):
    issues: tuple[ArchivedLink, ...]
    ask_again_at_s: float
    asking: asyncio.Task[None] | None = None


class LatestIssues:
    """`cache_s`: how long an answer of publishing's is good for."""

    def __init__(
        self, source: ArchiveSource, *, cache_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._cache_s = cache_s
        self._monotonic_s = monotonic_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def known(self, newsletter: PublicNewsletter) -> tuple[ArchivedLink, ...]:
        """What is known now, newest first. Nothing is asked."""
        kept = self._kept.get(newsletter.slug) if newsletter.has_archive else None
        return _NONE if kept is None else kept.issues

    async def of(self, newsletter: PublicNewsletter) -> tuple[ArchivedLink, ...]:
        """What it sent last, newest first; empty if that is not on the web, or not known in time."""
        if not newsletter.has_archive or not newsletter.slug:
            return _NONE
        kept = self._kept.get(newsletter.slug)
        if kept is not None and (kept.asking is not None or self._monotonic_s() < kept.ask_again_at_s):
            self._kept.move_to_end(newsletter.slug)
            return kept.issues
        is_first = kept is None
        if kept is None:
            kept = self._kept[newsletter.slug] = _Kept(_NONE, float("-inf"))
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        # A task of its own: whoever asked first may go away.
        kept.asking = asyncio.create_task(self._ask(newsletter.slug, kept))
        if is_first:
            await asyncio.wait({kept.asking}, timeout=FIRST_WAIT_MAX_S)
        return kept.issues

    async def _ask(self, slug: str, kept: _Kept) -> None:
        good_for_s = RETRY_S
        try:
            found = await self._source.read_list(slug, None, limit=ISSUES)
            kept.issues = tuple(
                ArchivedLink(
                    title=item.title,
                    summary=item.summary,
                    published_at=item.published_at,
                    page_path=f"/newsletters/{slug}/issues/{item.slug}",
                )
                for item in found.items
            )
            good_for_s = self._cache_s
        except NotFoundError:
            kept.issues = _NONE
            good_for_s = self._cache_s
        except (ProblemError, UpstreamRefusalError) as error:
            _log.warning("sign_up.latest_issues_unknown", newsletter=slug, error=type(error).__name__)
        finally:
            kept.ask_again_at_s = self._monotonic_s() + good_for_s
            kept.asking = None
