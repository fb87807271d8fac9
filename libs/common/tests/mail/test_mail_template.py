"""The template language of issues: what it does, what it refuses, and that nothing makes it hang."""

import json
import time

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from liquid import Environment

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_common.mail.mail_template import SOURCE_BYTES_MAX, Kind, parse
from broadsheet_common.mail.markup_bounds import MARKUP_COUNT_MAX
from broadsheet_common.mail.merge_fields import (
    SAMPLE_VALUES,
    SHARED_VARIABLES,
    VARIABLES,
    AttributeType,
    MailValues,
    is_known,
    sample_values,
    variable_names,
)
from broadsheet_common.mail.template_engine import FILTERS, TAGS
from broadsheet_common.mail.template_work import TemplateError

HANG_S = 20.0
"""Far above what any of these takes alone (under half a second), and far below a hang (minutes)."""


def values(**changed: object) -> MailValues:
    return msgspec.structs.replace(SAMPLE_VALUES, **changed)


def test_variables_are_merged() -> None:
    template = parse("".join(f"{name}={{{{ {name} }}}}\n" for name in sorted(VARIABLES)), "text")
    assert template.unknown_variables == ()
    assert template.render(SAMPLE_VALUES) == (
        "issue.published_on=2026-01-31\nissue.title=Title\nnewsletter.name=Newsletter\n"
        "newsletter.postal_address=1 Example Street, Exampletown\nnewsletter.slug=newsletter\n"
        "preferences_url=https://example.com/unsubscribe/sample/choices\nsubscriber.email=ada@example.com\n"
        "subscriber.name=Ada Lovelace\nsubscriber.tags=reader\n"
        "unsubscribe_url=https://example.com/unsubscribe/sample\n"
        "web_url=https://example.com/archive/newsletter/title\n"
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
        ("{{ name }}\n  é{{ subscriber.nmae }}", [("name", 1, 4), ("subscriber.nmae", 2, 7)]),
        ("{{ subscriber }}", [("subscriber", 1, 4)]),
        ("{{ now }}{{ today }}", [("now", 1, 4), ("today", 1, 13)]),
        ("{% if vip %}a{% endif %}", [("vip", 1, 7)]),
        ("{{ subscriber.name.__class__ }}", [("subscriber.name.__class__", 1, 4)]),
        ("{{ subscriber[issue.title] }}", [("subscriber[issue.title]", 1, 4)]),
        ("{{ subscriber.attributes }}", [("subscriber.attributes", 1, 4)]),
        ("{{ subscriber.attributes.town }}", [("subscriber.attributes.town", 1, 4)]),
        ("{{ subscriber.attributes.city.size }}", [("subscriber.attributes.city.size", 1, 4)]),
        ("{{ subscriber.attributes[issue.title] }}", [("subscriber.attributes[issue.title]", 1, 4)]),
        ("{{ subscriber.tags.vip }}", [("subscriber.tags.vip", 1, 4)]),
        ("{{ subscriber.tags.size }}{{ subscriber.attributes['city'] }}", []),
        ("{% assign a = 'x' %}{{ a }}{{ subscriber['name'] }}", []),
    ],
)
def test_unknown_variables_are_named_with_their_places(source: str, unknown: list[tuple[str, int, int]]) -> None:
    found = parse(source, "html", attributes=frozenset({"city"})).unknown_variables
    assert [(variable.name, variable.line, variable.column) for variable in found] == unknown


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("one\ntwo {{ subscriber.name", 2, 5),
        ("\n é{% for x in y %}{% endfor %}", 2, 3),
        ("{{ subscriber.name | shout }}", 1, 22),
        ("x\n{% assign x = \u201cy\u201d %}", 2, 15),
    ],
)
def test_a_fault_says_its_line_and_column(source: str, line: int, column: int) -> None:
    with pytest.raises(TemplateError) as raised:
        parse(source, "html")
    assert (raised.value.line, raised.value.column) == (line, column)
    assert str(raised.value) == f"Line {line}: {raised.value.fault}"


