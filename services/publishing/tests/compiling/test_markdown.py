"""Markdown: what authors of newsletters expect of it, and fields wherever they may stand."""

import pytest

from .compiled import BARE, LINK, NAME, body_of, compiled, faults_of, html_of, places_of, rendered

IF_CLASS = '{% if subscriber.name %}class="x"{% endif %}'


def test_headings_lists_quotes_rules_and_emphasis() -> None:
    body = body_of("# One\n\n**two** *three* ~~four~~\n\n- a\n  - b\n\n1. c\n\n> d\n\n---\n")
    for part in ("<h1>One</h1>", "<strong>two</strong>", "<em>three</em>", "<s>four</s>", "<li>a", "<ol>", "<hr>"):
        assert part in body
    assert "<blockquote>\n<p>d</p>" in body


def test_bare_addresses_become_links_and_names_of_files_do_not() -> None:
    body = body_of("https://example.com/a and www.example.com and a@example.com but not README.md or example.com")
    assert body.count("<a ") == 3
    assert '<a href="https://example.com/a">https://example.com/a</a>' in body


def test_quotes_and_dashes_stay_as_they_were_typed() -> None:
    assert 'it\'s "so" -- yes...' in body_of('it\'s "so" -- yes...')


def test_footnotes_stand_at_the_end() -> None:
    body = body_of(f"a[^1] b\n\n[^1]: note {NAME}\n")
    assert body.index("b</p>") < body.index(f"note {NAME}")


def test_a_picture_keeps_its_words_and_fits_the_screen() -> None:
    (picture,) = [
        part for part in body_of("![A *quiet* harbour](https://e.com/a.png){width=540}").split("<") if "img" in part
    ]
    for part in ('alt="A quiet harbour"', 'width="540"', "max-width:100%", 'src="https://e.com/a.png"'):
        assert part in picture


def test_a_link_with_a_class_is_a_button() -> None:
    html = html_of("[Go](https://e.com){.button}", layout=None)
    (link,) = [part for part in html.split("<a ") if ">Go</a>" in part]
    assert 'class="button"' in link
    assert "display: inline-block" in link


def test_attributes_that_run_script_or_hide_are_not_taken() -> None:
    assert "onclick" not in body_of("[Go](https://e.com){onclick=x}")


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (f"[go]({LINK})", f'<a href="{LINK}">go</a>'),
        (f"[go](<{LINK}>)", f'<a href="{LINK}">go</a>'),
        (f"[go](https://e.com/?a={NAME}&b=1)", f'href="https://e.com/?a={NAME}&amp;b=1"'),
        (f'[go](a "for {NAME}")', f'title="for {NAME}"'),
        (f"[go][1]\n\n[1]: {LINK}", f'<a href="{LINK}">go</a>'),
        (f"<a href='{LINK}'>go</a>", f'<a href="{LINK}">go</a>'),
        (f"![x]({LINK})", f'src="{LINK}"'),
        (f"![for {NAME}](a.png)", f'alt="for {NAME}"'),
        (f"# {NAME}", f"<h1>{NAME}</h1>"),
        (f"**{NAME}**s", f"<strong>{NAME}</strong>s"),
        ('{{ subscriber.name | default: "a|b*c*_d_" }}', '{{ subscriber.name | default: "a|b*c*_d_" }}'),
        ("{{ subscriber.name | append: \"'\" }}", "{{ subscriber.name | append: \"'\" }}"),
        (f"<div {IF_CLASS}>\n\na\n\n</div>", f"<div {IF_CLASS}>"),
        (f"https://e.com/?u={NAME}", f'<a href="https://e.com/?u={NAME}">https://e.com/?u={NAME}</a>'),
    ],
)  # fmt: skip
def test_a_field_comes_back_as_it_was_written(written: str, made: str) -> None:
    assert made in body_of(written)


def test_a_cell_of_a_table_may_hold_a_field_with_a_bar_in_it() -> None:
    body = body_of('| {{ subscriber.name | default: "a|b" }} | x |\n|---|---|\n| 1 | 2 |\n')
    assert '<th>{{ subscriber.name | default: "a|b" }}</th>' in body
    assert body.count("<td") == 2


ROWS = """\
| a | b |
|---|---|
| 1 | 2 |
{% if subscriber.name == 'Ada' %}
| 3 | 4 |
{% else %}
| 5 | 6 |
{% endif %}
| 7 | 8 |
"""


def test_a_condition_between_the_rows_of_a_table_stays_between_them() -> None:
    body = body_of(ROWS)
    assert body.count("<tr>") == 5
    assert rendered(body, subscriber_name="Ada").count("<tr>") == 4
    assert "5" not in rendered(body, subscriber_name="Ada")
    assert body.index("{% if") > body.index("2</td>\n</tr>")


