"""What a draft may hold: anything that can be kept, and no title that could break a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX
from broadsheet_publishing.compiling.issue_source import CONTENT_BYTES_MAX
from broadsheet_publishing.drafts.draft import parse_draft

LINES = pytest.mark.parametrize("field", ["title", "subject", "preheader"])


def parse(field: str, text: str) -> object:
    return parse_draft({field: text})[field]


def fault(field: str, text: str) -> str:
    with pytest.raises(InvalidInputError) as raised:
        parse_draft({field: text})
    (problem,) = raised.value.errors
    assert problem.pointer == f"/{field}"
    return problem.detail


@pytest.mark.parametrize(
    "title",
    ["", "A", "Größe & Maß", "🎉", "\U0001fadc", "Re: {{ subscriber.name }}", "50 % {off}", "{% if", "x" * 2_000],
)
def test_any_line_is_kept(title: str) -> None:
    assert parse("title", title) == title


@LINES
def test_a_line_is_trimmed(field: str) -> None:
    assert parse(field, "\u00a0 The first issue ") == "The first issue"


@LINES
@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud83d"])
@pytest.mark.parametrize("form", ["Title{}Bcc: eve@example.com", "{}Title", "Title{}"])
def test_lines_that_could_break_a_header_are_refused(field: str, char: str, form: str) -> None:
    assert fault(field, form.format(char)) == "It may not hold line breaks or control characters."


@pytest.mark.parametrize(("char", "units"), [("a", 1), ("é", 1), ("語", 1), ("🎉", 2)])
def test_the_length_of_a_title_is_counted_in_utf_16_units(char: str, units: int) -> None:
    longest = char * (SUBJECT_UTF16_UNITS_MAX // units)
    assert parse("title", f" {longest} ") == longest
    assert "at most 2000 characters" in fault("title", longest + char)


@given(st.text(max_size=60))
def test_whatever_title_is_accepted_fits_one_header_line_and_parses_to_itself(raw: str) -> None:
    try:
        title = str(parse("title", raw))
    except InvalidInputError:
        return
    assert title.splitlines() in ([title], [])
    assert parse("title", title) == title


@pytest.mark.parametrize("field", ["content", "text_content"])
def test_content_is_kept_as_it_is(field: str) -> None:
    text = "<p>{{ subscriber.nobody }} {% if %}</p>\r\n<style>a{b:c}</style>\u202e"
    assert parse(field, text) == text


@pytest.mark.parametrize("field", ["content", "text_content"])
@pytest.mark.parametrize("text", ["a\0b", "a\ud800"])
def test_content_that_cannot_be_stored_is_refused(field: str, text: str) -> None:
    assert fault(field, text) == "Content may not hold a NUL character or an unpaired surrogate."


@pytest.mark.parametrize("field", ["content", "text_content"])
def test_the_size_of_content_is_bounded_in_bytes(field: str) -> None:
    longest = "é" * (CONTENT_BYTES_MAX // 2)
    assert parse(field, longest) == longest
    assert fault(field, longest + "é") == "Content may be at most 5000000 bytes; this is 5000002."


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_draft({"title": "a\nb", "slug": "?", "content": "\0", "preheader": "fine", "format": "html"})
    assert [problem.pointer for problem in raised.value.errors] == ["/title", "/slug", "/content"]
