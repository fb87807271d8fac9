"""Mails to one person about what is kept of them or done in their name: one look, at most one link; pure.

The link is the same in HTML and in text. The caller's texts hold nothing that a stranger typed.
"""

from html import escape

import msgspec

from broadsheet_common.languages.language import Language
from broadsheet_common.mail.notice_frame import INSTALLATION, FramedWords, MailLook, frame, frame_around_link


class Mail(msgspec.Struct, frozen=True):
    subject: str
    html_body: str
    text_body: str


def write_mail(
    *,
    subject: str,
    title: str,
    text: str,
    after: str,
    button: str = "",
    link: str = "",
    language: Language = "en",
    look: MailLook = INSTALLATION,
) -> Mail:
    """`language`: that of the texts. `look`: of the newsletter that the mail comes from, if it comes from one."""
    words = FramedWords(title=title, heading=title, words_html=escape(text), small_html=escape(after))
    if link:
        html = escape(link).join(frame_around_link(look, language, words, button=button))
    else:
        html = frame(look, language, words)
    text_link = f"{button}:\n{link}\n\n" if link else ""
    name = " ".join(look.name.split())
    text_end = f"\n--\n{name}\n" if name else ""
    return Mail(
        subject=subject,
        html_body=html,
        text_body=f"{title}\n{'=' * len(title)}\n\n{text}\n\n{text_link}{after}\n{text_end}",
    )
