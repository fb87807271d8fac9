"""The template language of issues: what it does, what it refuses, and that nothing makes it hang."""

import json
import time

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from liquid import Environment

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.mail_template import (
    MARKUP_COUNT_MAX,
    SAMPLE_VALUES,
    SOURCE_BYTES_MAX,
    VARIABLES,
    Kind,
    MailValues,
    parse,
)
from broadsheet_common.mail.template_engine import FILTERS, TAGS
from broadsheet_common.mail.template_work import TemplateError

HANG_S = 20.0
"""Far above what any of these takes alone (under half a second), and far below a hang (minutes)."""


def values(**changed: str) -> MailValues:
    return msgspec.structs.replace(SAMPLE_VALUES, **changed)


def test_variables_are_merged() -> None:
    source = (
        "{{ subscriber.name }}, {{ subscriber.email }}, {{ newsletter.name }}, {{ issue.title }}, {{ unsubscribe_url }}"
    )
    template = parse(source, "text")
    assert template.unknown_variables == ()
    assert template.render(MailValues("Ada", "ada@example.com", "News", "First", "https://example.com/u")) == (
        "Ada, ada@example.com, News, First, https://example.com/u"
    )


def test_values_are_escaped_in_html_and_left_alone_in_text() -> None:
    name = "<b>O'Brien & Söhne</b>"
    assert parse("{{ subscriber.name }}", "html").render(values(subscriber_name=name)) == (
        "&lt;b&gt;O&#39;Brien &amp; Söhne&lt;/b&gt;"
    )
    assert parse("{{ subscriber.name }}", "text").render(values(subscriber_name=name)) == name


def test_values_are_never_read_as_templates() -> None:
    name = "{{ subscriber.email }}{% raw %}"
    assert parse("Hello {{ subscriber.name }}", "text").render(values(subscriber_name=name)) == f"Hello {name}"


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("{{ subscriber.name | split: ' ' | first }}", "Ada"),
        ("{% assign first = subscriber.name | split: ' ' | first %}Dear {{ first }}", "Dear Ada"),
        ("{% assign unsubscribe_url = 'x' %}{{ unsubscribe_url }}", "x"),
        (
            "{{ issue.title | size }}{% if true %}{% assign issue = newsletter %}{% endif %}{{ issue.name }}",
            "5Newsletter",
        ),
        ("{% if subscriber.name contains 'Ada' %}yes{% else %}no{% endif %}", "yes"),
        ("{% unless newsletter.name == 'Newsletter' %}no{% endunless %}!", "!"),
        ("{% case issue.title %}{% when 'Title' %}one{% else %}two{% endcase %}", "one"),
        ("{% comment %}{{ not.shown }}{% endcomment %}x{% # nor this %}y", "xy"),
        ("{% raw %}{{ subscriber.name }}{% endraw %}", "{{ subscriber.name }}"),
        ("a  {{- subscriber.name -}}  b", "aAda Lovelaceb"),
        ("{{ subscriber.name | url_encode }}", "Ada+Lovelace"),
        ("{{ '' | default: 'friend' }}", "friend"),
        ("{{ 'a..b' | upcase }}", "A..B"),
        ("p { margin: 0 } a{b{c}} 100% } %}", "p { margin: 0 } a{b{c}} 100% } %}"),
    ],
)
def test_what_the_language_can_do(source: str, rendered: str) -> None:
    assert parse(source, "text").render(SAMPLE_VALUES) == rendered


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("one\ntwo {{ subscriber.name", "Line 2: `{{` is not closed within 500 characters"),
        ("{% if subscriber.name %}", "expected tag endif, found end of expression"),
        ("\n{% for x in y %}{% endfor %}", "Line 2: there is no tag `for`"),
        ("{% include 'x' %}", "Line 1: there is no tag `include`"),
        ("{% render 'x' %}", "Line 1: there is no tag `render`"),
        ("{% liquid for x in y %}", "Line 1: there is no tag `liquid`"),
        ("{% doc %}x{% enddoc %}", "Line 1: there is no tag `doc`"),
        ("{% %}", "Line 1: a tag has no name"),
        ("{% raw %}", "Line 1: `raw` has no `endraw`"),
        ("a\n\n{{ subscriber.name | shout }}", "Line 3: there is no filter `shout`"),
        ("{{ subscriber.name | times: 2 }}", "Line 1: there is no filter `times`"),
        ("{{ subscriber.name | safe }}", "Line 1: there is no filter `safe`"),
        ("{{ (1..1000000000) }}", "Line 1: ranges are not supported"),
        ("{{ a[b[c[d[e[f]]]]] }}", "Line 1: there are more than 4 brackets or 40 dots"),
        ("{{ }}", "expected a primitive expression, found end of expression"),
        ("{{ 'a }}", 'Line 1: unexpected "\'"'),
        ("{{ a" + " " * 41 + "}}", "Line 1: there are more than 40 blanks in a row"),
    ],
)
def test_what_does_not_parse_is_refused_with_its_line(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        parse(source, "html")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "x\n{% if subscriber.name > 5 %}a{% endif %}",
            "Line 2: '<' and '>' are not supported between 'int' and 'str'",
        ),
        ("{{ subscriber.name | truncate: 'many' }}", "Line 1: truncate expected an integer, found str"),
    ],
)
def test_what_cannot_be_rendered_says_where(source: str, message: str) -> None:
    template = parse(source, "text")
    with pytest.raises(TemplateError) as raised:
        template.render(SAMPLE_VALUES)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("source", "unknown"),
    [
        ("{{ name }}\n{{ subscriber.nmae }}", [("name", 1), ("subscriber.nmae", 2)]),
        ("{{ subscriber }}", [("subscriber", 1)]),
        ("{{ now }}{{ today }}", [("now", 1), ("today", 1)]),
        ("{% if vip %}a{% endif %}", [("vip", 1)]),
        ("{{ subscriber.name.__class__ }}", [("subscriber.name.__class__", 1)]),
        ("{{ subscriber[issue.title] }}", [("subscriber[issue.title]", 1)]),
        ("{% assign a = 'x' %}{{ a }}{{ subscriber['name'] }}", []),
    ],
)
def test_unknown_variables_are_named_with_their_lines(source: str, unknown: list[tuple[str, int]]) -> None:
    found = parse(source, "html").unknown_variables
    assert [(variable.name, variable.line) for variable in found] == unknown


