"""Which language readers are spoken to in, and how it writes dates and spans of time."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from broadsheet_common.languages import language as language_module
from broadsheet_common.languages.catalogue import Catalogue, CatalogueError, load_catalogues
from broadsheet_common.languages.language import LANGUAGES, Language, language_asked_for, language_of
from broadsheet_common.languages.local_forms import duration_in_words, long_date


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("de-AT", "de"), ("FR-ca", "fr"), ("es-419", "es"), ("en-GB", "en"), ("dea", "en"), ("", "en")],
)
def test_a_newsletters_tag_leads_to_the_language_of_our_words(tag: str, language: Language) -> None:
    assert language_of(tag) == language


def test_a_language_without_a_catalogue_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_module, "_noted", set())
    with capture_logs() as logs:
        assert [language_of(tag) for tag in ("it", "it-CH", "pt-BR", "it", "de")] == ["en", "en", "en", "en", "de"]
    assert [(one["event"], one["language"]) for one in logs] == [
        ("languages.no_catalogue", "it"),
        ("languages.no_catalogue", "pt"),
    ]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("it,fr;q=0.5,en;q=0.3", "fr"),
        ("en;q=0.2, es ; q=0.9", "en"),
        ("en;q=0.2,es;q=0.9", "es"),
        ("de;q=0,fr;q=0.1", "fr"),
        ("*", "en"),
        ("", "en"),
        ("de;q=2,de;q=x,;;,fr", "fr"),
    ],
)
def test_a_browser_gets_the_one_that_it_likes_best(header: str, language: Language) -> None:
    assert language_asked_for(header) == language


@given(st.text(max_size=600))
def test_any_header_gets_one_of_them(header: str) -> None:
    assert language_asked_for(header) in LANGUAGES


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("en", "6 January 2026"),
        ("en-US", "January 6, 2026"),
        ("de", "6. Januar 2026"),
        ("de-AT", "6. Jänner 2026"),
        ("de-XX", "6. Januar 2026"),
        ("fr", "6 janvier 2026"),
        ("es", "6 de enero de 2026"),
        ("it", "6 January 2026"),
        ("not a tag", "6 January 2026"),
    ],
)
def test_dates_follow_the_tag_and_are_english_where_our_words_are(tag: str, written: str) -> None:
    assert long_date(date(2026, 1, 6), tag) == written


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", ["0 seconds", "1 second", "1 minute", "2 hours", "7 days"]),
        ("de", ["0 Sekunden", "1 Sekunde", "1 Minute", "2 Stunden", "7 Tage"]),
        ("es", ["0 segundos", "1 segundo", "1 minuto", "2 horas", "7 días"]),
    ],
)
def test_spans_of_time_are_in_the_largest_unit_rounded_down(language: Language, written: list[str]) -> None:
    assert [duration_in_words(s, language) for s in (0, 1, 119, 7_200, 604_800)] == written


def test_a_catalogue_fills_in_values_and_leaves_unknown_texts_as_they_are() -> None:
    german = Catalogue("de", {"Leave %(newsletter)s": "%(newsletter)s abbestellen"})
    assert german("Leave %(newsletter)s", newsletter="100 % Post") == "100 % Post abbestellen"
    assert german("Something 100 %") == "Something 100 %"
    assert ("Leave %(newsletter)s" in german, "Something" in german) == (True, False)
    assert "Something" in Catalogue("en", {})


@pytest.mark.parametrize("content", [None, b'msgid "a"\nmsgstr "b', b"\xff\xfe", b"what is this"])
def test_a_catalogue_that_cannot_be_read_stops_the_start(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "words_of_test"
    (package / "catalogues").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if content is not None:
        (package / "catalogues/de.po").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CatalogueError, match=r"words_of_test: catalogues/de\.po"):
        load_catalogues("words_of_test")
