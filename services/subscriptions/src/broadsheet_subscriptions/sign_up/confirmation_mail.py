"""Mails about a sign-up, pure: the one that asks to confirm, and the one to somebody who is already confirmed.

Each names the newsletter. The first holds exactly one link, the same in HTML and text; the second holds none.
They contain nothing the visitor typed: otherwise the form could be used to send a message to a stranger. The HTML
has no other URL (no namespace, image or font), so that mail clients and scanners find that one link.
"""

from functools import lru_cache
from html import escape

import msgspec

from broadsheet_common.mail.notice_mail import duration_in_words

CONFIRMATION_PATH = "/subscriptions/confirm"
_NEWSLETTERS_KEPT = 256
"""Rendering takes longer than the rest of writing a mail: its parts are kept for so many newsletters."""


class ConfirmationMail(msgspec.Struct, frozen=True):
    subject: str
    html_body: str
    text_body: str


def write_confirmation_mail(
    *, newsletter_name: str, postal_address: str, public_url: str, token: str, lifetime_s: int
) -> ConfirmationMail:
    """`token` is URL-safe; `public_url` has no trailing slash."""
    parts = _around_the_link(newsletter_name, postal_address, lifetime_s)
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
def _around_the_link(newsletter_name: str, postal_address: str, lifetime_s: int) -> _AroundTheLink:
    name = " ".join(newsletter_name.split())
    address = " ".join(postal_address.split())
    lifetime = duration_in_words(lifetime_s)
    html_name, html_address = escape(name), f"<br>{escape(address)}" if address else ""
    top, bottom = _HTML.split("{words}")
    before_button, after_button = _CONFIRM_BUTTON.split("{link}")
    text_before, text_after = _TEXT.split("{link}")
    html_before = top.format(
        title="Confirm your subscription",
        preview=f"Press the button to start getting {html_name}.",
        name=html_name,
        heading="One more step",
    )
    html_after = bottom.format(
        small=_CONFIRM_SMALL.format(name=html_name, lifetime=lifetime),
        address=html_address,
    )
    return _AroundTheLink(
        subject=f"Please confirm your subscription to {name}",
        html=(html_before + _CONFIRM_WORDS.format(name=html_name) + before_button, after_button + html_after),
        text=(
            text_before.format(name=name),
            text_after.format(name=name, lifetime=lifetime, address=f"\n{address}" if address else ""),
        ),
    )


@lru_cache(maxsize=_NEWSLETTERS_KEPT)
def write_already_subscribed_mail(*, newsletter_name: str, postal_address: str) -> ConfirmationMail:
    """No link: there is nothing to do. Every issue has a link to unsubscribe."""
    name = " ".join(newsletter_name.split())
    address = " ".join(postal_address.split())
    html_name = escape(name)
    return ConfirmationMail(
        subject=f"You are already subscribed to {name}",
        html_body=_HTML.format(
            title="You are already subscribed",
            preview=f"You get every issue of {html_name} already.",
            name=html_name,
            heading="You are already subscribed",
            words=_ALREADY_WORDS.format(name=html_name),
            small=_ALREADY_SMALL,
            address=f"<br>{escape(address)}" if address else "",
        ),
        text_body=_ALREADY_TEXT.format(name=name, address=f"\n{address}" if address else ""),
    )


_TEXT = """\
One more step
=============

Somebody, we hope you, asked to get {name} at this address.
To start getting it, open this page and press Confirm:

{link}

The link works for {lifetime}. If it was not you, do nothing:
without the confirmation you will not get {name}.

--
{name}{address}
"""

_ALREADY_TEXT = """\
You are already subscribed
==========================

Somebody, perhaps you, asked to get {name} at this address.
You get it already: every issue comes here, and there is nothing to do.

If it was not you, nothing has changed. To leave, use the link in any issue.

--
{name}{address}
"""

_CONFIRM_WORDS = """\
<tr><td style="padding:16px 36px 0 36px; font-family:Helvetica,Arial,sans-serif; font-size:16px; line-height:1.6;
 color:#33312c;">Somebody, we hope you, asked to get <strong>{name}</strong> at this address. Press the button to
 open the confirmation page.</td></tr>
"""

_CONFIRM_BUTTON = """\
<tr><td style="padding:28px 36px 28px 36px;">
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td bgcolor="#1f4d3a" style="background-color:#1f4d3a; border-radius:4px;"><a href="{link}"
 style="display:inline-block; padding:14px 28px; font-family:Helvetica,Arial,sans-serif; font-size:16px;
 font-weight:bold; color:#ffffff; text-decoration:none;">Confirm my subscription</a></td>
</tr></table>
</td></tr>
"""

_CONFIRM_SMALL = """\
The button works for {lifetime}. If it was not you, do nothing:
 without the confirmation you will not get {name}."""

_ALREADY_WORDS = """\
<tr><td style="padding:16px 36px 28px 36px; font-family:Helvetica,Arial,sans-serif; font-size:16px; line-height:1.6;
 color:#33312c;">Somebody, perhaps you, asked to get <strong>{name}</strong> at this address. You get it already: every
 issue comes here, and there is nothing to do.</td></tr>
"""

_ALREADY_SMALL = "If it was not you, nothing has changed. To leave, use the link in any issue."

_HTML = """\
<!DOCTYPE html>
<html lang="en">
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
