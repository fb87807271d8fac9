"""What users are told about their link to an account at the provider; pure."""

from broadsheet_common.mail.notice_mail import Mail, write_mail
from broadsheet_gateway.account_notices.notices import IF_IT_WAS_NOT_YOU


def write_provider_linked(provider: str) -> Mail:
    """`provider`: its name, as the installation writes it."""
    return write_mail(
        subject=f"Your account was linked to {provider}",
        title=f"Your account was linked to {provider}",
        text=f"An account at {provider} signs in to your Broadsheet account from now on, without its password.",
        after=IF_IT_WAS_NOT_YOU,
    )


def write_provider_unlinked(provider: str) -> Mail:
    return write_mail(
        subject=f"Your account is no longer linked to {provider}",
        title=f"Your account is no longer linked to {provider}",
        text=(
            f"The account at {provider} signs in to your Broadsheet account no more. Roles that came from its groups "
            "went with the link."
        ),
        after=IF_IT_WAS_NOT_YOU,
    )
