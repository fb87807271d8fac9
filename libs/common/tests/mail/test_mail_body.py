"""A way to leave and the sender's address: in every mail, where a reader sees them."""

import re

import msgspec
import pytest

from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody, keep_links_to_leave, text_shows_link
from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX, Subject
from broadsheet_common.mail.mail_template import parse
from broadsheet_common.mail.merge_fields import SAMPLE_VALUES, SHARED_VARIABLES, SUBJECT_VARIABLES, MailValues
from broadsheet_common.mail.template_work import TemplateError, Work
from broadsheet_common.mail.visible_html import look_at_html

URL = SAMPLE_VALUES.unsubscribe_url
LINK = '<a href="{{ unsubscribe_url }}">leave</a>'
ADDRESS = "1 Example Street,\nExampletown"


def html_of(source: str, address: str = "", merged: MailValues = SAMPLE_VALUES) -> str:
    return _text(HtmlBody(parse(source, "html"), Footer("News & More", address)).render(merged, Work()))


def text_of(source: str, address: str = "", merged: MailValues = SAMPLE_VALUES) -> str:
    return _text(TextBody(parse(source, "text"), Footer("News & More", address)).render(merged, Work()))


def _text(body: str | msgspec.Raw) -> str:
    return body if isinstance(body, str) else msgspec.json.decode(body, type=str)


# Looked at once for everybody; that and a part of each mail; each mail as a whole: all must say the same.
WAYS = [
    "",
    "{% if subscriber.name != 'x' %}<p>y</p>{% endif %}",
    "{% if subscriber.name != 'x' %}<style>.y{color:red}</style>{% endif %}",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "body",
    [
        LINK,
        f"<table><tr><td style='font-size:0px'><span>{LINK}</span></td></tr></table>",
        f"<div style='display:none'>preheader <b>x</b></div>{LINK}",
        "<A HREF='{{ unsubscribe_url }}' style='color:red'><span>leave</span></A>",
        "<a href={{ unsubscribe_url }}>leave</a>",
        f"<p title='a > b'>{LINK}<br>",
        f"<!-- a --><!--[if mso]><p>x</p><![endif]-->{LINK}",
        f"<style>.x {{ display: none }} p {{ color: red }}</style>{LINK}",
    ],
)
def test_who_sees_the_link_gets_no_second_one(way: str, body: str) -> None:
    rendered = html_of(f"<html><body>{way}{body}</body></html>")
    assert look_at_html(rendered, URL).shows_link
    assert "Unsubscribe" not in rendered


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "body",
    [
        "<p>Hi</p>",
        "<p>The merge field is called unsubscribe_url.</p>",
        "<p>{{ unsubscribe_url }}</p>",
        "{% raw %}{{ unsubscribe_url }}{% endraw %}",
        "{% assign u = unsubscribe_url %}",
        f"{{% if subscriber.name == 'nobody' %}}{LINK}{{% endif %}}",
        f"<!-- {LINK} -->",
        f"<!--[if mso]>{LINK}<![endif]-->",
        f"<!--[if !mso]><!-->{LINK}<!--<![endif]-->",
        f"<![if !mso]>{LINK}<![endif]>",
        f"<div hidden>{LINK}</div>",
        f"<div style='display : none'>{LINK}</div>",
        f"<div style='DISPLAY:/**/none'>{LINK}</div>",
        f"<div style='display:n\\6fne'>{LINK}</div>",
        f"<div style='max-height:0;overflow:hidden'><p>{LINK}</p></div>",
        f"<div style='visibility:hidden'>{LINK}</div>",
        f"<template>{LINK}</template>",
        f"<noscript>{LINK}</noscript>",
        f"<select><option>{LINK}</option></select>",
        f"<svg>{LINK}</svg>",
        f"<textarea>{LINK}</textarea>",
        f"<title>{LINK}</title>",
        f"<script>'{LINK}'</script>",
        "<a href='{{ unsubscribe_url }}'></a>",
        "<a href='{{ unsubscribe_url }}'>&nbsp;&#8203; </a>",
        "<a href='{{ unsubscribe_url }}'><img src='x' alt='leave'></a>",
        "<a href='{{ unsubscribe_url }}'><span style='display:none'>leave</span></a>",
        "<a href='{{ unsubscribe_url }}' style='font-size:0'>leave</a>",
        "<a class='q' href='{{ unsubscribe_url }}'>leave</a><style>.q{display:none}</style>",
        "<a href='{{ unsubscribe_url }}x'>leave</a>",
        "<a href='https://example.com' href='{{ unsubscribe_url }}'>leave</a>",
        f"<p title='{LINK}'>x</p>",
        f"<p x=it's ><!-- ' >{LINK} -->",
        f"<p hidden><div>{LINK}",
    ],
)
def test_who_does_not_see_the_link_gets_a_footer_that_shows_it(way: str, body: str) -> None:
    rendered = html_of(f"<html><body>{way}<p>Hi</p>{body}</body></html>")
    seen = look_at_html(rendered, URL)
    assert seen.shows_link
    assert "You get this because you subscribed to News & More. Unsubscribe" in seen.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "broken", ["<!-- never closed", "<div style='display:none'>", "<p title='never closed", "<textarea>", "<plaintext>"]
)
def test_a_footer_is_not_put_where_nobody_sees_it(way: str, broken: str) -> None:
    rendered = html_of(f"<!doctype html><html><body class='a'>{way}<p>Hi</p>{broken}</body></html>")
    assert look_at_html(rendered, URL).shows_link
    assert rendered.startswith("<!doctype html><html><body class='a'><p style=")


