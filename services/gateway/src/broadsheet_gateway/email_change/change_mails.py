"""The mails of a change of address; pure. The new mailbox may be a stranger's: it learns nothing of the account."""

from typing import Final
from urllib.parse import urlsplit

from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_common.mail.notice_mail import Mail, write_mail

EMAIL_CHANGE_PATH: Final = "/email-change/"


def write_to_old(*, public_url: str, token: str, new_address: str, lifetime_s: int) -> Mail:
    """`token` is URL-safe; `public_url` has no trailing slash."""
    return write_mail(
        subject="Change the address of your account?",
        title="Change the address of your account?",
        text=(
            f"Somebody, we hope you, asked to give your account at {_host(public_url)} the address {new_address} in "
            "place of this one."
        ),
        button="Look at the change",
        link=f"{public_url}{EMAIL_CHANGE_PATH}{token}",
        after=(
            "It is changed only once it is confirmed from both mailboxes. The link works once, for "
            f"{duration_in_words(lifetime_s)}. If it was not you, do not confirm it, and change your password: whoever "
            "asked is signed in to your account."
        ),
    )


def write_to_new(*, public_url: str, token: str, lifetime_s: int) -> Mail:
    return write_mail(
        subject="Confirm this address for your account",
        title="Confirm this address",
        text=f"Somebody, we hope you, asked to give their account at {_host(public_url)} this address.",
        button="Confirm this address",
        link=f"{public_url}{EMAIL_CHANGE_PATH}{token}",
        after=f"The link works once, for {duration_in_words(lifetime_s)}. If it was not you, do nothing.",
    )


def write_to_holder(*, public_url: str) -> Mail:
    """To the new mailbox if a user has the address already."""
    return write_mail(
        subject="You have an account with this address",
        title="You have an account with this address",
        text=(
            f"Somebody asked to give another account at {_host(public_url)} this address. It is the address of yours, "
            "so it stays there."
        ),
        after="If it was you, give your other account another address, or use this one. If it was not, do nothing.",
    )


def _host(public_url: str) -> str:
    return urlsplit(public_url).hostname or ""
