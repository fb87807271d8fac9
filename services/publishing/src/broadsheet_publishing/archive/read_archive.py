"""Read what readers see of a newsletter's archive: the list, one issue, the feed, the site map."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import NotFoundError
from broadsheet_publishing.archive import store
from broadsheet_publishing.archive.rendered_contents import RenderedContents, Version
from broadsheet_publishing.archive.web_content import WebContent, WebPlace, render_lines

FEED_ISSUES: Final = 20
FEED_CHARS_MAX: Final = 2 * 1024 * 1024
"""Of all contents in a feed; the issues after that are there without theirs."""


class ArchivedNewsletter(msgspec.Struct, frozen=True, kw_only=True):
    """What a public page shows of a newsletter. `changed_at`: when an issue of it was last published, taken out of the
    archive, or in.
    """

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
    archive_heading: str
    created_at: datetime
    changed_at: datetime


class ArchivedLine(msgspec.Struct, frozen=True, kw_only=True):
    """An issue in a list, as plain text. `published_at` is in the newsletter's time zone."""

    id: int
    slug: str
    title: str
    summary: str
    created_at: datetime
    published_at: datetime
    updated_at: datetime


class ArchivedIssue(ArchivedLine, frozen=True, kw_only=True):
    """With its content: HTML that may stand in a page as it is. Empty: it cannot be shown to everybody.

    `keeps_look`: it has inline styles of its own. `text_start`: the beginning of its text.
    """

    html: str
    keeps_look: bool
    text_start: str


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    newsletter: ArchivedNewsletter
    items: list[ArchivedLine]
    next_before_id: int | None


class ArchivePage(msgspec.Struct, frozen=True, kw_only=True):
    """`previous`: the one that was published before it."""

    newsletter: ArchivedNewsletter
    issue: ArchivedIssue
    previous: ArchivedLine | None
    next: ArchivedLine | None


class ArchiveFeed(msgspec.Struct, frozen=True, kw_only=True):
    newsletter: ArchivedNewsletter
    items: list[ArchivedIssue]


class ArchiveReader:
    def __init__(self, engine: AsyncEngine, *, public_url: str) -> None:
        self._engine = engine
        self._public_url = public_url
        self._contents = RenderedContents()

    async def read_list(self, newsletter_slug: str, *, before_id: int | None, limit: int) -> Archive:
        """Raises `NotFoundError`, as all of these do for what is not in an archive."""
        async with self._engine.connect() as connection:
            newsletter = _found(await store.find_archive(connection, newsletter_slug))
            rows = await store.list_archived(connection, newsletter.id, before_id=before_id, limit=limit + 1)
        lines = await self._lines(newsletter, rows[:limit])
        next_before_id = rows[limit - 1].id if len(rows) > limit else None
        return Archive(newsletter=_newsletter(newsletter), items=lines, next_before_id=next_before_id)

    async def read_issue(self, newsletter_slug: str, issue_slug: str) -> ArchivePage:
        async with self._engine.connect() as connection:
            newsletter = _found(await store.find_archive(connection, newsletter_slug))
            row = await store.find_archived(connection, newsletter.id, issue_slug)
            if row is None:
                raise NotFoundError(_NOT_THERE)
            neighbours = await store.find_neighbours(connection, newsletter.id, row)
        around = await self._lines(newsletter, [one for one in neighbours if one is not None])
        by_id = {line.id: line for line in around}
        previous, following = (None if one is None else by_id[one.id] for one in neighbours)
        (line,) = await self._lines(newsletter, [row])
        content = await self._content(newsletter, row, line)
        issue = _with_content(line, content)
        return ArchivePage(newsletter=_newsletter(newsletter), issue=issue, previous=previous, next=following)

    async def read_feed(self, newsletter_slug: str) -> ArchiveFeed:
        async with self._engine.connect() as connection:
            newsletter = _found(await store.find_archive(connection, newsletter_slug))
            rows = await store.list_archived(connection, newsletter.id, before_id=None, limit=FEED_ISSUES)
        items, chars_left = [], FEED_CHARS_MAX
        for row, line in zip(rows, await self._lines(newsletter, rows), strict=True):
            content = await self._content(newsletter, row, line) if chars_left > 0 else None
            chars_left -= len(content.html) if content is not None else 0
            items.append(_with_content(line, content if chars_left >= 0 else None))
        return ArchiveFeed(newsletter=_newsletter(newsletter), items=items)

    async def read_sitemap(self, *, limit: int) -> list[store.SitemapRow]:
        async with self._engine.connect() as connection:
            return await store.list_sitemap(connection, limit=limit)

    async def _lines(self, newsletter: store.ArchiveRow, rows: Sequence[store.ArchivedRow]) -> list[ArchivedLine]:
        # Two small templates each.
        return await asyncio.to_thread(lambda: [self._line(newsletter, row) for row in rows])

    def _line(self, newsletter: store.ArchiveRow, row: store.ArchivedRow) -> ArchivedLine:
        lines = render_lines(row.title, row.preheader, self._place(newsletter, row))
        return ArchivedLine(
            id=row.id,
            slug=row.slug,
            title=lines.title,
            summary=lines.summary,
            created_at=row.created_at,
            published_at=row.published_at.astimezone(ZoneInfo(newsletter.time_zone)),
            updated_at=row.updated_at,
        )

    async def _content(
        self, newsletter: store.ArchiveRow, row: store.ArchivedRow, line: ArchivedLine
    ) -> WebContent | None:
        return await self._contents.get(
            self._engine,
            Version(row.id, row.variant, row.content_version, newsletter.sender_version),
            title=row.title,
            place=self._place(newsletter, row),
            shown_title=line.title,
        )

    def _place(self, newsletter: store.ArchiveRow, row: store.ArchivedRow) -> WebPlace:
        return WebPlace(
            newsletter_name=newsletter.name,
            newsletter_slug=newsletter.slug,
            postal_address=newsletter.postal_address,
            published_at=row.published_at,
            public_url=self._public_url,
            issue_slug=row.slug,
        )


_NOT_THERE = "There is no such page in an archive."


def _found(row: store.ArchiveRow | None) -> store.ArchiveRow:
    if row is None:
        raise NotFoundError(_NOT_THERE)
    return row


def _newsletter(row: store.ArchiveRow) -> ArchivedNewsletter:
    shown = ArchivedNewsletter.__struct_fields__
    return msgspec.convert({name: getattr(row, name) for name in shown}, ArchivedNewsletter)


def _with_content(line: ArchivedLine, content: WebContent | None) -> ArchivedIssue:
    return ArchivedIssue(
        **msgspec.structs.asdict(line),
        html=content.html if content else "",
        keeps_look=content.keeps_look if content else False,
        text_start=content.text_start if content else "",
    )
