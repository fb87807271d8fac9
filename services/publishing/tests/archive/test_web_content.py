"""What a public page shows of a mail: nothing of anybody, nothing that acts, nothing that runs."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from broadsheet_common.mail.issue_mail import IssueFacts, IssueMail, IssueTemplates, Reader, text_of
from broadsheet_common.mail.template_work import Work
from broadsheet_publishing.archive.safe_html import acts_for_somebody, safe_html
from broadsheet_publishing.archive.web_content import (
    SUMMARY_CHARS_MAX,
    WebContent,
    WebPlace,
    render_content,
    render_lines,
)
from broadsheet_publishing.compiling.issue_source import Format

from ..compiling.compiled import compiled

PLACE = WebPlace(
    newsletter_name="The Weekly",
    newsletter_slug="weekly",
    postal_address="1 Example Street, Exampletown",
    published_at=datetime(2026, 3, 19, 23, 30, tzinfo=UTC),
    public_url="https://news.example.com",
    issue_slug="first",
)
SIGN_UP = "https://news.example.com/newsletters/weekly"
SECRETS = ("Zqname", "zqmail@example.net", "zqtag", "zqattribute", "zqtoken")
SOMEBODY = Reader(
    name="Zqname",
    email="zqmail@example.net",
    unsubscribe_url="https://news.example.com/unsubscribe/zqtoken",
    preferences_url="https://news.example.com/unsubscribe/zqtoken/choices",
    tags=("zqtag",),
    attributes={"plan": "zqattribute"},
)


def shown(html: str | None, text: str = "text", *, title: str = "First") -> WebContent:
    return render_content(title=title, html_content=html, text_content=text, place=PLACE, shown_title=title)


def web(content: str, format_: Format = "markdown", *, shipped: bool = False) -> WebContent:
    """Of a compiled issue; `shipped`: in the layout that ships."""
    issue = compiled(content, format_, layout=None) if shipped else compiled(content, format_)
    return shown(issue.html_content, issue.text_content, title=issue.title)


def hrefs(html: str) -> list[str]:
    return [node.attributes.get("href") or "" for node in LexborHTMLParser(html).css("a[href]")]


def cleaned(html: str, *, keeps_look: bool = True) -> str:
    return safe_html(html, keeps_look=keeps_look, public_url=PLACE.public_url, neutral_url=SIGN_UP)


PIECES = [
    "Hello {{ subscriber.name | default: 'reader' }}, ", "{{ subscriber.name }}", "<b>{{ subscriber.email }}</b>",
    "{% if subscriber.name == 'Zqname' %}zqtoken for you{% else %}for all{% endif %}",
    "{% if subscriber.email contains 'zqmail' %}zqattribute{% endif %}",
    "{{ subscriber.tags.last }}", "{{ subscriber.tags.first }}",
    "{% if subscriber.tags contains 'zqtag' %}zqtoken{% endif %}",
    "https://news.example.com/unsubscribe/zqtoken", "see news.example.com/preferences/zqtoken. ",
    "{% unless subscriber.attributes.plan %}no plan{% endunless %}{{ subscriber.attributes.plan }}",
    '<a href="{{ unsubscribe_url }}">leave</a> ', '<a href="{{ preferences_url }}">choose</a> ',
    '<a href="https://example.com/?who={{ subscriber.email }}&n={{ subscriber.name | url_encode }}">see</a> ',
    '<a href="mailto:{{ subscriber.email }}">you</a> ',
    '<img src="https://example.com/{{ subscriber.name }}.png" alt="">',
    '<a href="https://news.example.com/unsubscribe/zqtoken">old link</a> ',
    '<a href="https://NEWS.example.com:443/Unsubscribe/zqtoken?x=1">old link</a> ',
    '<a href="https://news.example.com/subscriptions/confirm?subscription_token=zqtoken">confirm</a> ',
    '<a href="https://news.example.com/change-of-address/zqtoken">change</a> ',
    '<a href="https://news.example.com/preferences/zqtoken">old choices</a> ',
    '<div style="color:red;position:fixed;background:url(https://e.com/{{ subscriber.name }})">x</div>',
    '<p title="{{ subscriber.name }}">p</p>', "plain ", "<h1>{{ issue.title }}</h1>", "{{ web_url }}",
]  # fmt: skip


@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), title=st.sampled_from(PIECES[:7]))
@settings(max_examples=150, deadline=None)
def test_no_value_and_no_token_of_a_subscriber_is_in_a_page(pieces: list[str], title: str) -> None:
    html = "".join(pieces)
    lines = render_lines(title, title, PLACE)
    content = shown(html, html, title=title)
    as_text = shown(None, html, title=title)
    shown_texts = [content.html, content.text_start, as_text.html, as_text.text_start, lines.title, lines.summary]
    page = "\n".join(shown_texts)
    assert [secret for secret in SECRETS if secret.lower() in page.lower()] == []
    assert "{{" not in page
    assert "{%" not in page
    for link in hrefs(content.html) + hrefs(as_text.html):
        assert link.startswith(("https://", "http://", "mailto:", "#mail-"))
        assert not acts_for_somebody(link, "news.example.com")


@pytest.mark.parametrize("piece", [piece for piece in PIECES if "{{ subscriber" in piece or "_url" in piece])
def test_each_of_these_has_something_of_its_reader_in_the_mail(piece: str) -> None:
    """Or the test above would prove nothing."""
    templates = IssueTemplates(title="First", subject="First", html_content=piece, text_content="text")
    facts = IssueFacts(
        newsletter_name="The Weekly",
        newsletter_slug="weekly",
        postal_address="",
        published_at=PLACE.published_at,
        web_url=PLACE.web_url,
    )
    mail = IssueMail(templates, facts).render(SOMEBODY, Work())
    assert mail.html_body is not None
    assert any(secret in text_of(mail.html_body) for secret in SECRETS)


def test_a_field_without_a_value_has_its_default() -> None:
    assert "Hello reader" in web("Hello {{ subscriber.name | default: 'reader' }}").html


def test_what_leads_to_its_readers_own_pages_leads_to_the_sign_up_page() -> None:
    found = hrefs(web("[a](<{{ unsubscribe_url }}>) [b](<{{ preferences_url }}>) [c](<{{ web_url }}>)").html)
    assert found == [SIGN_UP, SIGN_UP, f"{SIGN_UP}/issues/first"]


def test_a_page_has_no_footer_to_leave_with() -> None:
    """Neither the one of the layout that ships, nor the one that a mail without a link to leave gets."""
    for content in (web("Text.", shipped=True), shown("<p>Text.</p>")):
        assert "Text." in content.html
        assert "nsubscribe" not in content.html
        assert "You get this" not in content.html


def test_the_preheader_and_what_a_mail_hides_are_not_shown() -> None:
    html = '<div style="Display : none">secret preheader</div><div hidden>for phones</div><p>Seen.</p>'
    content = shown(html)
    assert content.html.strip() == "<p>Seen.</p>"
    assert "secret" not in content.text_start
    assert shown("<p>Seen.</p><script>unseen()</script><style>p { color: red }</style>").text_start == "Seen."
    assert "for phones" not in content.text_start


def test_in_the_layout_that_ships_the_page_has_its_own_look() -> None:
    content = web("# Title\n\nText with a [link](https://example.com/).\n\n| a | b |\n|-|-|\n| 1 | 2 |\n", shipped=True)
    assert not content.keeps_look
    assert "style" not in content.html
    assert "<h1" not in content.html, "the page has the title already"
    assert '<a href="https://example.com/" rel="noopener noreferrer">link</a>' in content.html
    assert "<td>1</td>" in content.html


def test_a_heading_that_says_something_else_stays() -> None:
    assert "<h1>Other</h1>" in web("# Other\n\nText.", shipped=True).html
    assert "<h1>Title</h1>" in web("Text first.\n\n# Title\n", shipped=True).html


def test_a_designed_mail_keeps_the_safe_part_of_its_look() -> None:
    mjml = (
        "<mjml><mj-body><mj-section background-color='#ffeeaa'><mj-column><mj-text color='#aa0000'>Red</mj-text>"
        "<mj-button href='https://example.com/'>Go</mj-button></mj-column></mj-section></mj-body></mjml>"
    )
    content = web(mjml, "mjml")
    assert content.keeps_look
    assert "color:#aa0000" in content.html
    assert 'role="presentation"' in content.html
    assert hrefs(content.html)[0] == "https://example.com/"


def test_footnotes_lead_to_their_places_and_meet_no_id_of_the_page() -> None:
    content = web("Text.[^1]\n\n[^1]: Note.", shipped=True)
    tree = LexborHTMLParser(content.html)
    ids = {node.attributes["id"] for node in tree.css("[id]")}
    assert ids
    assert all(name is not None and name.startswith("mail-") for name in ids)
    assert {link.removeprefix("#") for link in hrefs(content.html)} <= ids


def test_plain_text_becomes_paragraphs_and_links() -> None:
    text = "One <b>\ntwo *three*\n\n    indented\n\nSee https://example.com/a?b=c&d."
    assert shown(None, text).html.startswith(
        '<p>One &lt;b&gt;\ntwo *three*</p>\n<p>indented</p>\n<p>See <a href="https://example.com/a?b=c&amp;d"'
    )


def test_html_that_takes_too_long_to_parse_is_shown_as_its_text() -> None:
    content = shown("<div>" * 2_000 + "deep" + "</div>" * 2_000, "the text")
    assert "<p>the text" in content.html


def test_a_summary_is_the_preheader_and_a_description_the_beginning_of_the_text() -> None:
    assert render_lines("Hi {{ subscriber.name }}", "For {{ subscriber.name | default: 'you' }}", PLACE).summary == (
        "For you"
    )
    assert render_lines("{{ subscriber.name }}", "", PLACE).title == "The Weekly"
    assert render_lines("{{ subscriber.name", "{{ nothing.known }}", PLACE).summary == ""
    assert len(web("word " * 1_000).text_start) <= SUMMARY_CHARS_MAX


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="JaVa\tScRiPt:alert(1)">x</a>',
        '<a href="data:text/html,<script>alert(1)</script>">x</a>',
        "<svg><script>alert(1)</script></svg>",
        "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
        "<form action=https://e.com><input name=q><button>go</button></form>",
        "<iframe src=https://e.com></iframe>",
        "<object data=https://e.com></object>",
        "<embed src=https://e.com>",
        "<base href=https://e.com/>",
        "<meta http-equiv=refresh content='0;url=https://e.com'>",
        "<link rel=stylesheet href=https://e.com/x.css>",
        "<style>@import url(https://e.com/x.css)</style>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
        "<div style='background:url(javascript:alert(1))'>x</div>",
        "<div style='background:u\\72l(https://e.com)'>x</div>",
        "<div style='position:fixed;top:0;left:0;z-index:9'>x</div>",
        "<p onclick=alert(1) onmouseover=alert(1)>x</p>",
        "<img src='http://e.com/x.png'>",
        "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
        "<video src=https://e.com autoplay></video>",
        "<template><img src=x onerror=alert(1)></template>",
        "<p class=masthead id=main>x</p>",
        "<a href='//e.com/x' target=_blank>x</a>",
        "<a href='/admin/dashboard'>x</a>",
        "<isindex type=image src=1 onerror=alert(1)>",
        "<!--><img src=x onerror=alert(1)>-->",
    ],
)
@pytest.mark.parametrize("keeps_look", [True, False])
def test_nothing_of_an_author_runs_sends_or_loads(attack: str, keeps_look: bool) -> None:
    tree = LexborHTMLParser(f"<body>{cleaned(f'<p>before</p>{attack}<p>after</p>', keeps_look=keeps_look)}</body>")
    assert tree.body is not None
    names = {node.tag for node in tree.body.traverse()} - {"body"}
    assert names <= {"p", "a", "img", "div"}
    for node in tree.body.traverse():
        for name, value in node.attributes.items():
            assert not name.startswith("on")
            assert name not in {"class", "target"}
            assert "url(" not in (value or "")
            assert "position" not in (value or "")
            if name in {"href", "src"}:
                assert (value or "").startswith("https://")
            if name == "id":
                assert (value or "").startswith("mail-")
    assert "before" in tree.body.text()


def test_a_button_of_the_text_stays_one_and_no_other_class_of_the_page_is_taken_on() -> None:
    words = (
        '<p class="button masthead"><a class="x button notice" href="https://e.com/a">Go</a> '
        '<a class="notice" href="https://e.com/b">on</a></p>'
    )
    tree = LexborHTMLParser(cleaned(words, keeps_look=False))
    assert [node.attributes.get("class") or "" for node in tree.css("p, a")] == ["", "button", ""]


ACTING_PATHS = ("/unsubscribe/", "/preferences/", "/subscriptions/confirm", "/change-of-address/", "/admin/issues/1")


@pytest.mark.parametrize("path", ACTING_PATHS)
def test_an_acting_link_of_the_own_site_is_known_however_it_is_written(path: str) -> None:
    for url in (
        f"https://news.example.com{path}x",
        f"http://NEWS.EXAMPLE.COM:8081{path.upper()}x?y#z",
        f" https://somebody@news.example.com{path}",
        f"https://news.example.com//{path.strip('/')}/x",
        f"https://news.example.com/%{ord(path[1]):02x}{path[2:]}x",
        f"https://news.example.com/newsletters/..{path}x",
        f"https://news.example.com/newsletters/x/../..{path}x",
        f"https://news.example.com.{path}x",
        f"https://news%2Eexample.com{path}x",
        f"https://\uff4eews.example.com{path}x",
        f"https:\\\\news.example.com{path}x",
        f"https:news.example.com{path}x",
        f"https:////news.example.com{path}x",
        f"https://[news.example.com{path}x",
    ):
        assert acts_for_somebody(url, "news.example.com"), url
    assert not acts_for_somebody(f"https://other.example.com{path}x", "news.example.com")


def test_links_to_the_own_sites_public_pages_stay() -> None:
    own = "/newsletters/weekly"
    for path in ("", "/", own, f"{own}/issues", f"{own}/issues/first?utm=x#a", f"{own}/feed.atom"):
        assert not acts_for_somebody(f"https://news.example.com{path}", "news.example.com"), path
    for other in ("mailto:a@example.com", "tel:+441234", "#mail-x", "https://example.com/unsubscribe/x"):
        assert not acts_for_somebody(other, "news.example.com")
