"""The pages on a change of one's address: one Struct a page (see `views`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from broadsheet_gateway.pages.views import AdminPageView, PageView


class PendingEmail(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was asked for, and which mailboxes have not confirmed it."""

    new_email: str
    waits_for_old: bool
    waits_for_new: bool
    expires_at: datetime


class EmailPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/account/email`, and its POST answered with faults. Field of `errors`: email. Without a fresh proof
    (`is_recent`) there is no form.
    """

    template: ClassVar[str] = "account/email.html"

    current: str | None
    pending: PendingEmail | None = None
    is_recent: bool = True
    email: str = ""
    errors: Mapping[str, str] = {}
    form_error: str = ""


class ConfirmEmailPage(PageView, frozen=True, kw_only=True):
    """`GET /email-change/{token}`. `is_old`: the link went to the address that the account has now."""

    template: ClassVar[str] = "account/email_confirm.html"

    action_path: str
    new_email: str
    is_old: bool
    is_confirmed: bool = False


class EmailChangedPage(PageView, frozen=True, kw_only=True):
    """Its POST. `waits_for`: the mailbox that has not confirmed it yet; None: the address is changed."""

    template: ClassVar[str] = "account/email_changed.html"

    waits_for: Literal["old", "new"] | None = None


class EmailChangeGonePage(PageView, frozen=True, kw_only=True):
    """A link that is unknown, replaced, too old, done or void; `is_taken`: another user has the address meanwhile."""

    template: ClassVar[str] = "account/email_gone.html"

    is_taken: bool = False
