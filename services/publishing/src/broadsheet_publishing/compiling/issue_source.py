"""What an author wrote, and what the newsletter adds to it; pure. The input of the compiler."""

from typing import Final, Literal

import msgspec

Format = Literal["markdown", "html", "mjml", "text"]
Direction = Literal["ltr", "rtl"]
LayoutFormat = Literal["html", "mjml"]

CONTENT_BYTES_MAX: Final = 5_000_000
"""Postmark takes 5 MB (5,242,880 bytes) a body; the rest is for the footer and for merged values."""
RAW_LINE_CHARS_MAX: Final = 10_000
"""Longer titles, subjects and preheaders are refused before they are looked at."""
CONTENT_PLACE = "{{ content }}"
"""Where a layout takes the issue's content, once. Blanks inside the braces do not matter."""


class IssueSource(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an issue as its author wrote them. All are Liquid templates of the language of `mail_template`.

    `subject` None: the title is the subject. `text_content` None: the plain text is made from `content`. `without`:
    merge fields that these parts may not use; a layout may, and shows nothing for them.
    """

    title: str
    subject: str | None = None
    preheader: str = ""
    format: Format = "markdown"
    content: str
    text_content: str | None = None
    without: frozenset[str] = frozenset()


class Layout(msgspec.Struct, frozen=True):
    """What wraps the content of a Markdown issue: a whole HTML or MJML document with one `CONTENT_PLACE`."""

    format: LayoutFormat
    source: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A newsletter's own look, for the layout that ships, and for `lang` and `dir` of every mail.

    Colours are `#rrggbb`. `has_archive`: mails have an address on the web, and the layout links to it.
    """

    newsletter_name: str
    postal_address: str
    language: str = "en"
    direction: Direction = "ltr"
    accent_colour: str = "#7a1f1f"
    logo_url: str | None = None
    logo_alt: str = ""
    has_archive: bool = False
