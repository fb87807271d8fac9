"""The pages about second factors: one Struct a page (see `views`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from markupsafe import Markup

from broadsheet_gateway.pages.views import AdminPageView, PageView


class LoginCodePage(PageView, frozen=True, kw_only=True):
    """`GET /login/second-factor`, and its POST answered with faults. Field of `errors`: code."""

    template: ClassVar[str] = "account/login_code.html"

    errors: Mapping[str, str] = {}


class SecondFactorPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/account/second-factor`. `added_at` None: there is none. `must_set_up`: nothing else is open yet.
    `may_add` False: a passkey has to be shown first.
    """

    template: ClassVar[str] = "account/second_factor.html"

    added_at: datetime | None
    recovery_codes_left: int = 0
    must_set_up: bool = False
    may_add: bool = True


class SetUpPage(AdminPageView, frozen=True, kw_only=True):
    """`GET /admin/account/second-factor/set-up`, and its POST answered with faults. Field of `errors`: code."""

    template: ClassVar[str] = "account/second_factor_set_up.html"

    qr: Markup
    secret: str
    errors: Mapping[str, str] = {}


class RecoveryCodesPage(AdminPageView, frozen=True, kw_only=True):
    """New recovery codes, shown once. `is_new_factor`: the second factor has just come into force."""

    template: ClassVar[str] = "account/recovery_codes.html"

    codes: tuple[str, ...]
    is_new_factor: bool = False