def test_a_condition_around_a_table_stays_around_it() -> None:
    body = body_of("{% if subscriber.name %}\n| a |\n|---|\n| 1 |\n{% endif %}\nafter")
    assert body.startswith("{% if subscriber.name %}\n<table>")
    assert "</table>\n{% endif %}\n<p>after</p>" in body


def test_a_condition_that_begins_after_a_table_does_not_belong_to_it() -> None:
    body = body_of("| a |\n|---|\n| 1 |\n{% if subscriber.name %}\n\nlater\n\n{% endif %}")
    assert body.index("</table>") < body.index("{% if")


def test_conditions_on_lines_of_their_own_stand_between_blocks() -> None:
    body = body_of("one\n{% if subscriber.name == 'Ada' %}\ntwo\n\n- three\n{% else %}\n> four\n{% endif %}\nfive")
    assert "<p>{%" not in body
    assert rendered(body, subscriber_name="").split() == [
        "<p>one</p>",
        "<blockquote>",
        "<p>four</p>",
        "</blockquote>",
        "<p>five</p>",
    ]


def test_a_condition_that_ends_in_another_paragraph_is_a_fault_with_its_place() -> None:
    assert places_of("x\n\n{% if subscriber.name %}Hello\n\nmore{% endif %}") == [("unbalanced-block", 5, 5)]


@pytest.mark.parametrize(
    "code", ["`{{ nobody }} {% x %}`", "    {{ nobody }} {% x %}", "```\n{{ nobody }} {% x %}\n```"]
)
def test_code_shows_liquid_as_it_was_written(code: str) -> None:
    issue = compiled(f"{NAME}\n\n{code}")
    assert issue.html_content is not None
    assert "&#123;&#123; nobody }} &#123;% x %}" in rendered(issue.html_content)
    assert "{{ nobody }} {% x %}" in rendered(issue.text_content, "text")


def test_code_may_hold_braces_that_are_never_closed_and_raw_blocks() -> None:
    issue = compiled("`{{` and `{%` and `{% raw %}{{ a }}{% endraw %}`")
    assert "{{ and {% and {% raw %}{{ a }}{% endraw %}" in rendered(issue.text_content, "text")


def test_a_field_in_an_authors_own_code_element_has_its_value() -> None:
    assert "<code>Ada</code>" in rendered(body_of(f"<code>{NAME}</code>"), subscriber_name="Ada")


def test_braces_that_are_written_as_entities_stay_text() -> None:
    body = body_of(f"&#123;&#123; x }}}} &lbrace;{NAME} <b>&#123;% y %}}</b>")
    assert rendered(body, subscriber_name="Ada") == "<p>&#123;{ x }} &#123;Ada <b>&#123;% y %}</b></p>"


def test_a_raw_block_is_shown_as_it_is() -> None:
    assert "{{ x }}" in rendered(body_of("{% raw %}{{ x }}{% endraw %}"))


def test_a_field_in_what_is_never_shown_is_a_fault_with_its_place() -> None:
    assert places_of(f"x\n\n[a]: {LINK}\n\n[^b]: {NAME}") == [("field-lost", 3, 6), ("field-lost", 5, 7)]


def test_a_reference_that_is_used_twice_may_hold_a_field() -> None:
    assert body_of(f"[a][x] [b][x]\n\n[x]: {LINK}").count(LINK) == 2


def test_html_of_an_author_cannot_end_the_layout() -> None:
    html = html_of("a</td></tr></table></body></html> <div>b", layout=None)
    assert html.count("<table") == html.count("</table>")
    assert html.index("<div>b") < html.index('class="footer"')


def test_a_style_in_the_content_counts_in_the_mail() -> None:
    assert '<p style="color: red;">a</p>' in html_of("<style>p { color: red }</style>\n\na", layout=BARE)


def test_what_never_ends_is_a_fault_because_it_would_hide_the_footer() -> None:
    assert places_of("a\n\n<!-- b\n\nc") == [("html-syntax", 3, 1)]
    assert places_of("a\n\n<textarea>") == [("html-syntax", 3, 1)]


def test_lines_of_windows_are_lines() -> None:
    assert places_of("a\r\n\r\n{{ nobody }}") == [("unknown-field", 3, 4)]
    assert body_of("a\r\n\r\nb") == body_of("a\n\nb")


def test_words_that_look_like_those_that_hide_liquid_are_the_authors() -> None:
    assert f"zq0z zqq1z {NAME}" in body_of(f"zq0z zqq1z {NAME}")


def test_an_empty_content_is_a_fault() -> None:
    assert [fault.code for fault in faults_of(" \n")] == ["empty"]