_PERSON = values(
    subscriber_tags=("vip", "a & b"),
    subscriber_attributes={
        "city": "Köln & Bonn", "age": 41.0, "score": 2.5, "member": True, "asked": False, "born": "1984-02-29",
        "zero": 0, "empty": "",
    },
    web_url="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("{{ subscriber.attributes.city }}", "Köln &amp; Bonn"),
        ("{{ subscriber.attributes.city | upcase }}", "KÖLN &amp; BONN"),
        ("{{ subscriber.attributes.age }}|{{ subscriber.attributes.age | append: '!' }}", "41|41!"),
        ("{{ subscriber.attributes.score }}|{{ subscriber.attributes.score | append: '!' }}", "2.5|2.5!"),
        ("{{ subscriber.attributes.member }}|{{ subscriber.attributes.asked }}", "true|false"),
        ("{{ subscriber.attributes.born }}", "1984-02-29"),
        ("{% if subscriber.attributes.born < '2000-01-01' %}x{% endif %}", "x"),
        ("{% if subscriber.attributes.age > 40 %}x{% endif %}", "x"),
        ("{% if subscriber.attributes.member %}x{% endif %}{% if subscriber.attributes.asked %}y{% endif %}", "x"),
        # Nobody has the rest.
        ("[{{ subscriber.attributes.town }}{{ subscriber.attributes.town | upcase }}]", "[]"),
        ('{{ subscriber.attributes.town | default: "there" }}', "there"),
        ("{{ subscriber.attributes.asked | default: 'no' }}|{{ subscriber.attributes.age | default: 'no' }}", "no|41"),
        ("{{ subscriber.attributes.asked | default: 'no', allow_false: true }}", "false"),
        ("{{ subscriber.attributes.town | default: '<b>you</b>' }}", "<b>you</b>"),
        ("{{ subscriber.attributes.town | default: subscriber.attributes.city }}", "Köln &amp; Bonn"),
        ("{{ subscriber.attributes.zero | default: 'none' }}", "0"),
        # A word of the language can be a name too.
        ("{{ subscriber.attributes['empty'] | default: 'none' }}", "none"),
        ("{{ web_url | default: 'nowhere' }}{{ web_url | default: '' }}", "nowhere"),
        ("{% if subscriber.attributes.visits > 3 %}x{% else %}y{% endif %}", "y"),
        ("{% if subscriber.attributes.town contains 'x' %}x{% else %}y{% endif %}", "y"),
        ("{% if subscriber.attributes.town %}x{% else %}y{% endif %}", "y"),
        ("[{{ subscriber.attributes.size }}{{ subscriber.attributes.first | default: '-' }}]", "[-]"),
        # Tags.
        ('{% if subscriber.tags contains "vip" %}x{% endif %}', "x"),
        ('{% if subscriber.tags contains "vi" %}x{% else %}y{% endif %}', "y"),
        ("{{ subscriber.tags | first }}|{{ subscriber.tags | last }}", "vip|a &amp; b"),
        ("{{ subscriber.tags | size }}|{{ subscriber.tags.size }}|{{ subscriber.tags.first }}", "2|2|vip"),
        ("{% assign subscriber = 'x' %}[{{ subscriber.attributes.city }}]", "[]"),
    ],
)
def test_attributes_and_tags_of_a_person(source: str, rendered: str) -> None:
    names = frozenset({*_PERSON.subscriber_attributes, "town", "visits", "size", "first"})
    template = parse(source, "html", attributes=names)
    assert template.unknown_variables == ()
    assert template.render(_PERSON) == rendered
    assert json.loads(template.render_json(_PERSON)) == rendered
    # Which attributes there are decides only what is reported.
    assert parse(source, "html").render(_PERSON) == rendered


def test_who_has_no_tags_and_no_attributes_gets_nothing_in_their_place() -> None:
    source = (
        "[{{ subscriber.tags }}{{ subscriber.tags | first }}{{ subscriber.tags | size }}{{ subscriber.attributes.a }}]"
    )
    assert parse(source, "text").render(values(subscriber_tags=())) == "[0]"


def test_a_template_says_which_attributes_it_uses_and_whether_tags() -> None:
    source = (
        "{{ subscriber.attributes.a }}{% if subscriber.attributes['b'] %}{{ 'x' | append: subscriber.attributes.c }}"
    )
    template = parse(source + "{% endif %}{{ newsletter.name }}", "html")
    assert template.attributes == {"a", "b", "c"}
    assert not template.uses_tags
    for used in ("{{ subscriber.tags | first }}", "{% if subscriber.tags.size > 3 %}{% endif %}"):
        assert parse(used, "html").uses_tags


def test_sample_values_fit_the_types_of_attributes() -> None:
    types: dict[str, AttributeType] = {"city": "text", "age": "number", "member": "boolean", "born": "date"}
    source = "{% if subscriber.attributes.age > 0 and subscriber.attributes.born > '2000' %}x{% endif %}"
    parse(source, "text").check(sample_values(types))
    with pytest.raises(TemplateError, match="not supported"):
        parse("{% if subscriber.attributes.city > 0 %}x{% endif %}", "text").check(sample_values(types))


def test_the_names_of_fields_are_listed_for_authors() -> None:
    listed = variable_names(frozenset({"city", "age"}))
    assert listed.startswith("{{ issue.published_on }}, {{ issue.title }}, ")
    assert listed.endswith("{{ web_url }}, {{ subscriber.attributes.age }}, {{ subscriber.attributes.city }}")
    assert is_known("subscriber.attributes.city", frozenset({"city"}))
    assert not is_known("subscriber.attributes.city", frozenset())