def test_an_end_of_the_body_in_a_comment_is_none() -> None:
    assert html_of("<body><p>Hi</p></body><!-- </body> -->").endswith("</p></body><!-- </body> -->")


@pytest.mark.parametrize("way", WAYS)
def test_a_dotted_capital_i_moves_nothing(way: str) -> None:
    rendered = html_of(f"{way}<html><body><p>İSTANBUL İÇİN İYİ GÜNLER</p></body></html>")
    assert rendered.partition("<html>")[2].startswith("<body><p>İSTANBUL İÇİN İYİ GÜNLER</p><p style=")
    assert rendered.endswith("</p></body></html>")


@pytest.mark.parametrize("way", WAYS)
def test_what_is_merged_changes_nothing_of_what_is_seen(way: str) -> None:
    merged = msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="none")
    sources = [
        f"<div style='display:{{{{ subscriber.name }}}}'>{LINK}</div>{way}",
        f"<div {{{{ subscriber.name }}}}>{LINK}</div>{way}",
        f"<style>a{{display:{{{{ subscriber.name }}}}}}</style>{LINK}{way}",
        f"<a href='{{{{ unsubscribe_url }}}}'>{{{{ newsletter.name | remove: 'Newsletter' }}}}</a>{way}",
    ]
    hidden = msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="hidden")
    for source in sources:
        for values in (merged, hidden, SAMPLE_VALUES):
            assert look_at_html(html_of(source, merged=values), URL).shows_link
    assert "Unsubscribe" in html_of(sources[0], merged=merged)
    assert "Unsubscribe" in html_of(sources[1], merged=hidden)


@pytest.mark.parametrize("way", WAYS)
def test_the_postal_address_is_seen_in_every_mail_once(way: str) -> None:
    for source in (LINK, "<p>Hi</p>", f"<!-- {ADDRESS} -->{LINK}"):
        seen = look_at_html(html_of(f"<body>{way}{source}</body>", ADDRESS), URL)
        assert " ".join(seen.text.split()).count("1 Example Street, Exampletown") == 1
    assert html_of(f"<p>1 Example Street, Exampletown</p>{way}{LINK}", ADDRESS).count("Exampletown") == 1
    for source in ("{{ unsubscribe_url }}", "Hi"):
        assert text_of(f"{way}{source}", ADDRESS).count("Exampletown") == 1
    assert text_of(f"{way}1 Example Street, Exampletown {{{{ unsubscribe_url }}}}", ADDRESS).count("Exampletown") == 1


@pytest.mark.parametrize("way", WAYS)
def test_an_address_that_is_merged_is_not_added_again(way: str) -> None:
    values = msgspec.structs.replace(SAMPLE_VALUES, newsletter_postal_address=ADDRESS)
    footer = Footer("News & More", ADDRESS)
    source = f"{way}<p>{{{{ newsletter.postal_address }}}}</p>{LINK}"
    html = _text(HtmlBody(parse(source, "html").filled(values), footer).render(values, Work()))
    assert html.count("Exampletown") == 1
    source = f"{way}{{{{ newsletter.postal_address }}}}\n{{{{ unsubscribe_url }}}}"
    text = _text(TextBody(parse(source, "text").filled(values), footer).render(values, Work()))
    assert text.count("Exampletown") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_link_to_the_preferences_is_no_link_to_unsubscribe(way: str) -> None:
    assert SAMPLE_VALUES.preferences_url.startswith(URL)
    rendered = html_of(f"<body>{way}<a href='{{{{ preferences_url }}}}'>your settings</a></body>")
    assert look_at_html(rendered, URL).shows_link
    rendered = text_of(f"{way}\nYour settings: {{{{ preferences_url }}}}")
    assert text_shows_link(rendered, URL)
    assert rendered.count(f"{URL}/choices") == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_link_of_the_footer_is_not_tracked(way: str) -> None:
    [link] = re.findall(r"<a [^>]*>Unsubscribe</a>", html_of(f"<p>Hi</p>{way}"))
    assert " data-pm-no-track " in link
    assert f'href="{URL}"' in link


