"""The pages about a user's own account: one Struct a page (see `views`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec

from broadsheet_gateway.pages.flashes import FlashCode, flash_text
from broadsheet_gateway.pages.views import NO_ERRORS, AdminPageView, FieldErrors, PageView

_FIELD_OF_FLASH: Final = {
    FlashCode.CURRENT_PASSWORD_WRONG: "current_password",
    FlashCode.PASSWORD_LENGTH: "new_password",
    FlashCode.PASSWORDS_DIFFER: "new_password_check",
}


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

    template: ClassVar[str] = "account/sessions.html"

    sessions: tuple[SessionRow, ...]


class ConfirmIdentityPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/confirm?next=…`, and its POST answered with faults. Fields of `errors`: password, code. `asks_code`:
    the user has a second factor.
    """

    template: ClassVar[str] = "account/confirm_identity.html"

    next_path: str
    asks_code: bool = False
    asks_passkey: bool = False
    has_password: bool = True
    errors: Mapping[str, str] = {}


class AskResetPage(PageView, frozen=True, kw_only=True):
    """`GET /password-reset`, and its POST with an address that is none. Field of `errors`: email."""

    template: ClassVar[str] = "account/reset_ask.html"

    email: str = ""
    errors: Mapping[str, str] = {}


class ResetMailedPage(PageView, frozen=True, kw_only=True):
    """`POST /password-reset`: the same for every address."""

    template: ClassVar[str] = "account/reset_mailed.html"


class SetPasswordPage(PageView, frozen=True, kw_only=True):
    """`GET /password-reset/{token}`, and its POST answered with faults. Fields: new_password, new_password_check."""

    template: ClassVar[str] = "account/reset_set.html"

    action_path: str
    errors: Mapping[str, str] = {}


class ResetLinkGonePage(PageView, frozen=True, kw_only=True):
    """A link that is unknown, used, replaced, or too old."""

    template: ClassVar[str] = "account/reset_gone.html"


class PasswordPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/password`, and its POST answered with a fault in `errors` (new_password). What the original checked
    comes as a flash, as there, and stands at its field.
    """

    template: ClassVar[str] = "account/password.html"

    errors: FieldErrors = NO_ERRORS

    @property
    def banners(self) -> tuple[FlashCode, ...]:
        return tuple(code for code in self.flashes if code not in _FIELD_OF_FLASH)

    @property
    def faults(self) -> FieldErrors:
        """By field: current_password, new_password, new_password_check."""
        flashed = {_FIELD_OF_FLASH[code]: flash_text(code) for code in self.flashes if code in _FIELD_OF_FLASH}
        return {**flashed, **self.errors}
