"""What notices say; pure. They have no link on purpose: nobody learns to follow one in such a mail."""

from typing import Final

from broadsheet_common.mail.notice_mail import Mail, write_mail

_NO_LINK: Final = "This mail has no link on purpose."
IF_IT_WAS_NOT_YOU: Final = (
    f"If it was not you, set a new password, end your sessions, and tell an owner of your Broadsheet. {_NO_LINK}"
)
"""What to do about a change of how one signs in, besides that of the password itself."""


def write_password_changed() -> Mail:
    """Whichever way it was changed."""
    return write_mail(
        subject="Your password was changed",
        title="Your password was changed",
        text="The password of the Broadsheet account with this address was changed just now.",
        after=(
            "If it was you, do nothing. If it was not, set a new password at once by way of the log-in page, and tell "
            f"an owner of your Broadsheet. {_NO_LINK}"
        ),
    )


def write_address_changed() -> Mail:
    """For the address before."""
    return write_mail(
        subject="The address of your account was changed",
        title="The address of your account was changed",
        text=(
            "The Broadsheet account that had this address has another one now. Links for a new password go there from "
            "now on."
        ),
        after=(
            "If it was you, do nothing. If it was not, tell an owner of your Broadsheet at once: they can end the "
            f"account's sessions and have the address set back. {_NO_LINK}"
        ),
    )
