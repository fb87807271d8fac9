"""The mail with the link to set a new password; pure."""

from typing import Final

from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_common.mail.notice_mail import Mail, write_mail

RESET_PATH: Final = "/password-reset/"


def write_reset_mail(*, public_url: str, token: str, lifetime_s: int) -> Mail:
    """`token` is URL-safe; `public_url` has no trailing slash."""
    return write_mail(
        subject="Set a new password",
        title="Set a new password",
        text="Somebody, we hope you, asked to set a new password for the Broadsheet account with this address.",
        button="Set a new password",
        link=f"{public_url}{RESET_PATH}{token}",
        after=(
            f"The link works once, for {duration_in_words(lifetime_s)}. If it was not you, do nothing: your password "
            "stays as it is."
        ),
    )