def test_python_is_out_of_reach() -> None:
    source = "{{ subscriber.name.__class__ }}{{ subscriber.__class__.__mro__ }}{{ subscriber.name.format }}"
    assert parse(source, "text").render(SAMPLE_VALUES) == ""


_FRAGMENTS = st.one_of(
    st.sampled_from(
        ["{{", "}}", "{%", "%}", "-", "|", ":", ",", ".", "..", "'", '"', "[", "]", "(", ")", " ", "\n", "\0"]
    ),
    st.sampled_from(sorted(VARIABLES | TAGS | FILTERS)),
    st.sampled_from(["raw", "endraw", "else", "elsif", "when", "endif", "endcase", "endcomment", "and", "or", "not"]),
    st.sampled_from(["==", "!=", "<", ">", "contains", "true", "nil", "empty", "0", "-1", "99999999999", "1.5", "="]),
    st.text(max_size=3),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pieces=st.lists(_FRAGMENTS, max_size=40), kind=st.sampled_from(["html", "text"]), name=st.text(max_size=20))
@example(pieces=["{{", "now", "|", "size", "}}"], kind="html", name="")
def test_no_template_raises_anything_but_its_own_error(pieces: list[str], kind: Kind, name: str) -> None:
    try:
        parse("".join(pieces), kind).render(values(subscriber_name=name))
    except TemplateError as error:
        assert str(error)  # noqa: PT017  # either outcome is right; this one must say something


@st.composite
def _markup(draw: st.DrawFn) -> str:
    """A piece of markup that is likely to be valid."""
    variable = draw(st.sampled_from(sorted(VARIABLES)))
    filters = draw(st.lists(st.sampled_from(["upcase", "escape", "strip", "default: 'x'", "append: ' y'"]), max_size=3))
    expression = " | ".join([variable, *filters])
    shape = draw(
        st.sampled_from(
            [
                "{{{{ {} }}}}",
                "{{{{- {} -}}}}",
                "{{% assign a = {} %}}{{{{ a }}}}",
                "{{% assign unsubscribe_url = {} %}}{{{{ unsubscribe_url }}}}",
                "{{%- if {} -%}} b {{% endif %}}",
            ]
        )
    )
    return shape.format(variable if "if" in shape else expression)


@settings(max_examples=120, deadline=None)
@given(
    pieces=st.lists(st.one_of(_markup(), st.text(alphabet=st.characters(codec="utf-8"), max_size=10)), max_size=8),
    kind=st.sampled_from(["html", "text"]),
    merged=st.builds(values, subscriber_name=st.text("a<&'\"{}% é\\\n\x01\u2028😀", max_size=10)),
)
def test_it_renders_as_the_whole_of_liquid_would(pieces: list[str], kind: Kind, merged: MailValues) -> None:
    source = "".join(pieces)
    try:
        template = parse(source, kind)
    except TemplateError:
        return
    reference = Environment(autoescape=kind == "html").from_string(source)
    rendered = template.render(merged)
    assert json.loads(template.render_json(merged)) == rendered
    assert rendered == reference.render(
        subscriber={"name": merged.subscriber_name, "email": merged.subscriber_email},
        newsletter={"name": merged.newsletter_name},
        issue={"title": merged.issue_title},
        unsubscribe_url=merged.unsubscribe_url,
    )


