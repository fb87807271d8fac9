"""What users are told about their passkeys; pure."""

from broadsheet_common.mail.notice_mail import Mail, write_mail
from broadsheet_gateway.account_notices.notices import IF_IT_WAS_NOT_YOU


def write_passkey_added() -> Mail:
    return write_mail(
        subject="A passkey was added",
        title="A passkey was added",
        text="Your Broadsheet account has a new passkey, which signs in without the password.",
        after=IF_IT_WAS_NOT_YOU,
    )


def write_passkey_removed() -> Mail:
    return write_mail(
        subject="A passkey was removed",
        title="A passkey was removed",
        text="A passkey of your Broadsheet account was removed. It signs nobody in any more.",
        after=IF_IT_WAS_NOT_YOU,
    )
