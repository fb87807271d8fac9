"""The public pages of sent issues: one Struct a page, as in `views`."""

from datetime import datetime
from typing import ClassVar, Final

from markupsafe import Markup

from broadsheet_gateway.pages.for_readers.archived_link import ArchivedLink
from broadsheet_gateway.pages.for_readers.newsletter_look import NewsletterLook
from broadsheet_gateway.pages.views import NewsletterPageView

_PLAIN_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' https:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_LOOK_POLICY: Final = f"{_PLAIN_POLICY}; style-src-attr 'unsafe-inline'"
"""For a mail that has a look of its own. Publishing let only safe properties through."""


class ArchiveLook(NewsletterLook, frozen=True, kw_only=True):
    """With what its archive shows besides. Empty texts: our own words."""

    is_hidden: bool
    sign_up_heading: str
    sign_up_text: str
    sign_up_button: str
    archive_heading: str = ""


class ArchiveIssues(NewsletterPageView, frozen=True, kw_only=True):
    """`GET /newsletters/{slug}/issues`, the newest first. `older_before_id`: where the next page begins."""

    template: ClassVar[str] = "readers/archive_issues.html"

    look: ArchiveLook
    canonical_url: str
    items: tuple[ArchivedLink, ...]
    is_first: bool = True
    older_before_id: int | None = None

    @property
    def content_policy(self) -> str:
        return _PLAIN_POLICY


class ArchiveArticle(NewsletterPageView, frozen=True, kw_only=True):
    """`GET /newsletters/{slug}/issues/{issue slug}`. `content` is HTML that was made safe; `keeps_look`: with styles of
    its own, which are made for a light ground.
    """

    template: ClassVar[str] = "readers/archive_article.html"

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
