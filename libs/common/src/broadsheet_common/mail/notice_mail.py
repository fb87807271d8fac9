"""Mails to one person about what is kept of them or done in their name: one look, at most one link; pure.

The link is the same in HTML and in text. The caller's texts hold nothing that a stranger typed.
"""

from html import escape

import msgspec

from broadsheet_common.languages.language import Language


class Mail(msgspec.Struct, frozen=True):
    subject: str
    html_body: str
    text_body: str


def write_mail(
    *, subject: str, title: str, text: str, after: str, button: str = "", link: str = "", language: Language = "en"
) -> Mail:
    """`language`: that of the texts."""
    text_link = f"{button}:\n{link}\n\n" if link else ""
    html_link = _BUTTON.format(link=escape(link), button=escape(button)) if link else ""
    return Mail(
        subject=subject,
        text_body=f"{title}\n{'=' * len(title)}\n\n{text}\n\n{text_link}{after}\n",
        html_body=_HTML.format(
            language=language, title=escape(title), text=escape(text), button=html_link, after=escape(after)
        ),
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
<html lang="{language}">
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
