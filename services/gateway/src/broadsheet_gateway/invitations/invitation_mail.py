"""The mail that invites somebody; pure."""

from typing import Final
from urllib.parse import urlsplit

from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_common.mail.notice_mail import Mail, write_mail

INVITATION_PATH: Final = "/invitation/"


def write_invitation_mail(*, public_url: str, token: str, inviter: str, lifetime_s: int) -> Mail:
    """`token` is URL-safe; `public_url` has no trailing slash; `inviter` is the name of the user who invites."""
    host = urlsplit(public_url).hostname or ""
    return write_mail(
        subject=f"An account for you at {host}",
        title="You are invited",
        text=f"{inviter} invites you to work on the newsletters at {host}. Make your account there to begin.",
        button="Make your account",
        link=f"{public_url}{INVITATION_PATH}{token}",
        after=(
            f"The link works once, for {duration_in_words(lifetime_s)}. If you do not know who sent this, do nothing: "
            "no account is made without you."
        ),
    )
