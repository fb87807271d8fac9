"""The public pages of sent issues: one Struct a page, as in `views`."""

from datetime import datetime
from typing import ClassVar, Final, Literal

import msgspec
from markupsafe import Markup

from broadsheet_gateway.pages.views import PageView

_PLAIN_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' https:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_LOOK_POLICY: Final = f"{_PLAIN_POLICY}; style-src-attr 'unsafe-inline'"
"""For a mail that has a look of its own. Publishing let only safe properties through."""


class ArchiveLook(msgspec.Struct, frozen=True, kw_only=True):
    """What a newsletter looks like. `accent_colour` is `#rrggbb`. Empty `sign_up_…` texts: the page's own words."""

    newsletter_name: str
    description: str
    language: str
    direction: Literal["ltr", "rtl"]
    accent_colour: str
    logo_url: str | None
    logo_alt: str
    is_hidden: bool
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    page_path: str


class ArchivedLink(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    summary: str
    published_at: datetime
    page_path: str


class ArchiveIssues(PageView, frozen=True, kw_only=True):
    """`GET /newsletters/{slug}/issues`, the newest first. `older_before_id`: where the next page begins."""

    template: ClassVar[str] = "archive_issues.html"

    look: ArchiveLook
    canonical_url: str
    items: tuple[ArchivedLink, ...]
    is_first: bool = True
    older_before_id: int | None = None

    @property
    def content_policy(self) -> str:
        return _PLAIN_POLICY


class ArchiveArticle(PageView, frozen=True, kw_only=True):
    """`GET /newsletters/{slug}/issues/{issue slug}`. `content` is HTML that was made safe; `keeps_look`: with styles of
    its own, which are made for a light ground.
    """

    template: ClassVar[str] = "archive_article.html"

    look: ArchiveLook
    canonical_url: str
    title: str
    description: str
    published_at: datetime
    updated_at: datetime
    content: Markup
    keeps_look: bool
    previous: ArchivedLink | None = None
    next: ArchivedLink | None = None

    @property
    def content_policy(self) -> str:
        return _LOOK_POLICY if self.keeps_look else _PLAIN_POLICY
