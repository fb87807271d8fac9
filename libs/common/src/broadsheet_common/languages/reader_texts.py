"""What a newsletter says to readers in its own words, in the place of ours.

Publishing keeps the texts, and its view `published_newsletters` passes them on; the gateway's pages and the mails of
subscriptions show them. What a page or mail must say is not among them: what people agree to, how long a link works,
what to do with a mail that was not asked for, and what a button to leave does.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

_BETWEEN: Final = re.compile(r"\n\s*\n")


class ReaderTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Plain text in the newsletter's language; an empty one means our own words. `…_text`: paragraphs, with an empty
    line between them; the others are one line.

    `check_inbox_…`: the page after the sign-up form. `confirmation_mail_…`: the mail that asks to confirm. `confirm_…`:
    the page that its link opens. `confirmed_…`: the page after that. `already_subscribed_mail_…`: the mail to somebody
    who signs up again. `unsubscribe_…` and `unsubscribed_…`: the pages before and after leaving. `archive_heading`:
    over the list of issues. `promise_…`: the three promises under the sign-up form.
    """

    check_inbox_heading: str = ""
    check_inbox_text: str = ""
    confirmation_mail_subject: str = ""
    confirmation_mail_heading: str = ""
    confirmation_mail_text: str = ""
    confirmation_mail_button: str = ""
    confirm_heading: str = ""
    confirm_text: str = ""
    confirm_button: str = ""
    confirmed_heading: str = ""
    confirmed_text: str = ""
    already_subscribed_mail_subject: str = ""
    already_subscribed_mail_heading: str = ""
    already_subscribed_mail_text: str = ""
    unsubscribe_heading: str = ""
    unsubscribe_text: str = ""
    unsubscribed_heading: str = ""
    unsubscribed_text: str = ""
    archive_heading: str = ""
    promise_1_heading: str = ""
    promise_1_text: str = ""
    promise_2_heading: str = ""
    promise_2_text: str = ""
    promise_3_heading: str = ""
    promise_3_text: str = ""


OUR_WORDS: Final = ReaderTexts()
"""None of its own."""


def stored_texts(stored: Mapping[str, str]) -> ReaderTexts:
    """From the column `texts` of a newsletter. A name that is not known here is left out."""
    return msgspec.convert(stored, ReaderTexts) if stored else OUR_WORDS


def paragraphs(text: str) -> list[str]:
    """Of a `…_text`; a line break alone stays one."""
    return [part.strip() for part in _BETWEEN.split(text.replace("\r\n", "\n")) if part.strip()]
