"""The frame of a mail that is not an issue: whose it is, a heading, words, at most one button, small print; pure.

A mail of a newsletter shows the newsletter's name or logo and its colour, as its issues do; an account's mail shows
neither. Nothing here is loaded from elsewhere except a newsletter's logo.
"""

from html import escape
from typing import Final

import msgspec

from broadsheet_common.languages.language import Language
from broadsheet_common.mail.readable_colour import best_on, readable

PREVIEW_PADDING: Final = "&#847;&zwnj;&nbsp;&#8199;&shy;" * 40
"""Invisible, so that a list of mails shows nothing of the body after a short preview."""
_PAPER: Final = "#ffffff"
_NIGHT: Final = "#211e1a"


class MailLook(msgspec.Struct, frozen=True):
    """Whose mail it is: `name` and `logo_alt` as typed, `accent_colour` as `#rrggbb`. Without a name it is the
    installation's.
    """

    name: str = ""
    accent_colour: str = "#1f4d3a"
    logo_url: str | None = None
    logo_alt: str = ""


INSTALLATION: Final = MailLook()


class FramedWords(msgspec.Struct, frozen=True):
    """`title`, `preview` (what lists of mails show after the subject) and `heading` are text, the others HTML."""

    title: str
    heading: str
    words_html: str
    small_html: str
    preview: str = ""


def frame(look: MailLook, language: Language, words: FramedWords) -> str:
    """A whole HTML document without a link."""
    return _top(look, language, words) + _bottom(words)


def frame_around_link(look: MailLook, language: Language, words: FramedWords, *, button: str) -> tuple[str, str]:
    """What stands before and after the address that the button opens. `button` is text."""
    accent = readable(look.accent_colour, _PAPER)
    before, after = _BUTTON.split("{link}")
    return (
        _top(look, language, words) + before.format(accent=accent),
        after.format(on_accent=best_on(accent), button=escape(button)) + _bottom(words),
    )


def _top(look: MailLook, language: Language, words: FramedWords) -> str:
    at_night = readable(look.accent_colour, _NIGHT)
    return _TOP.format(
        language=language,
        title=escape(words.title),
        night=_NIGHT,
        night_accent=at_night,
        on_night_accent=best_on(at_night),
        preview=_PREVIEW.format(preview=escape(words.preview) + PREVIEW_PADDING) if words.preview else "",
        paper=_PAPER,
        rule=readable(look.accent_colour, _PAPER),
        owner=_owner(look),
        heading=escape(words.heading),
        words=words.words_html,
    )


def _owner(look: MailLook) -> str:
    name = " ".join(look.name.split())
    if look.logo_url is not None:
        return _LOGO.format(url=escape(look.logo_url), alt=escape(" ".join(look.logo_alt.split()) or name))
    return _NAME.format(name=escape(name)) if name else ""


def _bottom(words: FramedWords) -> str:
    return _BOTTOM.format(small=words.small_html)


_PREVIEW: Final = '<div style="display:none; max-height:0; overflow:hidden;">{preview}</div>\n'

_NAME: Final = """\
<tr><td class="quiet" style="padding:24px 36px 0 36px; font-family:Georgia,'Times New Roman',serif; font-size:16px;
 line-height:1.4; font-weight:bold; color:#574f43;">{name}</td></tr>
"""

_LOGO: Final = """\
<tr><td style="padding:24px 36px 0 36px; font-family:Georgia,'Times New Roman',serif; font-size:16px;
 font-weight:bold;"><img src="{url}" alt="{alt}" width="160"
 style="display:block; border:0; width:160px; max-width:100%; height:auto;"></td></tr>
"""

_BUTTON: Final = """\
<tr><td style="padding:28px 36px 0 36px;">
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td class="press" bgcolor="{accent}" style="background-color:{accent}; border-radius:4px;"><a href="{link}"
 style="display:inline-block; padding:14px 28px; font-family:Helvetica,Arial,sans-serif; font-size:16px;
 font-weight:bold; color:{on_accent}; text-decoration:none;">{button}</a></td>
</tr></table>
</td></tr>
"""

# The look stands at the elements, for programs that drop style sheets; the sheet adds what dark mode needs.
_TOP: Final = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>
@media (prefers-color-scheme: dark) {{
.desk {{ background-color:#151310 !important; }}
.sheet {{ background-color:{night} !important; border-top-color:{night_accent} !important; }}
.head {{ color:#f3eee4 !important; }}
.words {{ color:#e9e3d8 !important; }}
.quiet {{ color:#b0a697 !important; border-color:#3a352d !important; }}
.press {{ background-color:{night_accent} !important; }}
.press a {{ color:{on_night_accent} !important; }}
}}
</style>
</head>
<body class="desk" style="margin:0; padding:0; background-color:#f1ece2; color:#26221c;">
{preview}<table role="presentation" class="desk" width="100%" cellpadding="0" cellspacing="0" border="0"
 style="background-color:#f1ece2;">
<tr><td align="center" style="padding:32px 16px;">
<table role="presentation" class="sheet" width="560" cellpadding="0" cellspacing="0" border="0"
 style="width:100%; max-width:560px; background-color:{paper}; border-top:4px solid {rule}; border-radius:4px;">
{owner}<tr><td class="head" style="padding:16px 36px 0 36px; font-family:Georgia,'Times New Roman',serif;
 font-size:28px; line-height:1.25; font-weight:bold; color:#26221c;">{heading}</td></tr>
<tr><td class="words" style="padding:16px 36px 0 36px; font-family:Helvetica,Arial,sans-serif; font-size:16px;
 line-height:1.6; color:#26221c;">{words}</td></tr>
"""

_BOTTOM: Final = """\
<tr><td style="padding:28px 36px 28px 36px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td class="quiet"
 style="padding:20px 0 0 0; border-top:1px solid #e0d8c8; font-family:Helvetica,Arial,sans-serif; font-size:13px;
 line-height:1.6; color:#645b4d;">{small}</td></tr></table>
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""