@pytest.mark.parametrize("field", ["unsubscribe_url", "preferences_url"])
def test_the_authors_own_links_to_leave_are_kept_from_tracking_and_no_others(field: str) -> None:
    other = (
        "<a href='https://example.com'>x</a><abbr title='{{ unsubscribe_url }}'>y</abbr><b>{{ unsubscribe_url }}</b>"
    )
    for link in (
        f"<a href='{{{{ {field} }}}}'>z</a>",
        f'<A class="x"\n href="{{{{- {field} | escape -}}}}">z</A>',
        f"{{% if true %}}<a href={{{{{field}}}}}>z</a>{{% endif %}}",
    ):
        kept = keep_links_to_leave(f"{other}{link}{other}")
        at = link.lower().index("<a") + len("<a")
        assert kept == f"{other}{link[:at]} data-pm-no-track{link[at:]}{other}"
        assert keep_links_to_leave(kept) == kept
    own = f"<a href='{{{{ {field} }}}}' data-pm-no-track>z</a>"
    assert keep_links_to_leave(own) == own


def test_looking_for_links_to_leave_takes_no_more_than_one_pass() -> None:
    for source in ("<a " * 1_500_000, "<a {{" * 1_000_000, "<a " + "{{ " * 1_500_000, "<a " + "x" * 4_000_000):
        assert keep_links_to_leave(source) == source


def test_a_body_that_is_hidden_as_a_whole_is_refused() -> None:
    with pytest.raises(TemplateError, match="hidden"):
        html_of("<html><body style='display:none'><p>Hi</p></body></html>")


def test_deep_and_broken_markup_takes_no_more_than_one_pass() -> None:
    for source in ("<div>" * 500_000, "<" * 2_000_000, "<a " * 500_000, "<p hidden>" * 500_000, "<!--" * 500_000):
        assert not look_at_html(source, URL).shows_link


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("source", "is_shown"),
    [
        ("Leave: {{ unsubscribe_url }}", True),
        ("<{{ unsubscribe_url }}>, or not", True),
        ("Leave at {{ unsubscribe_url }}. Bye", True),
        ("called unsubscribe_url", False),
        ("{{ unsubscribe_url }}abc", False),
        ("{{ unsubscribe_url }}/x", False),
        ("x{{ unsubscribe_url }}", False),
        ("{{ unsubscribe_url }}{{ subscriber.name }}", False),
        ("{% comment %}{{ unsubscribe_url }}{% endcomment %}", False),
    ],
)
def test_the_text_part_shows_the_link_as_it_is_or_gets_it(way: str, source: str, is_shown: bool) -> None:
    rendered = text_of(f"{source}\n{way}")
    assert text_shows_link(rendered, URL)
    assert ("You get this" in rendered) is not is_shown


def test_a_title_is_a_template_of_one_line() -> None:
    assert Subject("Hi {{ subscriber.name }}, news").render(SAMPLE_VALUES, Work()) == "Hi Ada Lovelace, news"
    assert Subject("50 % {off} & <b>").render(SAMPLE_VALUES, Work()) == "50 % {off} & <b>"
    assert Subject("{% raw %}{{ x }}{% endraw %}").render(SAMPLE_VALUES, Work()) == "{{ x }}"
    named = msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="A\r\nBcc: x@example.com\x00\u2028B")
    assert Subject("{{ subscriber.name }}").render(named, Work()) == "A Bcc: x@example.com B"
    nobody = msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="")
    assert Subject("{{ subscriber.name }}").render(nobody, Work()) == "Newsletter"


def test_a_subject_is_never_longer_than_postmark_takes() -> None:
    named = msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="😀" * 5_000)
    subject = Subject("x{{ subscriber.name }}").render(named, Work())
    assert len(subject.encode("utf-16-le")) // 2 <= SUBJECT_UTF16_UNITS_MAX
    assert subject.endswith("😀…")


def test_a_title_may_use_what_belongs_to_its_reader_and_its_newsletter() -> None:
    source = (
        "{{ newsletter.name }} {{ issue.published_on }}: {{ subscriber.attributes.city | default: 'you' }}"
        "{% if subscriber.tags contains 'reader' %}, reader{% endif %}"
    )
    title = Subject(source, attributes=None)
    assert title.render(SAMPLE_VALUES, Work()) == "Newsletter 2026-01-31: you, reader"
    assert title.plain_text is None
    assert title.uses_tags
    assert title.attributes == {"city"}
    assert Subject(source, attributes=frozenset({"city"})).attributes == {"city"}
    with pytest.raises(TemplateError, match=r"attributes\.city`.*attributes\.town \}\}$") as raised:
        Subject(source, attributes=frozenset({"town"}))
    assert (raised.value.line, raised.value.column) == (1, 52)


