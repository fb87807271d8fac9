"""Whole documents, HTML and MJML: styles inlined, everything of the author's in its place."""

import re

import pytest

from broadsheet_publishing.compiling.issue_source import Look

from .compiled import LINK, LOOK, NAME, compiled, html_of, places_of, rendered


def mjml(inner: str, head: str = "") -> str:
    body = f"<mj-section><mj-column>{inner}</mj-column></mj-section>"
    return f"<mjml><mj-head>{head}</mj-head><mj-body>{body}</mj-body></mjml>"


def test_style_sheets_are_inlined_and_what_cannot_be_stays() -> None:
    sheet = "p{color:red} a:hover{color:blue} @media (prefers-color-scheme: dark){p{color:white !important}}"
    html = html_of(f"<html><head><style>{sheet}</style></head><body><p>x</p></body></html>", "html")
    assert '<p style="color: red;">x</p>' in html
    for kept in ("a:hover", "@media (prefers-color-scheme: dark){p{color:white !important}}"):
        assert kept in html


def test_no_style_sheet_is_loaded_from_anywhere() -> None:
    html = html_of('<link rel="stylesheet" href="file:///etc/passwd"><p>x</p>', "html")
    assert '<link rel="stylesheet" href="file:///etc/passwd">' in html


def test_widths_that_are_known_stand_in_attributes_too() -> None:
    html = html_of(
        '<style>.w{width:300px}</style><img class="w" src="a.png" alt="a"><img src="b" style="width:20px">', "html"
    )
    assert re.search(r'<img[^>]*width="300"', html)
    assert re.search(r'<img[^>]*width="20"', html)


@pytest.mark.parametrize(
    "part",
    [
        f'<a href="{LINK}">x</a>',
        f'<img src="{LINK}" alt="for {NAME}">',
        '<p title="{{ subscriber.name | default: "x" }}">x</p>',
        '<td {% if subscriber.name %}bgcolor="red" class="x"{% else %}class="y"{% endif %}>1</td>',
        "<p {{ subscriber.name }}>x</p>",
        f'<!--[if mso]><v:rect href="{LINK}"></v:rect><![endif]-->',
        "<![if !mso]>x<![endif]>",
        f"<!-- {NAME} -->",
        "<select>{% if subscriber.name %}<option>1</option>{% endif %}</select>",
        "<tr><td>0</td></tr>{% if subscriber.name %}<tr><td>1</td></tr>{% endif %}<tr><td>2</td></tr>",
    ],
)  # fmt: skip
def test_liquid_stays_where_it_stands(part: str) -> None:
    source = f"<table><tbody><tr>{part}</tr></tbody></table>" if part.startswith("<td") else part
    source = f"<table><tbody>{part}</tbody></table>" if part.startswith("<tr") else source
    html = html_of(f"<style>p,td,a{{color:red}}</style>{source}words", "html")
    assert part in re.sub(r' style="color: red;"', "", html)


def test_a_condition_within_a_style_stays_in_it() -> None:
    html = html_of(
        '<style>p{margin:0}</style><p style="{% if subscriber.name %}color:blue;{% endif %}top:0">x</p>', "html"
    )
    assert '<p style="margin: 0;{% if subscriber.name %}color:blue;{% endif %}top:0">x</p>' in html


def test_a_condition_around_a_style_is_a_fault() -> None:
    assert places_of('<p\n {% if subscriber.name %}style="top:0"{% endif %}>x</p>', "html") == [
        ("conditional-style", 2, 2)
    ]


def test_a_style_sheet_with_fields_is_left_as_it_is() -> None:
    sheet = "<style>p{color:{{ newsletter.name }}}</style>"
    assert sheet in html_of(f"{sheet}<p>x</p>", "html")


def test_a_condition_may_begin_a_document_that_has_no_body_tag() -> None:
    html = html_of("<style>p{color:red}</style>{% if subscriber.name %}<p>x</p>{% endif %}", "html")
    assert '<body>{% if subscriber.name %}<p style="color: red;">x</p>{% endif %}</body>' in html


def test_an_element_that_a_branch_opens_and_another_closes_is_a_fault_with_its_place() -> None:
    content = "<p>\n{% if subscriber.name %}<b>{% endif %}x{% if subscriber.name %}</b>{% endif %}</p>"
    assert places_of(content, "html")[0] == ("unbalanced-block", 2, 28)


def test_liquid_that_html_has_no_place_for_is_a_fault() -> None:
    assert places_of(f'<p title="a"\n title="{NAME}">x</p>', "html") == [("field-lost", 2, 9)]


def test_braces_of_entities_do_not_become_fields() -> None:
    html = html_of("<p>&#123;&#123; nobody &#125;&#125;</p>", "html")
    assert "<p>&#123;{ nobody }}</p>" in rendered(html)


def test_language_and_direction_are_the_newsletters_unless_the_document_has_its_own() -> None:
    look = Look(newsletter_name="ن", postal_address="", language="ar", direction="rtl")
    for format_, own, plain in (
        ("html", '<html lang="fr" dir="ltr"><body>x</body></html>', "<p>x</p>"),
        (
            "mjml",
            mjml("<mj-text>x</mj-text>").replace("<mjml", '<mjml lang="fr" dir="ltr"'),
            mjml("<mj-text>x</mj-text>"),
        ),
    ):
        theirs = compiled(own, format_, look=look).html_content  # type: ignore[arg-type]
        ours = compiled(plain, format_, look=look).html_content  # type: ignore[arg-type]
        assert re.search(r'<html[^>]* lang="fr" dir="ltr"', theirs or "")
        assert re.search(r'<html[^>]* lang="ar" dir="rtl"', ours or "")


