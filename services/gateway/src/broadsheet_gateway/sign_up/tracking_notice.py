"""What a sign-up form says of what its mails report back, pure: whoever subscribes knows it before they do."""

from broadsheet_common.languages.language import Language
from broadsheet_gateway.pages.for_readers.words import CATALOGUES


def tracking_notice(*, opens: bool, links: bool, language: Language) -> str:
    """A sentence; empty if nothing is reported."""
    translate = CATALOGUES[language]
    if opens and links:
        return translate("Its mails tell the sender whether you open them and which links you follow.")
    if opens:
        return translate("Its mails tell the sender whether you open them.")
    if links:
        return translate("Its mails tell the sender which links you follow.")
    return ""
