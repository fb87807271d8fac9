"""The layout that ships, and newsletters' own."""

import re

import msgspec
import pytest

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, HtmlBody
from broadsheet_common.mail.mail_template import SAMPLE_VALUES
from broadsheet_common.mail.readable_colour import contrast, readable
from broadsheet_common.mail.template_work import Work
from broadsheet_publishing.compiling import layout as layout_module
from broadsheet_publishing.compiling.issue_source import Layout, Look

from .compiled import LINK, LOOK, NAME, compiled, faults_of, html_of, rendered

LTR_AND_RTL = (LOOK, msgspec.structs.replace(LOOK, language="ar", direction="rtl"))


def mjml(inner: str) -> str:
    return f"<mjml><mj-body><mj-section><mj-column>{inner}</mj-column></mj-section></mj-body></mjml>"


def shipped(content: str = "# Hi", look: Look = LOOK) -> str:
    html = compiled(content, layout=None, look=look).html_content
    assert html is not None
    return html


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def test_delivery_adds_nothing_and_checks_no_single_mail_of_it() -> None:
    footer = Footer(newsletter_name=LOOK.newsletter_name, postal_address=LOOK.postal_address)
    template = mail_template.parse(
        compiled(f"Hi {NAME}", layout=None, preheader=f"For {NAME}").html_content or "", "html"
    )
    body = HtmlBody(template, footer)
    assert msgspec.json.encode(body.render(SAMPLE_VALUES, Work())) == template.render_json(SAMPLE_VALUES)
    assert body._for_everybody is template


def test_it_says_why_who_and_how_to_leave() -> None:
    html = shipped()
    assert "You get this because you subscribed to The Broadsheet." in html
    assert f'<a href="{LINK}"' in html
    assert re.search(r"1 Press Lane<br>\s*London", html)


def test_its_words_are_in_the_newsletters_language() -> None:
    look = msgspec.structs.replace(LOOK, language="de-CH", has_archive=True)
    html = shipped(look=look)
    assert "Sie erhalten diese E-Mail, weil Sie The Broadsheet abonniert haben." in html
    for words in ("Abbestellen", "Ihre Einstellungen", "Im Web lesen"):
        assert f">{words}</a>" in html
    text = compiled("# Hi", layout=None, look=look).text_content
    assert "Sie erhalten diese E-Mail, weil Sie The Broadsheet abonniert haben." in text
    assert "Im Web lesen: {{ web_url }}" in text
    assert "Abbestellen: {{ unsubscribe_url }}" in text


