"""The fixed words at the end of a newsletter's mails, by the newsletter's language tag; pure."""

from typing import Final

import msgspec

from broadsheet_common.languages.catalogue import Catalogues, load_catalogues
from broadsheet_common.languages.language import language_of

CATALOGUES: Final[Catalogues] = load_catalogues("broadsheet_common.mail")


class FooterWords(msgspec.Struct, frozen=True, kw_only=True):
    """`why` is a sentence. Nothing is escaped."""

    why: str
    unsubscribe: str
    preferences: str
    web: str


def footer_words(language_tag: str, newsletter_name: str) -> FooterWords:
    translate = CATALOGUES[language_of(language_tag)]
    return FooterWords(
        why=translate("You get this because you subscribed to %(newsletter)s.", newsletter=newsletter_name),
        unsubscribe=translate("Unsubscribe"),
        preferences=translate("Your preferences"),
        web=translate("Read on the web"),
    )