@pytest.mark.parametrize("kind", ["html", "text"])
def test_what_all_mails_share_is_filled_in_once(kind: Kind) -> None:
    shared = values(newsletter_name="News & More", newsletter_postal_address="1 <Example> Street", issue_title="First")
    source = (
        "{{ newsletter.name }} {{ newsletter.slug }} {{ newsletter.postal_address | upcase }} {{ issue.published_on }}"
        "{{ web_url }}{{ 'x' | upcase }} {{ issue.title }}"
    )
    template = parse(source, kind)
    filled = template.filled(shared, SHARED_VARIABLES | {"issue.title"})
    assert filled.steps == (template.render(shared),)
    # Nothing of it is read any more for a mail.
    assert filled.render(SAMPLE_VALUES) == template.render(shared)
    assert json.loads(filled.render_json(SAMPLE_VALUES)) == template.render(shared)


@pytest.mark.parametrize(
    "source",
    [
        "{{ newsletter.name | append: subscriber.name }}",
        "{{ subscriber.name }}{{ newsletter.name }}",
        "{{ issue.title }}",
        "{{ newsletter[subscriber.name] }}",
        "{% if newsletter.name == 'Newsletter' %}{{ subscriber.name }}{% endif %}",
        "{% assign newsletter = subscriber %}{{ newsletter.name }}{{ newsletter.name | upcase }}",
        "{% assign a = subscriber.name %}{{ a }}{{ a | append: newsletter.name }}",
    ],
)
def test_what_differs_between_mails_is_not_filled_in(source: str) -> None:
    template = parse(source, "text")
    filled = template.filled(SAMPLE_VALUES)
    for name in ("Ada", "Ben"):
        mail = values(subscriber_name=name, issue_title=name)
        assert filled.render(mail) == template.render(mail)


def test_what_cannot_be_filled_in_is_an_error_before_any_mail() -> None:
    with pytest.raises(TemplateError, match="truncate expected an integer"):
        parse("{{ newsletter.name | truncate: 'many' }}", "text").filled(SAMPLE_VALUES)


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
    variable = draw(st.sampled_from([*sorted(VARIABLES), "subscriber.attributes.city"]))
    filter_ = st.sampled_from(["upcase", "escape", "strip", "default: 'x'", "default: '<b>'", "append: ' y'"])
    filters = draw(st.lists(filter_, max_size=3))
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
    merged=st.builds(
        values,
        subscriber_name=st.text("a<&'\"{}% é\\\n\x01\u2028😀", max_size=10),
        subscriber_tags=st.lists(st.text("a<&", max_size=3), max_size=3).map(tuple),
        subscriber_attributes=st.dictionaries(
            st.just("city"), st.one_of(st.text("a<&", max_size=3), st.booleans(), st.integers(), st.just(1.5))
        ),
    ),
    is_filled=st.booleans(),
)
def test_it_renders_as_the_whole_of_liquid_would(
    pieces: list[str], kind: Kind, merged: MailValues, *, is_filled: bool
) -> None:
    source = "".join(pieces)
    try:
        template = parse(source, kind)
    except TemplateError:
        return
    if is_filled:
        template = template.filled(merged)
    reference = Environment(autoescape=kind == "html").from_string(source)
    rendered = template.render(merged)
    assert json.loads(template.render_json(merged)) == rendered
    assert rendered == reference.render(
        subscriber={
            "name": merged.subscriber_name,
            "email": merged.subscriber_email,
            "tags": list(merged.subscriber_tags),
            "attributes": dict(merged.subscriber_attributes),
        },
        newsletter={
            "name": merged.newsletter_name,
            "slug": merged.newsletter_slug,
            "postal_address": merged.newsletter_postal_address,
        },
        issue={"title": merged.issue_title, "published_on": merged.issue_published_on},
        unsubscribe_url=merged.unsubscribe_url,
        preferences_url=merged.preferences_url,
        web_url=merged.web_url,
    )


@pytest.mark.parametrize("kind", ["html", "text"])
def test_every_variable_is_merged_as_json_too_whatever_kind_of_text_it_is(kind: Kind) -> None:
    class OwnText(str):
        __slots__ = ()

    texts = [name for name in MailValues.__struct_fields__ if isinstance(getattr(SAMPLE_VALUES, name), str)]
    merged = values(**{name: OwnText(f"<{name}>") for name in texts})
    merged = msgspec.structs.replace(
        merged, subscriber_email=EmailAddress.parse("ada&co@example.com"), subscriber_tags=(OwnText("<tag>"),)
    )
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