@pytest.mark.parametrize("has_archive", [False, True])
def test_its_links_are_those_that_the_template_language_and_the_newsletter_have(
    has_archive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = msgspec.structs.replace(LOOK, has_archive=has_archive)
    for known in (frozenset[str](), frozenset({"preferences_url", "web_url"})):
        monkeypatch.setattr(layout_module, "OPTIONAL_LINKS", known)
        source = layout_module.shipped_layout(look).source
        assert ("{{ preferences_url }}" in source) == bool(known)
        assert ("{{ web_url }}" in source) == (bool(known) and has_archive)


def test_a_logo_takes_the_place_of_the_name() -> None:
    look = msgspec.structs.replace(LOOK, logo_url="https://e.com/logo.png")
    html = shipped(look=look)
    (logo,) = re.findall(r'<img class="logo"[^>]*>', html)
    assert 'alt="The Broadsheet"' in logo
    assert re.search(r' width="\d+"', logo)
    assert '<p class="name"' not in html


@pytest.mark.parametrize("look", LTR_AND_RTL)
def test_it_has_the_newsletters_language_and_direction(look: Look) -> None:
    html = shipped("- a\n\n> b", look)
    assert f'<html lang="{look.language}" dir="{look.direction}"' in html
    side = "right" if look.direction == "rtl" else "left"
    assert f"padding-{side}: 26px" in html
    assert f"border-{side}: 3px solid" in html


def test_wherever_one_colour_is_set_the_other_is_too_by_day_and_by_night() -> None:
    html = shipped("# a\n\n`b`\n\n[c](https://e.com){.button}\n\n> d\n\n| e |\n|---|\n| f |")
    for name in ("body", '.* class="content"', "code", '.* class="button"', 'table class="desk"'):
        (tag,) = re.findall(rf"<{name}[^>]*>", html.partition("<body")[1] + html.partition("<body")[2])[:1]
        assert "background-color:" in tag
    dark = html.partition("@media (prefers-color-scheme: dark)")[2]
    for rule in ("body, .desk", ".content", ".content a.button", ".content code, .content pre"):
        assert re.search(rf"{re.escape(rule)} {{ background-color: #\w+ !important; color: #\w+ !important; }}", dark)
    assert '<meta name="color-scheme" content="light dark">' in html


@pytest.mark.parametrize("accent", ["#7a1f1f", "#ffffff", "#000000", "#f2c200", "#808080", "#0000ff"])
@pytest.mark.parametrize("background", ["#fffdf8", "#211e1a"])
def test_the_accent_can_be_read_on_both_papers(accent: str, background: str) -> None:
    assert contrast(rgb(readable(accent, background)), rgb(background)) >= 4.5


def test_an_accent_that_can_be_read_is_used_as_it_is() -> None:
    assert readable("#7a1f1f", "#fffdf8") == "#7a1f1f"
    assert "#7a1f1f" in shipped()


@pytest.mark.parametrize(
    "own",
    [
        Layout("html", "<html><body><table><tr><td>{{content}}</td></tr></table></body></html>"),
        Layout("html", "before {{ content }} after"),
        Layout("mjml", mjml("<mj-text>{{ content }}</mj-text>")),
        Layout("mjml", "<mjml><mj-body><mj-raw>{{- content -}}</mj-raw></mj-body></mjml>"),
    ],
)  # fmt: skip
def test_a_newsletters_own_layout_holds_the_content_once(own: Layout) -> None:
    html = html_of(f"# Hi {NAME}\n\n<br>&nbsp;x", layout=own)
    assert html.count(f"Hi {NAME}") == 1
    assert "content" not in re.sub(r'http-equiv="[^"]*" content=|name="[^"]*" content=', "", html)


def test_the_styles_of_a_layout_are_inlined_into_the_content() -> None:
    own = Layout("html", "<style>h1 { color: red }</style>{{ content }}")
    assert '<h1 style="color: red;">Hi</h1>' in html_of("# Hi", layout=own)


@pytest.mark.parametrize(
    ("own", "place"),
    [
        (Layout("html", "<p>x</p>"), (None, None)),
        (Layout("html", "{{ content | upcase }}"), (None, None)),
        (Layout("html", "{{ content }}\n {{ content }}"), (2, 2)),
        (Layout("html", '\n<p title="{{ content }}">x</p>'), (2, 11)),
        (Layout("html", "<head>\n{{ content }}</head>"), (2, 1)),
        (Layout("html", "<!-- {{ content }} -->"), (1, 6)),
        (Layout("mjml", mjml("{{ content }}")), (1, 39)),
    ],
)  # fmt: skip
def test_a_layout_with_no_place_or_two_is_a_fault(own: Layout, place: tuple[int | None, int | None]) -> None:
    faults = [fault for fault in faults_of("x", layout=own) if fault.code == "layout-content"]
    assert [(fault.field, fault.line, fault.column) for fault in faults] == [("layout", *place)]


def test_faults_of_a_layout_have_its_own_lines() -> None:
    (fault,) = faults_of("x\n\ny", layout=Layout("html", "{{ content }}\n{{ nobody }}"))
    assert (fault.field, fault.code, fault.line, fault.column) == ("layout", "unknown-field", 2, 4)
    (fault,) = faults_of("x", layout=Layout("mjml", "<mjml>\n<mj-txt>{{ content }}</mj-txt></mjml>"))
    assert (fault.field, fault.code, fault.line) == ("layout", "unknown-element", 2)


def test_a_layout_is_for_markdown_alone() -> None:
    assert "before" not in (compiled("<p>x</p>", "html", layout=Layout("html", "before")).html_content or "")


def test_a_layouts_fields_are_rendered() -> None:
    own = Layout("html", f"<p>{NAME}</p>{{{{ content }}}}<a href='{LINK}'>leave</a>")
    assert "<p>Ada</p>" in rendered(html_of("x", layout=own), subscriber_name="Ada")
