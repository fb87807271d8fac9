"""What a newsletter looks like to readers: its name, language, colour and logo."""

import re
from typing import Final, Literal

import msgspec

from broadsheet_common.languages.language import Language, language_of
from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts

ACCENT_COLOUR = "#7a1f1f"
_HTTPS: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?=/)")


class NewsletterLook(msgspec.Struct, frozen=True, kw_only=True):
    """`language` is the newsletter's tag (BCP 47), `accent_colour` `#rrggbb`. `page_path`: its sign-up form;
    `archive_path`: its sent issues, empty if they are not on the web. `texts`: what its pages say in its own words.
    """

    newsletter_name: str
    slug: str = ""
    page_path: str
    archive_path: str = ""
    description: str = ""
    language: str = "en"
    direction: Literal["ltr", "rtl"] = "ltr"
    accent_colour: str = ACCENT_COLOUR
    logo_url: str | None = None
    logo_alt: str = ""
    texts: ReaderTexts = OUR_WORDS

    @property
    def words(self) -> Language:
        """The language of our words on its pages."""
        return language_of(self.language)

    @property
    def shown_logo_url(self) -> str:
        """Empty without a logo, and for one that no content policy could allow."""
        return self.logo_url if self.logo_url is not None and _origin(self.logo_url) else ""

    @property
    def image_policy(self) -> str:
        """What its pages add to their content policy, so that the logo is shown; empty without a logo."""
        return f"; img-src 'self' {_origin(self.logo_url or '')}" if self.shown_logo_url else ""


def _origin(address: str) -> str:
    """Of an address over HTTPS; empty for any other."""
    found = _HTTPS.match(address)
    return "" if found is None else found[0]
