"""Mails about a subscriber's own data, pure: the link to the preference page, the request to confirm a new address,
the notice to the old address.

They contain no text that anybody typed, except an address the reader has or had, so that nobody can use them to
send a message to a stranger. Each has at most one link, the same in HTML and text.
"""

from broadsheet_common.mail.notice_mail import Mail, duration_in_words, write_mail

PREFERENCES_PATH = "/preferences/"
ADDRESS_CHANGE_PATH = "/change-of-address/"


def write_link_mail(*, public_url: str, token: str, lifetime_s: int) -> Mail:
    """`token` is URL-safe; `public_url` has no trailing slash."""
    return write_mail(
        subject="Your subscriptions and your data",
        title="Your subscriptions and your data",
        text=(
            "Somebody, we hope you, asked for a link to the newsletters that this address gets, and to what is kept "
            "about it."
        ),
        button="Open my page",
        link=f"{public_url}{PREFERENCES_PATH}{token}",
        after=(
            f"The link works for {duration_in_words(lifetime_s)}. Whoever has it can change and erase your data: do "
            "not pass it on. If it was not you, do nothing: nothing changes."
        ),
    )


def write_change_mail(*, public_url: str, token: str, lifetime_s: int) -> Mail:
    """Sent to the new address. It does not name the old one, because the reader may be a stranger."""
    return write_mail(
        subject="Please confirm your new address",
        title="Is this your new address?",
        text="Somebody, we hope you, asked to get their newsletters at this address from now on.",
        button="Use this address",
        link=f"{public_url}{ADDRESS_CHANGE_PATH}{token}",
        after=(
            f"The link works for {duration_in_words(lifetime_s)}. If it was not you, do nothing: without the "
            "confirmation nothing is sent to you."
        ),
    )


def write_notice_mail(*, moved: bool) -> Mail:
    """Sent to the old address when a change is requested and when it is made. It does not name the new address:
    whoever reads the old mailbox does not need to know it.
    """
    if moved:
        return write_mail(
            subject="Your newsletters go to another address now",
            title="Your address was changed",
            text=(
                "Your newsletters go to another address from now on, as was asked for with a link from this mailbox. "
                "The other address was confirmed."
            ),
            after="If it was not you, answer the newsletter that you got last: its sender can help.",
        )
    return write_mail(
        subject="Somebody asked to change your address",
        title="A new address was entered",
        text=(
            "Somebody, we hope you, asked for your newsletters to go to another address. It happens once the other "
            "address is confirmed."
        ),
        after="If it was not you, answer the newsletter that you got last: its sender can help.",
    )
