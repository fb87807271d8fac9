"""What users are told about their link to an account at the provider; pure."""

from typing import Final

from broadsheet_common.mail.notice_mail import Mail, write_mail

_AFTER: Final = (
    "If it was not you, set a new password, end your sessions, and tell an owner of your Broadsheet. "
    "This mail has no link on purpose."
)


def write_provider_linked(provider: str) -> Mail:
    """`provider`: its name, as the installation writes it."""
    return write_mail(
        subject=f"Your account was linked to {provider}",
        title=f"Your account was linked to {provider}",
        text=f"An account at {provider} signs in to your Broadsheet account from now on, without its password.",
        after=_AFTER,
    )


def write_provider_unlinked(provider: str) -> Mail:
    return write_mail(
        subject=f"Your account is no longer linked to {provider}",
        title=f"Your account is no longer linked to {provider}",
        text=(
            f"The account at {provider} signs in to your Broadsheet account no more. Roles that came from its groups "
            "went with the link."
        ),
        after=_AFTER,
    )
