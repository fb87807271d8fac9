"""Pages for readers in a language hold nothing of another one, but what their newsletter's author wrote."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import msgspec
import pytest

from broadsheet_common.contracts.consent_wording import current_wording
from broadsheet_common.languages.language import LANGUAGES, Language
from broadsheet_common.languages.local_forms import long_date
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.for_readers.faults import TEXTS_OF_SERVICES, in_words, known_words
from broadsheet_gateway.pages.for_readers.words import CATALOGUES
from broadsheet_gateway.pages.preview_samples import sample_pages
from broadsheet_gateway.pages.views import ErrorPage, HomePage, PageView, ReaderPageView
from broadsheet_gateway.sign_up.tracking_notice import tracking_notice

_SAID_TO_READERS = {"aria-label", "alt", "title", "placeholder", "content", "data-label", "data-done", "data-failed"}
_SAID_BY_META = {"description", "og:title", "og:description"}
_SAME_EVERYWHERE = ("Broadsheet", "API", "HTTP", "JSON")
_TAG = re.compile(r"<[^>]+>")
_PLACEHOLDER = re.compile(r"%\\\((\w+)\\\)s")
_TRANSLATED = [language for language in LANGUAGES if language != "en"]


class _Texts(HTMLParser):
    """What a page says: its texts, and the attributes that are read out."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._around: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in {"meta", "link", "input", "br", "hr", "img"}:
            self._around.append(tag)
        if tag == "meta" and {named.get("name"), named.get("property")}.isdisjoint(_SAID_BY_META):
            return
        self.found += [value for name, value in attrs if name in _SAID_TO_READERS and value]

    def handle_endtag(self, tag: str) -> None:
        assert self._around.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" not in self._around and data.strip():
            self.found.append(data)


def _data(value: object) -> Iterator[str]:
    """Every text in a view, and the dates as its pages write them."""
    if isinstance(value, str):
        yield from (" ".join(part.split()) for part in (value, *value.split("\n\n")))
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _data(getattr(value, name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _data(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _data(one)


def _in_language(view: ReaderPageView, language: Language) -> ReaderPageView:
    """The same page of a newsletter in this language, with our words for what the samples hold of them."""
    look = None if view.look is None else msgspec.structs.replace(view.look, language=language, direction="ltr")
    changed = msgspec.structs.replace(view, look=look, asked=language)
    if isinstance(changed, HomePage):
        wording = current_wording(language)
        proof = msgspec.structs.replace(changed.proof, wording_version=wording.version, wording=wording.text)
        tracking = tracking_notice(opens=True, links=True, language=language) if changed.tracking else ""
        changed = msgspec.structs.replace(changed, proof=proof, tracking=tracking)
    return changed


def _dates(view: PageView, language: Language) -> Iterator[str]:
    for moment in [getattr(view, "published_at", None)] + [
        one.published_at for one in (*getattr(view, "issues", ()), *getattr(view, "items", ()))
    ]:
        if moment is not None:
            yield long_date(moment, language)


def _allowed(view: ReaderPageView, language: Language) -> re.Pattern[str]:
    data = sorted({text for text in (*_data(view), *_dates(view, language)) if text}, key=len, reverse=True)
    one_of_data = "|".join(map(re.escape, data)) or "(?!)"
    ours = {
        _PLACEHOLDER.sub(f"(?:{one_of_data})", re.escape(piece.strip()))
        for text in CATALOGUES[language].texts
        for piece in _TAG.split(text)
        if piece.strip()
    }
    alternatives = "|".join([*sorted(ours, key=len, reverse=True), one_of_data, *_SAME_EVERYWHERE])
    return re.compile(rf"(?:{alternatives}|[\s·:;,.!?…↩0-9%]|\b[A-Z]\b)*")


_READERS = {
    name: view
    for name, view in sample_pages().items()
    if isinstance(view, ReaderPageView) and view.signed_in is None and not isinstance(view, ErrorPage)
}


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.mark.parametrize("language", _TRANSLATED)
@pytest.mark.parametrize("name", _READERS)
def test_a_page_has_nothing_but_the_catalogues_words_and_its_newsletters(
    name: str, language: Language, pages: Pages
) -> None:
    view = _READERS[name]
    translated = _in_language(view, language)
    html = pages.render(translated)
    # What an author wrote is theirs.
    html = re.sub(r'<div class="mail.*?</div>\n', "", html, flags=re.DOTALL)
    allowed = _allowed(translated, language)
    left = [text.strip() for text in _Texts(html).found if allowed.fullmatch(" ".join(text.split())) is None]
    assert left == []


@pytest.mark.parametrize("language", _TRANSLATED)
def test_an_english_word_that_is_left_would_be_found(language: Language, pages: Pages) -> None:
    view = _READERS["confirmed"]
    assert view.look is not None
    english = msgspec.structs.replace(view, look=msgspec.structs.replace(view.look, language="en"))
    allowed = _allowed(_in_language(view, language), language)
    left = [text for text in _Texts(pages.render(english)).found if allowed.fullmatch(" ".join(text.split())) is None]
    assert "Your subscription is confirmed" in left


@pytest.mark.parametrize("language", _TRANSLATED)
def test_an_error_is_told_in_the_language_whatever_a_service_says(language: Language, pages: Pages) -> None:
    for text in sorted(TEXTS_OF_SERVICES):
        assert known_words(text, language, "unknown") not in {text, "unknown"}
    told = in_words(
        {"email": "A text that no catalogue has.", "name": "A name is needed.", "other": "Nor this."}, language
    )
    assert [text for text in told.values() if "catalogue" in text or "needed" in text or "Nor" in text] == []
    assert all(told.values())
    page = ErrorPage(status=404, title=known_words("Not found", language), asked=language)
    html = pages.render(page)
    assert f'<html lang="{language}">' in html
    assert "To the home page" not in html


def test_english_stays_as_the_service_said_it() -> None:
    assert in_words({"email": "A text that no catalogue has."}, "en") == {"email": "A text that no catalogue has."}
