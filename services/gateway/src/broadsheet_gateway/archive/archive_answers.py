"""What publishing tells of archives: the shapes of its answers, pure."""

from datetime import datetime
from typing import Literal

import msgspec


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
    archive_heading: str = ""


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
