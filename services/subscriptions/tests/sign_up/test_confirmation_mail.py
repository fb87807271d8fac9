"""The confirmation mail: one link, the same twice, and nothing anybody typed into the form."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.languages.reader_texts import OUR_WORDS, ReaderTexts
from broadsheet_common.mail.notice_frame import MailLook
from broadsheet_subscriptions.sign_up.confirmation_mail import (
    ConfirmationMail,
    write_already_subscribed_mail,
    write_confirmation_mail,
)
from broadsheet_subscriptions.sign_up.confirmation_token import TOKEN_BYTES, hash_token, random_token

_ADDRESS = re.compile(r"https?://[^\s\"'<>]+|//[^\s\"'<>]+", re.IGNORECASE)
_VOID = {"meta", "br", "img"}


def write(
    *,
    name: str = "The Weekly",
    postal_address: str = "",
    language: str = "en",
    lifetime_s: int = 604_800,
    texts: ReaderTexts = OUR_WORDS,
) -> ConfirmationMail:
    return write_confirmation_mail(
        look=MailLook(name=name),
        postal_address=postal_address,
        texts=texts,
        language=language,
        public_url="https://news.example.com",
        token="abc_DEF-123",
        lifetime_s=lifetime_s,
    )


class _Reader(HTMLParser):
    """Balance of tags, links and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "background", "xmlns"} and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"title", "style"} & set(self.open):
            self.text += data


def test_there_is_exactly_one_link_and_it_is_the_same_in_html_and_text() -> None:
    mail = write()
    link = "https://news.example.com/subscriptions/confirm?subscription_token=abc_DEF-123"
    assert _ADDRESS.findall(mail.html_body) == [link]
    assert _ADDRESS.findall(mail.text_body) == [link]
    assert _Reader(mail.html_body).links == [link]


def test_it_names_the_newsletter_and_says_how_long_the_link_works() -> None:
    mail = write(lifetime_s=2 * 86_400)
    assert mail.subject == "Please confirm your subscription to The Weekly"
    for body in (_Reader(mail.html_body).text, mail.text_body):
        assert "The Weekly" in body
        assert "works for 2 days" in body


@pytest.mark.parametrize(
    ("lifetime_s", "words"),
    [(604_800, "7 days"), (86_400, "1 day"), (7_200, "2 hours"), (90, "1 minute"), (1, "1 second")],
)
def test_the_lifetime_in_words(lifetime_s: int, words: str) -> None:
    assert f"works for {words}." in write(lifetime_s=lifetime_s).text_body


def test_the_postal_address_stands_in_both_bodies_line_by_line() -> None:
    for mail in (
        write(postal_address="1 Main  Street\r\n\n 12345 Town"),
        write_already_subscribed_mail(look=MailLook("A"), postal_address="1 Main Street\n12345 Town", language="en"),
    ):
        assert "1 Main Street<br>12345 Town" in mail.html_body
        assert mail.text_body.endswith("\n1 Main Street\n12345 Town\n")


@given(st.text(min_size=1, max_size=200), st.text(max_size=200))
def test_no_name_or_address_of_a_newsletter_breaks_the_mail(name: str, postal_address: str) -> None:
    mail = write(name=name, postal_address=postal_address)
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    assert len(_Reader(mail.html_body).links) == 1
    assert mail.html_body.count("<a ") == 1


