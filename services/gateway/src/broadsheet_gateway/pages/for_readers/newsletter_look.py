"""What a newsletter looks like to readers: its name, language, colour and logo."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from broadsheet_common.languages.language import Language, language_of

ACCENT_COLOUR = "#7a1f1f"


class NewsletterLook(msgspec.Struct, frozen=True, kw_only=True):
    """`language` is the newsletter's tag (BCP 47), `accent_colour` `#rrggbb`. `page_path`: its sign-up form;
    `archive_path`: its sent issues, empty if they are not on the web.
    """

    newsletter_name: str
    page_path: str
    archive_path: str = ""
    description: str = ""
    language: str = "en"
    direction: Literal["ltr", "rtl"] = "ltr"
    accent_colour: str = ACCENT_COLOUR
    logo_url: str | None = None
    logo_alt: str = ""

    @property
    def words(self) -> Language:
        """The language of our words on its pages."""
        return language_of(self.language)

    @property
    def image_policy(self) -> str:
        """What its pages add to their content policy, so that the logo is shown; empty without a logo."""
        parts = urlsplit(self.logo_url or "")
        return f"; img-src 'self' {parts.scheme}://{parts.netloc}" if parts.scheme == "https" and parts.netloc else ""
