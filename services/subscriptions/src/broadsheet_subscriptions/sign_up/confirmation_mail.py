"""Mails about a sign-up, pure: the one that asks to confirm, and the one to somebody who is already confirmed.

Each names the newsletter, in the newsletter's language. The first holds exactly one link, the same in HTML and text;
the second holds none. They contain nothing the visitor typed: otherwise the form could be used to send a message to a
stranger. The HTML has no other URL (no namespace, image or font), so that mail clients and scanners find that one link.
"""

from functools import lru_cache
from html import escape

import msgspec

from broadsheet_common.languages.language import language_of
from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_subscriptions.mail_words import CATALOGUES

CONFIRMATION_PATH = "/subscriptions/confirm"
_NEWSLETTERS_KEPT = 256
"""Rendering takes longer than the rest of writing a mail: its parts are kept for so many newsletters."""


class ConfirmationMail(msgspec.Struct, frozen=True):
    subject: str
    html_body: str
    text_body: str


def write_confirmation_mail(
    *, newsletter_name: str, postal_address: str, language: str, public_url: str, token: str, lifetime_s: int
) -> ConfirmationMail:
    """`language`: the newsletter's tag. `token` is URL-safe; `public_url` has no trailing slash."""
    parts = _around_the_link(newsletter_name, postal_address, language, lifetime_s)
    link = f"{public_url}{CONFIRMATION_PATH}?subscription_token={token}"
    return ConfirmationMail(
        subject=parts.subject,
        html_body=escape(link).join(parts.html),
        text_body=link.join(parts.text),
    )


class _AroundTheLink(msgspec.Struct, frozen=True):
    """What every mail of a newsletter shares: what stands before the link, and what stands after it."""

    subject: str
    html: tuple[str, str]
    text: tuple[str, str]


@lru_cache(maxsize=_NEWSLETTERS_KEPT)
def _around_the_link(newsletter_name: str, postal_address: str, language_tag: str, lifetime_s: int) -> _AroundTheLink:
    language = language_of(language_tag)
    translate = CATALOGUES[language]
    name = " ".join(newsletter_name.split())
    address = " ".join(postal_address.split())
    heading = translate("One more step")
    asked = translate("Somebody, we hope you, asked to get %(newsletter)s at this address.", newsletter="{name}")
    small = translate(
        "The link works for %(lifetime)s. If it was not you, do nothing: without the confirmation you will not get "
        "%(newsletter)s.",
        lifetime=duration_in_words(lifetime_s, language),
        newsletter="{name}",
    )
    press = translate("Press the button to open the confirmation page.")
    top, bottom = _HTML.split("{words}")
    before_button, after_button = _BUTTON.split("{link}")
    html_before = top.format(
        language=language,
        title=escape(translate("Confirm your subscription")),
        preview=escape(translate("Press the button to start getting %(newsletter)s.", newsletter=name)),
        name=escape(name),
        heading=escape(heading),
    )
    words = _WORDS.format(bottom_px=0, words=f"{_with_name(asked, name)} {escape(press)}")
    html_after = bottom.format(small=escape(small).format(name=escape(name)), address=_html_address(address))
    return _AroundTheLink(
        subject=translate("Please confirm your subscription to %(newsletter)s", newsletter=name),
        html=(
            html_before + words + before_button,
            after_button.format(button=escape(translate("Confirm my subscription"))) + html_after,
        ),
        text=(
            _text_heading(heading)
            + asked.format(name=name)
            + "\n"
            + translate("To start getting it, open this page and press the button:")
            + "\n\n",
            "\n\n" + small.format(name=name) + _text_end(name, address),
        ),
    )


@lru_cache(maxsize=_NEWSLETTERS_KEPT)
def write_already_subscribed_mail(*, newsletter_name: str, postal_address: str, language: str) -> ConfirmationMail:
    """No link: there is nothing to do. Every issue has a link to unsubscribe. `language`: the newsletter's tag."""
    known = language_of(language)
    translate = CATALOGUES[known]
    name = " ".join(newsletter_name.split())
    address = " ".join(postal_address.split())
    heading = translate("You are already subscribed")
    asked = translate(
        "Somebody, perhaps you, asked to get %(newsletter)s at this address. You get it already: every issue comes "
        "here, and there is nothing to do.",
        newsletter="{name}",
    )
    small = translate("If it was not you, nothing has changed. To leave, use the link in any issue.")
    return ConfirmationMail(
        subject=translate("You are already subscribed to %(newsletter)s", newsletter=name),
        html_body=_HTML.format(
            language=known,
            title=escape(heading),
            preview=escape(translate("You get every issue of %(newsletter)s already.", newsletter=name)),
            name=escape(name),
            heading=escape(heading),
            words=_WORDS.format(bottom_px=28, words=_with_name(asked, name)),
            small=escape(small),
            address=_html_address(address),
        ),
        text_body=_text_heading(heading) + asked.format(name=name) + f"\n\n{small}" + _text_end(name, address),
    )


def _with_name(sentence: str, name: str) -> str:
    """A sentence with `{name}` in it as HTML, with the newsletter's name in bold."""
    return escape(sentence).format(name=f"<strong>{escape(name)}</strong>")


def _html_address(address: str) -> str:
    return f"<br>{escape(address)}" if address else ""


def _text_heading(heading: str) -> str:
    return f"{heading}\n{'=' * len(heading)}\n\n"


def _text_end(name: str, address: str) -> str:
    return f"\n\n--\n{name}\n" + (f"{address}\n" if address else "")


_WORDS = """\
<tr><td style="padding:16px 36px {bottom_px}px 36px; font-family:Helvetica,Arial,sans-serif; font-size:16px;
 line-height:1.6; color:#33312c;">{words}</td></tr>
"""

_BUTTON = """\
<tr><td style="padding:28px 36px 28px 36px;">
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td bgcolor="#1f4d3a" style="background-color:#1f4d3a; border-radius:4px;"><a href="{link}"
 style="display:inline-block; padding:14px 28px; font-family:Helvetica,Arial,sans-serif; font-size:16px;
 font-weight:bold; color:#ffffff; text-decoration:none;">{button}</a></td>
</tr></table>
</td></tr>
"""

_HTML = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{title}</title>
</head>
<body style="margin:0; padding:0; background-color:#f4f1ea; color:#1d1c1a;">
<div style="display:none; max-height:0; overflow:hidden;">{preview}</div>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="background-color:#f4f1ea;">
<tr><td align="center" style="padding:32px 16px;">
<table role="presentation" width="560" cellpadding="0" cellspacing="0" border="0"
 style="width:100%; max-width:560px; background-color:#ffffff; border-top:4px solid #1d1c1a;">
<tr><td style="padding:28px 36px 0 36px; font-family:Georgia,'Times New Roman',serif; font-size:15px;
 letter-spacing:0.02em; color:#6b6557;">{name}</td></tr>
<tr><td style="padding:12px 36px 0 36px; font-family:Georgia,'Times New Roman',serif; font-size:28px;
 line-height:1.25; font-weight:bold; color:#1d1c1a;">{heading}</td></tr>
{words}<tr><td style="padding:20px 36px 28px 36px; border-top:1px solid #e6e1d6; font-family:Helvetica,Arial,sans-serif;
 font-size:13px; line-height:1.6; color:#6b6557;">{small}{address}</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""
