"""Mails about a subscriber's own data, pure: the link to the preference page, the request to confirm a new address,
the notice to the old address. Each in the language and with the look of a newsletter of the reader's.

They contain no text that anybody typed, except an address the reader has or had, so that nobody can use them to
send a message to a stranger. Each has at most one link, the same in HTML and text.
"""

from broadsheet_common.languages.language import Language
from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_common.mail.notice_frame import MailLook
from broadsheet_common.mail.notice_mail import Mail, write_mail
from broadsheet_subscriptions.mail_words import CATALOGUES

PREFERENCES_PATH = "/preferences/"
ADDRESS_CHANGE_PATH = "/change-of-address/"


def write_link_mail(*, public_url: str, token: str, lifetime_s: int, language: Language, look: MailLook) -> Mail:
    """`token` is URL-safe; `public_url` has no trailing slash."""
    translate = CATALOGUES[language]
    title = translate("Your subscriptions and your data")
    return write_mail(
        language=language,
        look=look,
        subject=title,
        title=title,
        text=translate(
            "Somebody, we hope you, asked for a link to the newsletters that this address gets, and to what is kept "
            "about it."
        ),
        button=translate("Open my page"),
        link=f"{public_url}{PREFERENCES_PATH}{token}",
        after=translate(
            "The link works for %(lifetime)s. Whoever has it can change and erase your data: do not pass it on. If it "
            "was not you, do nothing: nothing changes.",
            lifetime=duration_in_words(lifetime_s, language),
        ),
    )


def write_change_mail(*, public_url: str, token: str, lifetime_s: int, language: Language, look: MailLook) -> Mail:
    """Sent to the new address. It does not name the old one, because the reader may be a stranger."""
    translate = CATALOGUES[language]
    return write_mail(
        language=language,
        look=look,
        subject=translate("Please confirm your new address"),
        title=translate("Is this your new address?"),
        text=translate("Somebody, we hope you, asked to get their newsletters at this address from now on."),
        button=translate("Use this address"),
        link=f"{public_url}{ADDRESS_CHANGE_PATH}{token}",
        after=translate(
            "The link works for %(lifetime)s. If it was not you, do nothing: without the confirmation nothing is sent "
            "to you.",
            lifetime=duration_in_words(lifetime_s, language),
        ),
    )


def write_notice_mail(*, moved: bool, language: Language, look: MailLook) -> Mail:
    """Sent to the old address when a change is requested and when it is made. It does not name the new address:
    whoever reads the old mailbox does not need to know it.
    """
    translate = CATALOGUES[language]
    after = translate("If it was not you, answer the newsletter that you got last: its sender can help.")
    if moved:
        return write_mail(
            language=language,
            look=look,
            subject=translate("Your newsletters go to another address now"),
            title=translate("Your address was changed"),
            text=translate(
                "Your newsletters go to another address from now on, as was asked for with a link from this mailbox. "
                "The other address was confirmed."
            ),
            after=after,
        )
    return write_mail(
        language=language,
        look=look,
        subject=translate("Somebody asked to change your address"),
        title=translate("A new address was entered"),
        text=translate(
            "Somebody, we hope you, asked for your newsletters to go to another address. It happens once the other "
            "address is confirmed."
        ),
        after=after,
    )