def test_tokens_are_long_random_and_kept_as_hashes() -> None:
    tokens = {random_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
    assert TOKEN_BYTES * 8 == 256
    assert len({hash_token(token) for token in tokens}) == 1_000
    assert all(len(hash_token(token)) == 32 for token in tokens)


@pytest.mark.parametrize(
    ("language", "subject", "words"),
    [
        ("de-AT", "Bitte bestätigen Sie Ihr Abonnement von The Weekly", "ist 2 Tage gültig"),
        ("fr", "Merci de confirmer votre abonnement à The Weekly", "valable 2\N{NO-BREAK SPACE}jours"),
        ("es", "Confirme su suscripción a The Weekly", "durante 2 días"),
        ("it", "Please confirm your subscription to The Weekly", "works for 2 days"),
    ],
)
def test_it_is_in_the_newsletters_language(language: str, subject: str, words: str) -> None:
    mail = write(language=language, lifetime_s=2 * 86_400)
    assert mail.subject == subject
    said = "en" if language == "it" else language[:2]
    assert f'<html lang="{said}">' in mail.html_body
    for body in (_Reader(mail.html_body).text, mail.text_body):
        assert words in body
    link = "https://news.example.com/subscriptions/confirm?subscription_token=abc_DEF-123"
    assert _ADDRESS.findall(mail.html_body) == [link]
    assert _ADDRESS.findall(mail.text_body) == [link]


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
@pytest.mark.parametrize("name", ["{name}", "%(lifetime)s", "100 %", "{", "<b>&amp;</b>", "{link}"])
def test_a_name_that_looks_like_a_place_for_one_is_shown_as_it_is(name: str, language: str) -> None:
    mails = [
        write(name=name, language=language),
        write_already_subscribed_mail(look=MailLook(name=name), postal_address="{address}", language=language),
    ]
    for mail in mails:
        assert name in mail.subject
        assert name in mail.text_body
        assert name in _Reader(mail.html_body).text


OWN = ReaderTexts(
    confirmation_mail_subject="One click, please",
    confirmation_mail_heading="Nearly <there>",
    confirmation_mail_text="We write once a week.\nOn Fridays.\n\nSee you {name}, 100 %.",
    confirmation_mail_button="Yes & please",
    already_subscribed_mail_subject="You are here",
    already_subscribed_mail_heading="Welcome back",
    already_subscribed_mail_text="Nothing to do.\n\nReally {nothing}.",
)


@pytest.mark.parametrize("language", ["en", "de", "tlh"])
def test_its_own_words_stand_in_the_place_of_ours_and_what_it_must_say_stays(language: str) -> None:
    ours, mail = write(language=language), write(language=language, texts=OWN)
    assert mail.subject == "One click, please"
    read = _Reader(mail.html_body).text
    for words in ("Nearly <there>", "We write once a week.", "On Fridays.", "See you {name}, 100 %."):
        assert words in read
        assert words in mail.text_body
    assert "Yes & please" in read
    assert "We write once a week.<br>On Fridays.<br><br>See you" in mail.html_body
    assert "We write once a week.\nOn Fridays.\n\nSee you" in mail.text_body
    # The link, how long it works, and what to do if it was not asked for.
    assert ours.text_body.rpartition("subscription_token=")[2] == mail.text_body.rpartition("subscription_token=")[2]


def test_its_own_words_tell_somebody_that_they_are_subscribed_already() -> None:
    look = MailLook(name="The Weekly")
    mail = write_already_subscribed_mail(look=look, postal_address="1 Street", language="en", texts=OWN)
    assert mail.subject == "You are here"
    for body in (_Reader(mail.html_body).text, mail.text_body):
        for words in ("Welcome back", "Nothing to do.", "Really {nothing}.", "If it was not you", "1 Street"):
            assert words in body
    assert _ADDRESS.findall(mail.html_body + mail.text_body) == []


@given(st.text(max_size=200), st.text(max_size=60))
def test_no_word_of_its_own_breaks_the_mail(text: str, button: str) -> None:
    own = ReaderTexts(
        confirmation_mail_heading=button, confirmation_mail_text=text, confirmation_mail_button=button,
        already_subscribed_mail_text=text,
    )  # fmt: skip
    mail = write(texts=own)
    assert len(_Reader(mail.html_body).links) == 1
    assert mail.html_body.count("<a ") == 1
    already = write_already_subscribed_mail(look=MailLook(name="A"), postal_address="", language="en", texts=own)
    assert _Reader(already.html_body).links == []
