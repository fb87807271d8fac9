"""Every fault says where it is in the author's own text, and all of them come at once."""

import pytest

from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX
from broadsheet_common.mail.template_work import WORK_MAX
from broadsheet_publishing.compiling.compiled_issue import CompileError, Fault
from broadsheet_publishing.compiling.issue_source import Format, Layout

from .compiled import BARE, NAME, compiled, faults_of, places_of


def all_faults(**parts: str) -> list[Fault]:
    content = parts.pop("content", "x")
    with pytest.raises(CompileError) as caught:
        compiled(content, **parts)  # type: ignore[arg-type]
    return list(caught.value.faults)


def test_all_faults_of_all_fields_come_at_once() -> None:
    faults = all_faults(
        title="", subject="{{ unsubscribe_url }}", preheader="{{ nobody }}", content="{{ nowhere }}", text_content="{{"
    )
    assert [(fault.field, fault.code) for fault in faults] == [
        ("title", "empty"),
        ("subject", "unknown-field"),
        ("preheader", "unknown-field"),
        ("text_content", "template-syntax"),
        ("content", "unknown-field"),
    ]
    assert all(fault.detail.endswith(".") for fault in faults)


@pytest.mark.parametrize("format_", ["markdown", "html", "text"])
def test_curly_quotes_in_liquid_are_a_fault_with_its_line(format_: Format) -> None:
    assert places_of("Hello\n\n {% assign x = “y” %}\n{{ x }}", format_) == [("template-syntax", 3, 16)]


@pytest.mark.parametrize("format_", ["markdown", "html", "text"])
def test_every_unknown_field_is_named_with_its_place(format_: Format) -> None:
    assert places_of("# a\n{{ subscriber.nam }} {{ nobody }}\n\n`code` {{ nobody }}", format_) == [
        ("unknown-field", 2, 4),
        ("unknown-field", 2, 25),
        ("unknown-field", 4, 11),
    ]


def test_where_a_line_has_several_the_place_is_of_the_one_at_fault() -> None:
    assert places_of(f"{NAME} {{{{ subscriber.name | nofilter }}}}") == [("template-syntax", 1, 44)]


@pytest.mark.parametrize(("title", "code"), [
    ("a\nb", "control-character"), ("\u200b ", "empty"), ("x" * (SUBJECT_UTF16_UNITS_MAX + 1), "too-long"),
    ("x" * 10_001, "too-long"), ("{{ x", "template-syntax"), ("{{ unsubscribe_url }}", "unknown-field"),
])  # fmt: skip
def test_titles_and_subjects_have_the_limits_of_a_header(title: str, code: str) -> None:
    for field in ("title", "subject"):
        assert [(fault.field, fault.code) for fault in all_faults(**{field: title})] == [(field, code)]


def test_a_preheader_is_one_short_line() -> None:
    assert [fault.code for fault in all_faults(preheader="a\nb")] == ["control-character"]
    assert [fault.code for fault in all_faults(preheader="x" * 10_001)] == ["too-long"]


def test_a_subject_is_the_title_unless_it_is_given() -> None:
    assert compiled("x", title=" For {{ subscriber.name }} ").subject == "For {{ subscriber.name }}"
    assert compiled("x", title="a", subject="b {{ subscriber.name }}").subject == "b {{ subscriber.name }}"


def test_an_emoji_in_a_subject_is_sent_as_it_is() -> None:
    assert compiled("x", subject="🎉 {{ subscriber.name }} 👩‍👩‍👧").subject == "🎉 {{ subscriber.name }} 👩‍👩‍👧"


@pytest.mark.parametrize("content", [
    '{% assign a = "' + "x" * 400 + '" %}' + "{% assign a = a | append: a %}" * 8,
    "{% if subscriber.name > 3 %}x{% endif %}",
])  # fmt: skip
def test_what_fails_for_every_reader_is_a_fault(content: str) -> None:
    assert "template-render" in {fault.code for fault in faults_of(content)}