def test_a_subject_may_use_the_title_besides() -> None:
    subject = Subject("{{ newsletter.name }}: {{ issue.title }}", allowed=SUBJECT_VARIABLES)
    assert subject.render(SAMPLE_VALUES, Work()) == "Newsletter: Title"
    assert subject.filled(SAMPLE_VALUES).plain_text is None
    assert subject.filled(SAMPLE_VALUES, SHARED_VARIABLES | {"issue.title"}).plain_text == "Newsletter: Title"
    for link in ("unsubscribe_url", "preferences_url", "web_url"):
        with pytest.raises(TemplateError, match=link):
            Subject(f"{{{{ {link} }}}}", allowed=SUBJECT_VARIABLES)


def test_a_title_that_is_the_same_for_everybody_is_known_as_such() -> None:
    assert Subject("{{ newsletter.slug }} {{ issue.published_on }}").plain_text is None
    filled = Subject("{{ newsletter.slug }} {{ issue.published_on }}").filled(SAMPLE_VALUES)
    assert filled.plain_text == "newsletter 2026-01-31"
    assert Subject("Hi {{ subscriber.name }}").filled(SAMPLE_VALUES).plain_text is None


@pytest.mark.parametrize(
    "title",
    [
        "{{ issue.title }}",
        "{{ subscriber.attributes.city }}",
        "{{ unsubscribe_url }}",
        "{{ nobody }}",
        "{{ x",
        "{% for %}",
    ],
)
def test_a_title_that_cannot_be_rendered_is_refused(title: str) -> None:
    with pytest.raises(TemplateError):
        Subject(title)


@pytest.mark.parametrize(
    "source",
    [
        f"{{% if true %}}<div hidden>{{% endif %}}{LINK}</div>",
        f"{{% if true %}}<!--{{% endif %}}{LINK}-->",
        f"<{{{{ 'textarea' }}}}>{LINK}",
        f"<{{% if true %}}textarea{{% endif %}}>{LINK}",
        f"{{% if true %}}<{{% endif %}}textarea>{LINK}",
        f"<{{{{ newsletter.name | downcase }}}} hidden>{LINK}",
        f"<div {{% if true %}}hidden{{% endif %}}>{LINK}</div>",
        f"<!-{{% if true %}}-{{% endif %}} > {LINK} -->",
        f"<!-- a {{% if true %}}--><div hidden>{{% endif %}} -->{LINK}",
        f"<style>{{% if true %}}a{{display:none}}{{% endif %}}</style>{LINK}",
        "<a href='{{ unsubscribe_url }}'>{% if true %}<span hidden>{% endif %}leave</span></a>",
        "<a href='{{ unsubscribe_url }}'>{% if false %}leave{% endif %}</a>",
        f"{{% if true %}}<a href='https://example.com'>x{{% endif %}}<p hidden>{LINK}</p>",
    ],
)
def test_a_part_that_changes_what_is_seen_of_the_rest_is_noticed(source: str) -> None:
    assert "Unsubscribe" in html_of(source)
    assert look_at_html(html_of(source), URL).shows_link


def test_a_link_in_a_branch_is_enough_for_whom_it_is_shown_to() -> None:
    source = f"<p>Hi</p>{{% if subscriber.name == 'Ada Lovelace' %}}{LINK}{{% endif %}}"
    assert "Unsubscribe" not in html_of(source)
    assert "Unsubscribe" in html_of(source, merged=msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="Ben"))
    source = "{% if subscriber.name == 'Ada Lovelace' %}{{ unsubscribe_url }}{% endif %}"
    assert "You get this" not in text_of(source)
    assert "You get this" in text_of(source, merged=msgspec.structs.replace(SAMPLE_VALUES, subscriber_name="Ben"))


@pytest.mark.parametrize(
    ("language", "why", "leave"),
    [
        ("de-AT", "Sie erhalten diese E-Mail, weil Sie News & More abonniert haben.", "Abbestellen"),
        ("fr", "Vous recevez cet e-mail en raison de votre abonnement à News & More.", "Se désabonner"),
        ("es", "Recibe este correo porque se suscribió a News & More.", "Cancelar la suscripción"),
        ("it", "You get this because you subscribed to News & More.", "Unsubscribe"),
    ],
)
def test_the_footer_is_in_the_newsletters_language(language: str, why: str, leave: str) -> None:
    footer = Footer("News & More", "", language)
    html = _text(HtmlBody(parse("<p>Hi</p>", "html"), footer).render(SAMPLE_VALUES, Work()))
    seen = look_at_html(html, URL)
    assert f"{why} {leave}" in seen.text
    assert seen.shows_link
    text = _text(TextBody(parse("Hi", "text"), footer).render(SAMPLE_VALUES, Work()))
    assert f"\n{why}\n{leave}: {URL}\n" in text
