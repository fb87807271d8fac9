"""Mails about a sign-up, pure: the one that asks to confirm, and the one to somebody who is already confirmed.

Each names the newsletter, in the newsletter's language, and in its own words where it has some. The first holds
exactly one link, the same in HTML and text; the second holds none. They contain nothing the visitor typed: otherwise
the form could be used to send a message to a stranger. The HTML has no other URL (no namespace or font) but that of the
newsletter's logo, if it has one, so that mail clients and scanners find that one link.
"""

from functools import lru_cache
from html import escape

import msgspec

from broadsheet_common.languages.language import language_of
from broadsheet_common.languages.local_forms import duration_in_words
from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts, paragraphs
from broadsheet_common.mail.notice_frame import FramedWords, MailLook, frame, frame_around_link
from broadsheet_subscriptions.mail_words import CATALOGUES

CONFIRMATION_PATH = "/subscriptions/confirm"
_NEWSLETTERS_KEPT = 256
"""Rendering takes longer than the rest of writing a mail: its parts are kept for so many newsletters."""


class ConfirmationMail(msgspec.Struct, frozen=True):
    subject: str
    html_body: str
    text_body: str


def write_confirmation_mail(
    *,
    look: MailLook,
    postal_address: str,
    language: str,
    public_url: str,
    token: str,
    lifetime_s: int,
    texts: ReaderTexts = OUR_WORDS,
) -> ConfirmationMail:
    """`look` and `texts`: the newsletter's; `language`: its tag. `token` is URL-safe; `public_url` has no trailing
    slash.
    """
    parts = _around_the_link(look, postal_address, language, lifetime_s, texts)
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
def _around_the_link(
    look: MailLook, postal_address: str, language_tag: str, lifetime_s: int, texts: ReaderTexts
) -> _AroundTheLink:
    language = language_of(language_tag)
    translate = CATALOGUES[language]
    name = " ".join(look.name.split())
    address = _lines_of(postal_address)
    heading = texts.confirmation_mail_heading or translate("One more step")
    asked = translate("Somebody, we hope you, asked to get %(newsletter)s at this address.", newsletter="{name}")
    small = translate(
        "The link works for %(lifetime)s. If it was not you, do nothing: without the confirmation you will not get "
        "%(newsletter)s.",
        lifetime=duration_in_words(lifetime_s, language),
        newsletter="{name}",
    )
    press = translate("Press the button to open the confirmation page.")
    own = texts.confirmation_mail_text
    words = FramedWords(
        title=translate("Confirm your subscription"),
        preview=translate("Press the button to start getting %(newsletter)s.", newsletter=name),
        heading=heading,
        words_html=_own_html(own) if own else f"{_with_name(asked, name)} {escape(press)}",
        small_html=escape(small).format(name=escape(name)) + _html_address(address),
    )
    return _AroundTheLink(
        subject=texts.confirmation_mail_subject
        or translate("Please confirm your subscription to %(newsletter)s", newsletter=name),
        html=frame_around_link(
            look, language, words, button=texts.confirmation_mail_button or translate("Confirm my subscription")
        ),
        text=(
            _text_heading(heading)
            + (f"{_own_text(own)}\n\n" if own else asked.format(name=name) + "\n")
            + translate("To start getting it, open this page and press the button:")
            + "\n\n",
            "\n\n" + small.format(name=name) + _text_end(name, address),
        ),
    )


@lru_cache(maxsize=_NEWSLETTERS_KEPT)
def write_already_subscribed_mail(
    *, look: MailLook, postal_address: str, language: str, texts: ReaderTexts = OUR_WORDS
) -> ConfirmationMail:
    """No link: there is nothing to do. Every issue has a link to unsubscribe. `look` and `texts`: the newsletter's;
    `language`: its tag.
    """
    known = language_of(language)
    translate = CATALOGUES[known]
    name = " ".join(look.name.split())
    address = _lines_of(postal_address)
    heading = texts.already_subscribed_mail_heading or translate("You are already subscribed")
    own = texts.already_subscribed_mail_text
    asked = translate(
        "Somebody, perhaps you, asked to get %(newsletter)s at this address. You get it already: every issue comes "
        "here, and there is nothing to do.",
        newsletter="{name}",
    )
    small = translate("If it was not you, nothing has changed. To leave, use the link in any issue.")
    return ConfirmationMail(
        subject=texts.already_subscribed_mail_subject
        or translate("You are already subscribed to %(newsletter)s", newsletter=name),
        html_body=frame(
            look,
            known,
            FramedWords(
                title=heading,
                preview=translate("You get every issue of %(newsletter)s already.", newsletter=name),
                heading=heading,
                words_html=_own_html(own) if own else _with_name(asked, name),
                small_html=escape(small) + _html_address(address),
            ),
        ),
        text_body=_text_heading(heading)
        + (_own_text(own) if own else asked.format(name=name))
        + f"\n\n{small}"
        + _text_end(name, address),
    )


def _with_name(sentence: str, name: str) -> str:
    """A sentence with `{name}` in it as HTML, with the newsletter's name in bold."""
    return escape(sentence).format(name=f"<strong>{escape(name)}</strong>")


def _own_html(text: str) -> str:
    return "<br><br>".join(escape(part).replace("\n", "<br>") for part in paragraphs(text))


def _own_text(text: str) -> str:
    return "\n\n".join(paragraphs(text))


def _lines_of(postal_address: str) -> list[str]:
    return [words for line in postal_address.splitlines() if (words := " ".join(line.split()))]


def _html_address(address: list[str]) -> str:
    return "".join(f"<br>{escape(line)}" for line in address)


def _text_heading(heading: str) -> str:
    return f"{heading}\n{'=' * len(heading)}\n\n"


def _text_end(name: str, address: list[str]) -> str:
    return f"\n\n--\n{name}\n" + "".join(f"{line}\n" for line in address)
