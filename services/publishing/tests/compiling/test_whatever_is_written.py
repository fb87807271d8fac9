"""Any text at all: it has faults, or it becomes a mail in which every field is back. No parser crashes on it."""

import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadsheet_common.mail import mail_template
from broadsheet_publishing.compiling.compile_issue import BYTES_MAX, NESTING_MAX
from broadsheet_publishing.compiling.issue_source import Format, Layout

from .compiled import BARE, LINK, NAME, compiled_or_faults, faults_of

MARKUP = [
    NAME, LINK, '{{ subscriber.name | default: "a|b*c" }}', "{% if subscriber.name %}", "{% else %}", "{% endif %}",
    '{% assign x = "y" %}', "{% raw %}", "{% endraw %}", "{{", "{%", "}}", "%}", "{", "&#123;", "&lbrace;",
    "{% comment %}", "{% endcomment %}", "{{ 'x' }}",
]  # fmt: skip
MARKDOWN = [
    "\n", "\n\n", " ", "    ", "\t", "a", "b c", "# ", "- ", "1. ", "> ", "`", "```\n", "~~~\n", "*", "**", "_", "~~",
    "[", "]", "](", ")", "![", "|", "\n|-|-|\n", "[^1]", "[^1]: ", "[a]: ", "<", ">", "\\", "https://e.com/", "a@b.com",
    "www.e.com", "---\n", "===\n", "{.button}", "{width=3}", '"', "'", "é", "مرحبا", "\u200b", "zq0z", "zqq1z", "😀",
    "\r",
]  # fmt: skip
TAGS = [
    "<p>", "</p>", "<b>", "</b>", "<div ", "<div>", "</div>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>",
    "<a href=", "<a href='", '<img src="', ' style="', ' class="', '"', "'", ">", "/>", "<!--", "-->", "<!--[if mso]>",
    "<![endif]-->", "<![if !mso]>", "<style>", "</style>", "p{color:red}", "<title>", "</title>", "<textarea>", "<br>",
    "<svg>", "</svg>", "<select>", "<option>", "</body>", "</html>", "<html>", "<head>", "<body>", "<!doctype html>",
    "&lt;", "&", "x", " ", "\n", "<template>", "<noscript>", "<plaintext>", "<frameset>", "<math>",
]  # fmt: skip
MJML = [
    "<mjml>", "</mjml>", "<mj-body>", "</mj-body>", "<mj-head>", "</mj-head>", "<mj-section>", "</mj-section>",
    "<mj-column>", "</mj-column>", "<mj-text>", "</mj-text>", '<mj-button href="', '<mj-image src="', '" />', '">',
    "</mj-button>", "<mj-raw>", "</mj-raw>", "<mj-title>", "</mj-title>", "<mj-style>", "</mj-style>", "<mj-table>",
    "</mj-table>", "<!-- x -->", "text", "&nbsp;", "<br>", "<", "&", "\n",
]  # fmt: skip


def texts(*pieces: list[str]) -> st.SearchStrategy[str]:
    known = st.sampled_from([one for group in pieces for one in group])
    return st.lists(known | st.text(max_size=3), min_size=1, max_size=30).map("".join)


PIECES: dict[Format, st.SearchStrategy[str]] = {
    "markdown": texts(MARKUP, MARKUP, MARKDOWN, MARKDOWN, TAGS),
    "html": texts(MARKUP, MARKUP, TAGS, TAGS),
    "mjml": texts(MARKUP, MJML, TAGS).map(
        lambda inner: (
            f"<mjml><mj-body><mj-section><mj-column><mj-text>{inner}</mj-text></mj-column></mj-section></mj-body></mjml>"
        )
    )
    | texts(MARKUP, MJML).map(lambda inner: f"<mjml>{inner}</mjml>"),
    "text": texts(MARKUP, MARKDOWN),
}
_CODE = re.compile(r"`|~~~|^ {4}|\t|<!--|raw|comment", re.MULTILINE)


