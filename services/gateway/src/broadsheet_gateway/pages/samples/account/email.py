"""Sample data of the pages on a change of one's address."""

from datetime import UTC, datetime

from broadsheet_gateway.pages.email_views import (
    ConfirmEmailPage,
    EmailChangedPage,
    EmailChangeGonePage,
    EmailPage,
    PendingEmail,
)
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import PageView, SignedIn

_UNTIL = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)


def email_samples(signed_in: SignedIn) -> dict[str, PageView]:
    new = "ada.lovelace@analytical.example"
    path = "/email-change/sample-token"
    return {
        "email": EmailPage(signed_in=signed_in, current="ada@example.com"),
        "email-none": EmailPage(signed_in=signed_in, current=None),
        "email-pending": EmailPage(
            signed_in=signed_in,
            flashes=(FlashCode.EMAIL_CHANGE_MAILED,),
            current="ada@example.com",
            pending=PendingEmail(new_email=new, waits_for_old=True, waits_for_new=True, expires_at=_UNTIL),
        ),
        "email-half": EmailPage(
            signed_in=signed_in,
            current="ada@example.com",
            is_recent=False,
            pending=PendingEmail(new_email=new, waits_for_old=False, waits_for_new=True, expires_at=_UNTIL),
        ),
        "email-errors": EmailPage(
            signed_in=signed_in,
            current="ada@example.com",
            email="ada@example.com",
            errors={"email": "This is your address already."},
        ),
        "email-too-soon": EmailPage(
            signed_in=signed_in,
            current="ada@example.com",
            email=new,
            form_error="You asked for a change a short time ago. Wait some minutes before you ask again.",
        ),
        "email-confirm-old": ConfirmEmailPage(action_path=path, new_email=new, is_old=True),
        "email-confirm-new": ConfirmEmailPage(action_path=path, new_email=new, is_old=False),
        "email-confirmed-before": ConfirmEmailPage(action_path=path, new_email=new, is_old=True, is_confirmed=True),
        "email-waits-old": EmailChangedPage(waits_for="old"),
        "email-waits-new": EmailChangedPage(waits_for="new"),
        "email-changed": EmailChangedPage(),
        "email-gone": EmailChangeGonePage(),
        "email-taken": EmailChangeGonePage(is_taken=True),
    }