@pytest.mark.parametrize("kind", ["html", "text"])
def test_every_variable_is_merged_as_json_too_whatever_kind_of_text_it_is(kind: Kind) -> None:
    class OwnText(str):
        __slots__ = ()

    merged = MailValues(*(OwnText(f"<{name}>") for name in MailValues.__struct_fields__))
    merged = msgspec.structs.replace(merged, subscriber_email=EmailAddress.parse("ada&co@example.com"))
    template = parse("".join(f"{{{{ {name} }}}}{{{{ {name} | upcase }}}}" for name in sorted(VARIABLES)), kind)
    assert json.loads(template.render_json(merged)) == template.render(merged)


def test_as_json_it_is_bounded_by_the_characters_of_the_text_not_of_its_escapes() -> None:
    text = '"' * 3_000_000
    assert json.loads(parse(text, "text").render_json(SAMPLE_VALUES)) == text
    grown = "x" * 5_200_000 + "{{ subscriber.name }}" * 3
    with pytest.raises(TemplateError, match="more than"):
        parse(grown, "text").render_json(values(subscriber_name='"' * 20_000))


def _many(piece: str) -> str:
    return piece * min(MARKUP_COUNT_MAX, 99_000 // len(piece))


def _long(start: str, middle: str, end: str) -> str:
    return _many(start + middle * ((490 - len(start) - len(end)) // len(middle)) + end)


_HEAVY = {
    "never closed": "{{ " * 1_700_000,
    "braces": "{ " * 2_500_000,
    "raw without end": "{% raw %}" * 500_000,
    "almost an end of raw": "{% raw %}" + "{%- endra" * 500_000,
    "endless blanks after raw": "{% raw %}{%" + " " * 5_000_000,
    "plain text": "x" * 5_000_000,
    "blanks in outputs": _many("{{" + " " * 40 + "}}"),
    "blanks in tags": _long("{% if a", " " * 40 + "b", "%}"),
    "quotes": _long("{{ ", "'", " }}"),
    "brackets": _many("{{ " + "a[" * 150 + "a" + "]" * 150 + " }}"),
    "brackets in quotes": _many("{{ '" + "'[a" * 150 + "' }}"),
    "deep paths": _long("{{ a", ".a", " }}"),
    "parentheses": _long("{{ ", "(", " }}"),
    "long conditions": _long("{% if ", "subscriber.name contains issue.title or ", "a %}x{% endif %}"),
    "nested blocks": "{% if true %}" * 450 + "{% endif %}" * 450,
    "nested comments": "{% comment %}" * 450 + "{% endcomment %}" * 450,
    "case": "{% case subscriber.name %}" + "{% when 'a' %}b" * 900 + "{% endcase %}",
    "numbers": _long("{{ ", "9", " }}"),
    "growing by append": "{% assign a = subscriber.name %}" + "{% assign a = a | append: a %}" * 900,
    "escape upon escape": _long("{{ subscriber.name ", "|escape", "}}"),
    "split into letters": _many("{{ subscriber.name | split: '' }}"),
    "many words": _many("{{ subscriber.name | truncatewords: 9999 }}"),
    "far slice": _many("{{ subscriber.name | slice: -999999999999999999999, 99999999999999 }}"),
    "line breaks": _long("{{ subscriber.name ", "|newline_to_br", "}}"),
    "much output": "{% assign a = subscriber.name %}{% if true %}" + "{{a}}" * 990 + "{% endif %}",
}


@pytest.mark.parametrize("kind", ["html", "text"])
@pytest.mark.parametrize("source", _HEAVY.values(), ids=_HEAVY.keys())
def test_nothing_makes_it_hang_or_grow(source: str, kind: Kind) -> None:
    heavy = values(subscriber_name="&\n " * 5_000, issue_title="<&" * 999 + "x")
    started_s = time.perf_counter()
    try:
        template = parse(source, kind)
        rendered = template.render(heavy)
        assert json.loads(template.render_json(heavy)) == rendered
        assert len(rendered) <= SOURCE_BYTES_MAX
    except TemplateError as error:
        assert str(error)  # noqa: PT017  # refused is as good as rendered
    assert time.perf_counter() - started_s < HANG_S