@pytest.mark.parametrize("format_", PIECES)
@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_text_has_faults_or_becomes_a_mail_with_every_field_in_it(format_: Format, data: st.DataObject) -> None:
    content = data.draw(PIECES[format_])
    issue, faults = compiled_or_faults(content, format_, preheader="Hi {{ subscriber.name }}")
    lines = content.count("\n") + content.count("\r") + 1
    assert all(fault.detail and 1 <= (fault.line or 1) <= lines for fault in faults)
    if issue is None:
        assert faults
        return
    mail_template.parse(issue.text_content, "text").check(mail_template.SAMPLE_VALUES)
    if issue.html_content is None:
        assert format_ == "text"
        return
    html = mail_template.parse(issue.html_content, "html")
    html.check(mail_template.SAMPLE_VALUES)
    assert not re.search(r"zq+h?\d+z", issue.html_content.replace("zq0z", "").replace("zqq1z", ""))
    if not _CODE.search(content):
        wanted = Counter(re.findall(r"\{\{[^{}]*\}\}|\{%[^{}]*%\}", content))
        there = Counter(re.findall(r"\{\{[^{}]*\}\}|\{%[^{}]*%\}", issue.html_content))
        assert {markup for markup, count in wanted.items() if there[markup] < count} == set()


@given(source=texts(MARKUP, TAGS, ["{{ content }}"] * 3))
@settings(max_examples=120, deadline=None)
def test_any_layout_has_faults_or_holds_the_content_once(source: str) -> None:
    issue, faults = compiled_or_faults("here-it-is", layout=Layout("html", source))
    assert (issue is None) == bool(faults)
    if issue is not None and issue.html_content is not None:
        assert issue.html_content.count("here-it-is") == 1


@pytest.mark.parametrize(
    "opening", ["<div>", "<b>", "<table><tr><td>", "<svg><g>", "<p><b>", "<a href=x><p>", "<div/>"]
)
def test_what_is_nested_too_deep_is_refused_before_a_parser_sees_it(opening: str) -> None:
    for format_ in ("html", "markdown"):
        assert "nested-too-deep" in {fault.code for fault in faults_of(f"x {opening * 20_000} y", format_)}


def test_mjml_that_is_nested_too_deep_is_refused_before_a_parser_sees_it() -> None:
    for element in ("mj-wrapper", "mj-section", "div"):
        content = f"<mjml><mj-body>{f'<{element}>' * 5_000}{f'</{element}>' * 5_000}</mj-body></mjml>"
        assert {fault.code for fault in faults_of(content, "mjml")} == {"nested-too-deep"}


def test_formatting_that_a_parser_would_open_again_counts_as_nesting() -> None:
    content = "".join(f"<p><b class=c{number}></p>" for number in range(NESTING_MAX * 2))
    assert {fault.code for fault in faults_of(content, "html")} == {"nested-too-deep"}


def test_elements_that_need_no_end_tag_may_be_many() -> None:
    rows = "<tr><td>a<td>b" * 500
    assert faults_of(f"<table>{rows}</table><ul>{'<li>x' * 500}</ul>{'<p>y' * 500}", "html") == []


@pytest.mark.parametrize(("format_", "bytes_max"), BYTES_MAX.items())
def test_a_text_that_is_too_large_is_refused_with_its_limit(format_: Format, bytes_max: int) -> None:
    (fault,) = faults_of("é" * (bytes_max // 2 + 1), format_)
    assert (fault.code, fault.field) == ("too-large", "content")
    assert str(bytes_max) in fault.detail


def test_characters_that_cannot_be_stored_are_refused() -> None:
    for char in ("\0", "\ud800"):
        assert {fault.code for fault in faults_of(f"a{char}b")} == {"control-character"}


def test_a_layout_that_is_too_large_is_refused() -> None:
    (fault,) = faults_of("x", layout=Layout("html", f"{BARE.source}{'x' * 500_000}"))
    assert (fault.code, fault.field) == ("too-large", "layout")
