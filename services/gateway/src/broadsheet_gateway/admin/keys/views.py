"""What the pages on API keys show."""

from datetime import date, datetime
from typing import ClassVar, Final, Literal

import msgspec

from broadsheet_gateway.pages.people_views import NewsletterChoice
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors

KeyState = Literal["good", "expired", "revoked"]

GROUPS: Final = (
    ("read", "Read", "Newsletters, issues, reports, subscribers and lists, but no exports and no consent records."),
    ("write", "Write and send", "All that editors, publishers and support do, but for exports."),
    ("admin", "Run the installation", "Users, keys, webhooks, senders, the audit log."),
    ("all", "Everything", "All of these, exports, personal data and consent records."),
)
OVERLAPS: Final = (
    ("86400", "One more day"),
    ("3600", "One more hour"),
    ("604800", "Seven more days"),
    ("2592000", "Thirty more days"),
    ("0", "No longer: it has leaked"),
)
"""How many more seconds the secret until now is good."""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """`username`: whose it is. `newsletters` None: all of its user's; else by name."""

    id: int
    name: str
    prefix: str
    username: str
    is_own: bool
    state: KeyState
    scopes: tuple[str, ...]
    newsletters: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    rotated_at: datetime | None = None
    previous_expires_at: datetime | None = None
    """Set while the secret before the last rotation is still good."""
    revoked_at: datetime | None = None


class UseRow(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    source: str
    requests: int
    last_at: datetime


class KeysPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/api-keys`. `of_all`: everybody's keys are shown."""

    template: ClassVar[str] = "keys/list.html"

    keys: tuple[KeyRow, ...]
    next_cursor: str | None = None
    of_all: bool = False
    is_recent: bool = True

    @property
    def may_see_all(self) -> bool:
        return "users:read" in self.signed_in.everywhere

    @property
    def may_make(self) -> bool:
        return "keys:write" in self.signed_in.permissions


class NewKeyPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/api-keys/new`, and its form answered with faults. `ticked`: names of groups and of scopes. `chosen`:
    ids of newsletters. Fields of `errors`: name, scopes, newsletter_ids, expires_on.
    """

    template: ClassVar[str] = "keys/new.html"

    scopes: tuple[str, ...]
    newsletters: tuple[NewsletterChoice, ...] = ()
    name: str = ""
    expires_on: str = ""
    ticked: frozenset[str] = frozenset()
    chosen: frozenset[int] = frozenset()
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def groups(self) -> tuple[tuple[str, str, str], ...]:
        return GROUPS


class KeySecretPage(AdminPageView, frozen=True, kw_only=True):
    """The answer to making a key or rotating it: the only page that ever shows the secret."""

    template: ClassVar[str] = "keys/secret.html"

    key: KeyRow
    secret: str
    is_new: bool


class KeyPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/api-keys/{id}`, and its forms answered with faults. Fields of `errors`: name, overlap, sure."""

    template: ClassVar[str] = "keys/key.html"

    key: KeyRow
    name: str
    uses: tuple[UseRow, ...] = ()
    next_cursor: str | None = None
    is_recent: bool = True
    may_change: bool = True
    errors: FieldErrors = NO_ERRORS
    form_error: str = ""

    @property
    def overlaps(self) -> tuple[tuple[str, str], ...]:
        return OVERLAPS

    @property
    def rotation(self) -> str:
        """Which rotation the page has seen: a form that is sent twice rotates once."""
        return "" if self.key.rotated_at is None else self.key.rotated_at.isoformat()
