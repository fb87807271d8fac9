"""What an issue may hold, and which status it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.problems import InvalidInputError
from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX
from broadsheet_publishing.issues.issue import (
    CONTENT_BYTES_MAX,
    IssueContent,
    Progress,
    RunState,
    StoredStatus,
    status_of,
)


def parse(title: str = "Title", html_content: str = "<p>Hello</p>", text_content: str = "Hello") -> IssueContent:
    return IssueContent.parse(title=title, html_content=html_content, text_content=text_content)


def faults(**fields: str) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as raised:
        parse(**fields)
    return {problem.pointer: problem.detail for problem in raised.value.errors}


@pytest.mark.parametrize(
    "title", ["A", "Größe & Maß", "🎉", "\U0001fadc", "Re: {{ subscriber.name }}", "50 % {off}", "x" * 2_000]
)
def test_ordinary_titles_are_accepted(title: str) -> None:
    assert parse(title=title).title == title


@pytest.mark.parametrize(
    "title", ["{{ not.a.variable }}", "{{ unsubscribe_url }}", "{{ issue.title }}", "{{ x", "{% if %}"]
)
def test_a_title_that_cannot_be_merged_is_refused_as_a_body_is(title: str) -> None:
    assert faults(title=title)["/title"].startswith("The template is not valid. ")


def test_a_body_that_is_hidden_as_a_whole_is_refused() -> None:
    found = faults(html_content="<html><body style='display:none'><p>Hi</p></body></html>")
    assert "nobody would see how to unsubscribe" in found["/html_content"]


def test_work_that_is_hidden_in_a_branch_is_found() -> None:
    heavy = "{% assign a = 'x' | append: newsletter.name %}" + "{% assign a = a | append: a %}" * 9
    source = heavy + "{% if subscriber.name != 'Ada Lovelace' %}" + "{{ a }}" * 400 + "{% endif %}"
    assert "too much work" in faults(text_content=source)["/text_content"]


def test_a_title_is_trimmed() -> None:
    assert parse(title="\u00a0 The first issue ").title == "The first issue"


@pytest.mark.parametrize("title", ["", "   ", "\u00a0\u2003", "\u200b\ufeff"])
def test_blank_titles_are_refused(title: str) -> None:
    assert faults(title=title) == {"/title": "A title is needed."}


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud83d"])
@pytest.mark.parametrize("form", ["Title{}Bcc: eve@example.com", "{}Title", "Title{}"])
def test_titles_that_could_break_a_header_are_refused(char: str, form: str) -> None:
    assert faults(title=form.format(char)) == {"/title": "A title may not hold line breaks or control characters."}


@pytest.mark.parametrize(("char", "units"), [("a", 1), ("é", 1), ("語", 1), ("🎉", 2)])
def test_the_length_of_a_title_is_counted_in_utf_16_units(char: str, units: int) -> None:
    longest = char * (SUBJECT_UTF16_UNITS_MAX // units)
    assert parse(title=f" {longest} ").title == longest
    assert "at most 2000 characters" in faults(title=longest + char)["/title"]


@given(st.text(max_size=60))
def test_whatever_title_is_accepted_fits_one_header_line_and_parses_to_itself(raw: str) -> None:
    try:
        title = parse(title=raw).title
    except InvalidInputError:
        return
    assert title
    assert title.splitlines() == [title]
    assert parse(title=title).title == title


@pytest.mark.parametrize("field", ["html_content", "text_content"])
@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("", "Content is needed."),
        (" \n\t", "Content is needed."),
        ("a\0b", "Content may not hold a NUL character or an unpaired surrogate."),
        ("a\ud800", "Content may not hold a NUL character or an unpaired surrogate."),
        ("one\n{{ subscriber.name", "The template is not valid. Line 2: `{{` is not closed within 500 characters"),
        ("{% for x in y %}", "The template is not valid. Line 1: there is no tag `for`"),
        (
            "one\ntwo {{ subscriber.nmae }}",
            (
                "Line 2: there is no variable `subscriber.nmae`. There are: {{ issue.published_on }}, "
                "{{ issue.title }}, {{ newsletter.name }}, {{ newsletter.postal_address }}, {{ newsletter.slug }}, "
                "{{ preferences_url }}, {{ subscriber.email }}, {{ subscriber.name }}, {{ subscriber.tags }}, "
                "{{ unsubscribe_url }}, {{ web_url }}."
            ),
        ),
        (
            "{% if subscriber.name > 3 %}x{% endif %}",
            "The template is not valid. Line 1: '<' and '>' are not supported between 'int' and 'str'",
        ),
    ],
)
def test_content_that_could_not_be_sent_is_refused(field: str, content: str, detail: str) -> None:
    assert faults(**{field: content}) == {f"/{field}": detail}


@pytest.mark.parametrize("field", ["html_content", "text_content"])
def test_the_size_of_content_is_bounded_in_bytes(field: str) -> None:
    longest = "é" * (CONTENT_BYTES_MAX // 2)
    assert getattr(parse(**{field: longest}), field) == longest
    assert faults(**{field: longest + "é"}) == {f"/{field}": "Content may be at most 5000000 bytes; this is 5000002."}


def test_every_fault_is_named_at_once() -> None:
    assert list(faults(title="", html_content="", text_content="{{")) == ["/title", "/html_content", "/text_content"]


def test_content_is_kept_as_it_is() -> None:
    html = "<p>Hello {{ subscriber.name | default: 'reader' }}</p>\r\n<style>a{b:c}</style>"
    assert parse(html_content=html).html_content == html


@pytest.mark.parametrize(
    ("stored", "run", "fan_out_is_finished", "status"),
    [
        ("draft", None, False, "draft"),
        ("scheduled", None, False, "scheduled"),
        ("cancelled", None, False, "cancelled"),
        ("published", None, False, "publishing"),
        ("published", "open", False, "publishing"),
        ("published", "open", True, "sending"),
        ("published", "paused", False, "paused"),
        ("published", "paused", True, "paused"),
        ("published", "cancelled", True, "cancelled"),
        ("published", "finished", True, "sent"),
    ],
)
def test_the_status(stored: StoredStatus, run: RunState | None, fan_out_is_finished: bool, status: str) -> None:
    progress = None if run is None else Progress(run, None, fan_out_is_finished)
    assert status_of(stored, progress) == status
