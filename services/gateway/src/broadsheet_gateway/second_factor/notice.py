"""What users are told about their second factor; pure."""

from enum import Enum

from broadsheet_common.mail.notice_mail import Mail, write_mail
from broadsheet_gateway.account_notices.notices import IF_IT_WAS_NOT_YOU


class Notice(Enum):
    """The subject, and what the mail says."""

    ADDED = (
        "A second factor was added",
        "Signing in to your Broadsheet account now asks for a code of an authenticator, too.",
    )
    REMOVED = (
        "Your second factor was removed",
        "Signing in to your Broadsheet account no longer asks for a code.",
    )
    RECOVERY_CODE_USED = (
        "A recovery code was used",
        "One of the recovery codes of your Broadsheet account was used in place of a code of your authenticator.",
    )
    RECOVERY_CODES_RENEWED = (
        "New recovery codes were made",
        "New recovery codes were made for your Broadsheet account. The ones before work no more.",
    )


def write_notice(notice: Notice) -> Mail:
    subject, text = notice.value
    return write_mail(subject=subject, title=subject, text=text, after=IF_IT_WAS_NOT_YOU)
