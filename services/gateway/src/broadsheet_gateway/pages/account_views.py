"""The pages about a user's own account: one Struct a page (see `views`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import msgspec

from broadsheet_gateway.pages.views import AdminPageView


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """`started_at` is None in a session of a version before."""

    handle: str
    browser: str
    source: str
    started_at: datetime | None
    used_at: datetime
    is_this_one: bool = False


class SessionsPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/account/sessions`. The page's own session comes first."""

    template: ClassVar[str] = "sessions.html"

    sessions: tuple[SessionRow, ...]


class ConfirmIdentityPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/confirm?next=…`, and its POST answered with faults. Field of `errors`: password."""

    template: ClassVar[str] = "confirm_identity.html"

    next_path: str
    errors: Mapping[str, str] = {}
