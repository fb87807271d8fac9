"""Mails about a subscriber's own data, pure: the link to the preference page, the request to confirm a new address,
the notice to the old address.

They contain no text that anybody typed, except an address the reader has or had, so that nobody can use them to
send a message to a stranger. Each has at most one link, the same in HTML and text.
"""

from html import escape

import msgspec

from broadsheet_subscriptions.sign_up.confirmation_mail import duration_in_words

PREFERENCES_PATH = "/preferences/"
ADDRESS_CHANGE_PATH = "/change-of-address/"


class Mail(msgspec.Struct, frozen=True):
    subject: str
    html_body: str
    text_body: str


def write_link_mail(*, public_url: str, token: str, lifetime_s: int) -> Mail:
    """`token` is URL-safe; `public_url` has no trailing slash."""
    return _mail(
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
    return _mail(
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
        return _mail(
            subject="Your newsletters go to another address now",
            title="Your address was changed",
            text=(
                "Your newsletters go to another address from now on, as was asked for with a link from this mailbox. "
                "The other address was confirmed."
            ),
            after="If it was not you, answer the newsletter that you got last: its sender can help.",
        )
    return _mail(
        subject="Somebody asked to change your address",
        title="A new address was entered",
        text=(
            "Somebody, we hope you, asked for your newsletters to go to another address. It happens once the other "
            "address is confirmed."
        ),
        after="If it was not you, answer the newsletter that you got last: its sender can help.",
    )


def _mail(*, subject: str, title: str, text: str, after: str, button: str = "", link: str = "") -> Mail:
    text_link = f"{button}:\n{link}\n\n" if link else ""
    html_link = _BUTTON.format(link=escape(link), button=escape(button)) if link else ""
    return Mail(
        subject=subject,
        text_body=f"{title}\n{'=' * len(title)}\n\n{text}\n\n{text_link}{after}\n",
        html_body=_HTML.format(title=escape(title), text=escape(text), button=html_link, after=escape(after)),
    )


_BUTTON = """\
<tr><td style="padding:28px 36px 0 36px;">
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td bgcolor="#1f4d3a" style="background-color:#1f4d3a; border-radius:4px;"><a href="{link}"
 style="display:inline-block; padding:14px 28px; font-family:Helvetica,Arial,sans-serif; font-size:16px;
 font-weight:bold; color:#ffffff; text-decoration:none;">{button}</a></td>
</tr></table>
</td></tr>
"""

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
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="background-color:#f4f1ea;">
<tr><td align="center" style="padding:32px 16px;">
<table role="presentation" width="560" cellpadding="0" cellspacing="0" border="0"
 style="width:100%; max-width:560px; background-color:#ffffff; border-top:4px solid #1d1c1a;">
<tr><td style="padding:28px 36px 0 36px; font-family:Georgia,'Times New Roman',serif; font-size:28px;
 line-height:1.25; font-weight:bold; color:#1d1c1a;">{title}</td></tr>
<tr><td style="padding:16px 36px 0 36px; font-family:Helvetica,Arial,sans-serif; font-size:16px; line-height:1.6;
 color:#33312c;">{text}</td></tr>
{button}<tr><td style="padding:28px 36px 28px 36px; font-family:Helvetica,Arial,sans-serif;
 font-size:13px; line-height:1.6; color:#6b6557;">{after}</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""