def test_a_document_without_a_title_or_a_doctype_gets_them() -> None:
    html = html_of("<p>x</p>", "html")
    assert html.startswith("<!DOCTYPE html>")
    assert "<title>{{ issue.title }}</title>" in html
    own = html_of("<!doctype html><html><head><title>Own</title></head><body>x</body></html>", "html")
    assert "<title>Own</title>" in own
    assert own.lower().count("<!doctype") == 1
    assert "<title>{{ issue.title }}</title>" in html_of(mjml("<mj-text>x</mj-text>"), "mjml")


@pytest.mark.parametrize("format_", ["markdown", "html", "mjml"])
def test_the_preheader_is_first_in_the_body_and_is_not_seen(format_: str) -> None:
    content = mjml("<mj-text>x</mj-text>") if format_ == "mjml" else "x"
    html = html_of(content, format_, preheader=f"<In short>, {NAME}")  # type: ignore[arg-type]
    assert re.search(r'<body[^>]*><div style="display:none[^"]*">&lt;In short&gt;, {{ subscriber.name }}</div>', html)
    assert "display:none;font-size:1px" not in html_of(content, format_)  # type: ignore[arg-type]


def test_a_preheader_with_a_filter_is_a_part_of_its_own_so_that_delivery_looks_at_it_alone() -> None:
    html = html_of("x", "html", preheader='Hi {{ subscriber.name | default: "you" }}')
    assert re.search(r"<body>{% if true %}<div [^>]*>Hi [^<]*</div>{% endif %}", html)


def test_a_preheader_is_not_in_the_plain_text() -> None:
    assert "short" not in compiled("<p>x</p>", "html", preheader="In short").text_content


def test_elements_and_attributes_of_mjml_are_mailed_as_they_are_written() -> None:
    html = html_of(
        mjml(
            f'<mj-text css-class="r">Hi {NAME} <br> <a href="{LINK}">x</a></mj-text>'
            f'<mj-button href="{LINK}">Go {NAME}</mj-button><mj-image src="{LINK}" alt="for {NAME}" />',
            '<mj-attributes><mj-text color="#123456" /></mj-attributes>'
            '<mj-style inline="inline">.r p, .r div { text-indent: 7px }</mj-style>',
        ),
        "mjml",
    )
    for part in (f"Hi {NAME} <br>", f'<a href="{LINK}">x</a>', f'href="{LINK}"', f'alt="for {NAME}"', f'src="{LINK}"'):
        assert part in html
    assert re.search("color: ?#123456", html)
    assert "text-indent: 7px" in html
    assert "googleapis" not in html


def test_conditions_between_the_elements_of_mjml_stay_between_them() -> None:
    section = "<mj-section><mj-column><mj-text>two</mj-text></mj-column></mj-section>"
    table = (
        "<mj-table><tr><td>1</td></tr>{% if subscriber.name == 'Ada' %}<tr><td>three</td></tr>{% endif %}</mj-table>"
    )
    before = f"<mj-body>{{% if subscriber.name == 'Ada' %}}{section}{{% endif %}}"
    html = html_of(mjml(table).replace("<mj-body>", before), "mjml")
    assert "two" in rendered(html, subscriber_name="Ada")
    assert "three" in rendered(html, subscriber_name="Ada")
    gone = rendered(html, subscriber_name="")
    assert "two" not in gone
    assert "three" not in gone
    assert gone.count("<table") == gone.count("</table>")


def test_a_field_that_mjml_writes_several_times_is_no_fault() -> None:
    content = mjml("<mj-text>x</mj-text>").replace("<mj-section>", f'<mj-section background-url="{LINK}">')
    assert html_of(content, "mjml").count(LINK) > 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (mjml(f"<mj-text>{NAME}\n 1 < 2</mj-text>"), ("mjml-syntax", 2, 4)),
        (mjml(f"<mj-text>é{NAME}\n <p>x</mj-text>"), ("mjml-syntax", 2, 2)),
        (mjml("\n<mj-txt>x</mj-txt>"), ("unknown-element", 2, 1)),
        (mjml('\n\n<mj-include path="./x.mjml" />'), ("unknown-element", 3, 1)),
        (mjml("\n<mj-image src=x />"), ("mjml-syntax", 2, 11)),
        (mjml("x", f"\n{NAME}"), ("field-lost", 2, 1)),
        ("Hello", ("mjml-syntax", 1, 1)),
        ("<mjml><mj-body>\n<mj-section>", ("mjml-syntax", 2, 1)),
    ],
)  # fmt: skip
def test_what_is_no_mjml_is_a_fault_with_its_place(content: str, fault: tuple[str, int, int]) -> None:
    assert places_of(content, "mjml")[0] == fault


def test_the_look_is_no_template_and_no_markup() -> None:
    look = Look(newsletter_name="{{ x }} <b>", postal_address="{% y %} & {{ z }}", language='e"n')
    issue = compiled("x", layout=None, look=look)
    html = rendered(issue.html_content or "")
    assert "&lt;b&gt;" in html
    assert 'lang="e&quot;n"' in html
    assert "{% y %} & {{ z }}" in rendered(issue.text_content, "text")
    assert LOOK.newsletter_name not in html
