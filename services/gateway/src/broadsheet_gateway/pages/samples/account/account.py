"""Sample data of the pages about a user's own account."""

from datetime import UTC, datetime

from broadsheet_gateway.pages.account_views import (
    AskResetPage,
    ConfirmIdentityPage,
    ResetLinkGonePage,
    ResetMailedPage,
    SessionRow,
    SessionsPage,
    SetPasswordPage,
)
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn


def _at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def account_samples(signed_in: SignedIn) -> dict[str, PageView]:
    here = SessionRow(
        handle="a1", browser="Firefox on Linux", source="192.0.2.7", started_at=_at(12, 8), used_at=_at(13, 9, 30),
        is_this_one=True,
    )  # fmt: skip
    return {
        "sessions": SessionsPage(
            signed_in=signed_in,
            flashes=(FlashCode.SESSION_ENDED,),
            sessions=(
                here,
                SessionRow(
                    handle="b2",
                    browser="Safari on iPhone",
                    source="2001:db8:1:2::/64",
                    started_at=_at(12, 21, 5),
                    used_at=_at(13, 7, 12),
                ),
                SessionRow(
                    handle="c3", browser="Unknown program", source="198.51.100.20", started_at=None, used_at=_at(11, 3)
                ),
            ),
        ),
        "sessions-one": SessionsPage(signed_in=signed_in, sessions=(here,)),
        "reset-ask": AskResetPage(),
        "reset-ask-errors": AskResetPage(email="ada@", errors={"email": "There must be something after the @-sign."}),
        "reset-mailed": ResetMailedPage(),
        "reset-set": SetPasswordPage(action_path="/password-reset/sample-token"),
        "reset-set-errors": SetPasswordPage(
            action_path="/password-reset/sample-token",
            errors={"new_password": "This is easy to guess. It is a run of neighbouring keys."},
        ),
        "reset-gone": ResetLinkGonePage(),
        "confirm-identity": ConfirmIdentityPage(signed_in=signed_in, next_path="/admin/account/sessions"),
        "confirm-identity-code": ConfirmIdentityPage(
            signed_in=signed_in,
            next_path="/admin/account/sessions",
            asks_code=True,
            errors={"code": "This code is not right, or was used before. Take the one that is shown now."},
        ),
        "confirm-identity-wrong": ConfirmIdentityPage(
            signed_in=signed_in,
            next_path="/admin/account/sessions",
            errors={"password": "This is not your password."},
        ),
    }