def test_the_work_of_all_parts_together_is_bounded() -> None:
    # Each alone is allowed.
    part = "{{ subscriber.name | escape_once | upcase | downcase }} " * (WORK_MAX // 5_000)
    assert faults_of(part, "text") == []
    assert {fault.code for fault in all_faults(content=part * 2, text_content=part * 2)} & {
        "template-work",
        "template-render",
    }


def test_frames_are_a_fault_because_they_swallow_the_content() -> None:
    assert places_of("<html>\n<frameset>x</frameset></html>", "html") == [("html-syntax", 2, 1)]
    (fault,) = faults_of("x", layout=Layout("html", "<frameset>{{ content }}</frameset>"))
    assert (fault.field, fault.code, fault.line) == ("layout", "html-syntax", 1)


def test_a_document_that_hides_its_end_is_a_fault() -> None:
    faults = all_faults(content='<body style="display:none">x</body>', format_="html", text_content="x")
    assert [fault.code for fault in faults] == ["template-render"]


@pytest.mark.parametrize(("content", "place"), [
    ("x\n\n<script>alert(1)</script>", (3, 1)),
    ("x\n\n<SCRIPT src=https://e.com></SCRIPT>", (3, 1)),
    ('x\n\n<img src="a.png"\n onerror="x">', (4, 2)),
    ('x\n\n<a href=" java\tscript:x">y</a>', (3, 4)),
    ('x\n\n<a href="&#106;avascript:x">y</a>', (3, 4)),
    ('x\n\n<a href="{{ unsubscribe_url }}javascript:x">y</a>', (3, 4)),
    ('x\n\n<a {% if subscriber.name %}onclick="x"{% endif %}>y</a>', (3, 4)),
    ('x\n\n<a href="data:text/html,x">y</a>', (3, 4)),
    ('x\n\n<iframe srcdoc="x"></iframe>', (3, 9)),
    ('x\n\n<form action="vbscript:x"></form>', (3, 7)),
    ('x\n\n<p style="width:expression(x)">y</p>', (3, 4)),
    ("x\n\n<!--[if mso]><script>x</script><![endif]-->", (3, 14)),
    ("x\n\n<svg><style><img src=x onerror=y></style></svg>", (3, 24)),
    ("x\n\n{{ '<script>x</script>' }}", (3, 1)),
])  # fmt: skip
def test_script_is_a_fault_in_html_with_its_place(content: str, place: tuple[int, int]) -> None:
    assert places_of(content, "html")[0] == ("script", *place)


@pytest.mark.parametrize(("content", "line"), [
    ("x\n\n<script>alert(1)</script>", 3), ("x\n\ny <b onclick=x>z</b>", 3), ("x\n\n[a](javascript:x)", 3),
    ("x\n\n![a](vbscript:x)", 3), ("x\n\n<javascript:x>", 3), ("x\n\n[a][b]\n\n[b]: JavaScript:x", 3),
    ("x\n\n{{ 'javascript:x' }}", 3),
])  # fmt: skip
def test_script_is_a_fault_in_markdown_with_its_line(content: str, line: int) -> None:
    assert [(code, at) for code, at, _ in places_of(content)] == [("script", line)]


def test_script_is_a_fault_in_mjml_and_in_a_layout() -> None:
    body = "<mj-raw>\n<script>x</script></mj-raw>"
    content = f"<mjml><mj-body>{body}</mj-body></mjml>"
    assert places_of(content, "mjml") == [("script", 2, 1)]
    (fault,) = faults_of("x", layout=Layout("html", BARE.source.replace("<body>", "<body onload=x>")))
    assert (fault.code, fault.field) == ("script", "layout")


def test_code_and_addresses_that_only_look_like_script_are_no_faults() -> None:
    assert (
        faults_of("`<script>` [a](https://e.com/javascript:x) ![b](data:image/png;base64,AAAA)\n\n    <b onclick=x>")
        == []
    )
    assert faults_of('<p title="javascript: the good parts">on x = y</p><a href="tel:1">a</a>', "html") == []


def test_addresses_are_mailed_as_they_were_written() -> None:
    for address in ("https://e.com/a?utm=1&x=%20%7B#frag", "mailto:a@e.com?subject=x", "tel:+4412", "#end", "/a"):
        assert f'href="{address.replace("&", "&amp;")}"' in (compiled(f"[a]({address})").html_content or "")
