"""What users are told about their passkeys; pure."""

from typing import Final

from broadsheet_common.mail.notice_mail import Mail, write_mail

_AFTER: Final = (
    "If it was not you, set a new password, end your sessions, and tell an owner of your Broadsheet. "
    "This mail has no link on purpose."
)


def write_passkey_added() -> Mail:
    return write_mail(
        subject="A passkey was added",
        title="A passkey was added",
        text="Your Broadsheet account has a new passkey, which signs in without the password.",
        after=_AFTER,
    )


def write_passkey_removed() -> Mail:
    return write_mail(
        subject="A passkey was removed",
        title="A passkey was removed",
        text="A passkey of your Broadsheet account was removed. It signs nobody in any more.",
        after=_AFTER,
    )
