"""Each code: an issue for which it is found, and one beside it for which it is not."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadsheet_publishing.checks import check_issue as check_issue_module
from broadsheet_publishing.checks.check_issue import check_issue
from broadsheet_publishing.checks.checked_issue import (
    CheckedIssue,
    MissingValues,
    RecentIssue,
    RecentIssues,
    RenderingFault,
    SenderFact,
    StreamFact,
    Unknown,
)
from broadsheet_publishing.checks.finding import CODES, FINDINGS_OF_A_CODE_MAX, Finding, bounded
from broadsheet_publishing.checks.links.check_links import LinkResult, findings_of
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Fault, content_digest
from broadsheet_publishing.compiling.issue_source import IssueSource

from .world import FOOTER, WORDS, codes, found, issue, page

DOCUMENT = Path(__file__).resolve().parents[4] / "docs/checks.md"


def with_digest(*, same: bool) -> CheckedIssue:
    checked = issue()
    assert checked.compiled is not None
    digest = content_digest(checked.compiled) if same else "another"
    return issue(recent=RecentIssues((RecentIssue(7, "Before", digest),)))


def uncompiled() -> CheckedIssue:
    fault = Fault(code="unknown-field", field="content", detail="There is no such field.", line=3, column=9)
    return msgspec.structs.replace(issue(), compiled=None, rendered=None, faults=(fault,))


def link(href: str, label: str = "Read on") -> CheckedIssue:
    return issue(f'<p>{WORDS}</p><p><a href="{href}">{label}</a></p>')


def image(attributes: str) -> CheckedIssue:
    return issue(f"<p>{WORDS}</p><img {attributes}>")


def styled(style: str, tag: str = "p") -> CheckedIssue:
    return issue(f'<{tag} style="{style}">{WORDS}</{tag}>')


def of_size(size: int) -> CheckedIssue:
    return issue(f"<p>{WORDS}</p><!--{'x' * size}-->")


GOOD_IMAGE = 'src="https://example.org/a.png" alt="The bridge" width="600"'
HEBREW = "הנהר עלה שוב השבוע והגשר היה סגור יומיים בזמן שאנשים הסתכלו עליו מרחוק"
RTL = {"language": "he", "direction": "rtl"}
TRACKED = {"tracks_links": True}
ODD_FOOTER = FOOTER.replace("<a ", '<a title="a > b" ')
"""A link to unsubscribe that delivery does not recognise."""

CASES: dict[str, tuple[CheckedIssue, CheckedIssue]] = {
    "active-content": (issue(f"<p>{WORDS}</p><script>x()</script>"), issue(f"<p>{WORDS}</p><pre>x()</pre>")),
    "background-without-colour": (
        styled("background-color:#fff8e0"),
        styled("background-color:#fff8e0;color:#222222"),
    ),
    "check-did-not-run": (issue(sender=Unknown("Nobody answered.")), issue()),
    "client-support": (styled("position:absolute"), styled("text-align:left")),
    "colour-without-background": (styled("color:#333333"), styled("color:#333333;background:#ffffff")),
    "compile-fault": (uncompiled(), issue()),
    "content-empty": (issue(html="<html lang=en></html>", text=""), issue("<p>A word</p>", text="A word")),
    "direction-differs": (
        issue(newsletter=RTL),
        issue(html=page(f"<p>{HEBREW}</p>", html='lang="he" dir="rtl"'), newsletter=RTL),
    ),
    "direction-unlike-text": (
        issue(f"<p>{HEBREW}</p>"),
        issue(html=page(f"<p>{HEBREW}</p>", html='lang="he" dir="rtl"'), newsletter=RTL),
    ),
    "field-without-default": (
        issue("<p>Hello {{ subscriber.name }},</p>", missing_values=MissingValues({"subscriber.name": 0.1})),
        issue(
            "<p>Hello {{ subscriber.name | default: 'you' }}{% if subscriber.name %}{{ subscriber.name }}{% endif %}",
            missing_values=MissingValues({"subscriber.name": 0.1}),
        ),
    ),
    "footer-is-added": (issue(html=page(f"<p>{WORDS}</p>", footer="")), issue()),
    "image-address-broken": (image('src="/a.png" alt="x" width="60"'), image(GOOD_IMAGE)),
    "image-inline-data": (image('src="data:image/png;base64,AAAA" alt="x" width="60"'), image(GOOD_IMAGE)),
    "image-over-http": (image('src="http://example.org/a.png" alt="x" width="60"'), image(GOOD_IMAGE)),
    "image-width-not-numeric": (image('src="https://example.org/a.png" alt="x" width="100%"'), image(GOOD_IMAGE)),
    "image-without-alt": (
        image('src="https://example.org/a.png" width="60"'),
        image('src="https://example.org/a.png" width="60" alt=""'),
    ),
    "images-many": (issue(f"<img {GOOD_IMAGE}>" * 31), issue(f"<img {GOOD_IMAGE}>" * 30)),
    "language-differs": (
        issue(html=page(f"<p>{WORDS}</p>", html='lang="de"')),
        issue(html=page(f"<p>{WORDS}</p>", html='lang="en-GB"')),
    ),
    "link-empty": (link(" "), link("https://example.org/")),
    "link-field-may-be-no-address": (link("{{ subscriber.name }}"), link("https://example.org/{{ subscriber.name }}")),
    "link-malformed": (link("https://exa mple.org/"), link("https://example.org/a%20b")),
    "link-over-http": (link("http://example.org/"), link("https://example.org/")),
    "link-placeholder": (link("#"), link("#top")),
    "link-relative": (link("www.example.org/page"), link("https://www.example.org/page")),
    "link-scheme-not-allowed": (link("java\tscript:alert(1)"), link("tel:+44 1632 960000")),
    "link-target-missing": (link("#part"), issue(f'<p id="part">{WORDS}</p><a href="#part">Part</a>')),
    "link-to-private-host": (link("https://192.168.0.1/x"), link("https://news.example.org/x")),
    "link-without-text": (link("https://example.org/", ""), link("https://example.org/", '<img alt="Go">')),
    "mail-not-renderable": (issue(rendered=RenderingFault("It would take too much work.")), issue()),
    "postal-address-missing": (issue(newsletter={"postal_address": " "}), issue()),
    "preheader-long": (issue(preheader="x" * 111), issue(preheader="x" * 110)),
    "preheader-missing": (issue(preheader=" "), issue()),
    "preheader-short": (issue(preheader="x" * 29), issue(preheader="x" * 30)),
    "sender-missing": (issue(newsletter={"sender": None}), issue()),
    "sender-not-confirmed": (issue(sender=SenderFact(confirmed=False, detail="400: Unknown sender.")), issue()),
    "sent-before": (with_digest(same=True), with_digest(same=False)),
    "size-near-gmail-limit": (of_size(95_000), of_size(80_000)),
    "size-over-gmail-limit": (of_size(110_000), of_size(95_000)),
    "size-over-postmark-limit": (
        msgspec.structs.replace(
            issue(),
            rendered=msgspec.structs.replace(issue().rendered, text_bytes_max=6_000_000),  # type: ignore[type-var]
        ),
        issue(),
    ),
    "stream-mismatch": (issue(stream=StreamFact("The stream is transactional.")), issue()),
    "subject-empty": (issue(subject=" "), issue(subject="{{ subscriber.name }}")),
    "subject-long": (issue(subject="x" * 61), issue(subject="x" * 60)),
    "subject-punctuation": (issue(subject="Closed!!"), issue(subject="Closed! Why?")),
    "subject-shouting": (issue(subject="BRIDGE CLOSED"), issue(subject="BBC, NHS: closed again")),
    "text-part-differs": (issue(text="Other words altogether. " * 9), issue()),
    "text-part-missing": (issue(text="\n"), issue()),
    "tracking-of-protected-link": (
        issue(html=page(f"<p>{WORDS}</p>", footer=ODD_FOOTER), newsletter=TRACKED),
        issue(newsletter=TRACKED),
    ),
    "unsubscribe-link-missing": (
        msgspec.structs.replace(
            issue(),
            rendered=msgspec.structs.replace(
                issue().rendered,  # type: ignore[type-var]
                sample=msgspec.structs.replace(issue().rendered.sample, final_shows_link=False),  # type: ignore[union-attr]
            ),
        ),
        issue(),
    ),
}
ELSEWHERE = {"ab-test-not-measured", "link-not-made", "link-unreachable", "reading-time"}
"""Tested on their own, below, in test_ab_test_findings, test_markdown_source and test_check_links."""


@pytest.mark.parametrize("code", CASES)
def test_a_finding_is_made_where_it_should_and_not_beside_it(code: str) -> None:
    fires, neighbour = CASES[code]
    findings = found(fires, code)
    assert findings
    assert {finding.severity for finding in findings} <= set(CODES[code])
    assert all(finding.detail.endswith((".", "_")) or code == "client-support" for finding in findings), findings
    assert found(neighbour, code) == []


def test_every_code_has_a_case() -> None:
    assert {*CASES, *ELSEWHERE} == set(CODES)


def test_the_document_for_authors_lists_every_code_with_its_severities() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {code: tuple(severities.split(", ")) for code, severities in rows} == CODES


def test_nothing_is_wrong_with_a_good_issue() -> None:
    assert codes(issue()) == set()


def test_findings_come_by_severity() -> None:
    severities = [
        finding.severity for finding in check_issue(issue("<a href=''>x</a><a href='http://a.example'>y</a>"))
    ]
    assert severities == sorted(severities, key=["blocks", "warns", "notes"].index)
    assert len(set(severities)) == 3


def test_a_finding_says_the_place_in_the_source() -> None:
    html = page(f'<p>{WORDS}</p>\n<p>Also\n  <a href="/here">here</a></p>')
    [finding] = found(issue(html=html), "link-relative")
    assert (finding.field, finding.line, finding.column) == ("content", 3, 12)


@pytest.mark.parametrize(
    ("href", "code"),
    [
        ("javascript:alert(1)", "link-scheme-not-allowed"),
        (" JAVASCRIPT:alert(1)", "link-scheme-not-allowed"),
        ("data:text/html,x", "link-scheme-not-allowed"),
        ("file:///etc/passwd", "link-scheme-not-allowed"),
        ("ftp://example.org/a", "link-scheme-not-allowed"),
        ("//example.org/a", "link-relative"),
        ("https://", "link-malformed"),
        ("https:///path", "link-malformed"),
        ("https://example.org:port/", "link-malformed"),
        ("https://localhost:8080/", "link-to-private-host"),
        ("https://intranet/", "link-to-private-host"),
        ("https://wiki.internal/", "link-to-private-host"),
        ("https://127.1/", "link-to-private-host"),
        ("https://[::1]/", "link-to-private-host"),
        ("mailto:nobody", "link-malformed"),
        ("mailto:", "link-malformed"),
        ("tel:call-me", "link-malformed"),
        ("https://example.org/#part", None),
        ("https://example.org/?q={{ subscriber.email }}", None),
        ("https://{{ newsletter.name }}.example.org/", None),
        ("{{ unsubscribe_url }}", None),
        ("{{unsubscribe_url}}?from=mail", None),
        ("mailto:office@example.org?subject=Hello%20there", None),
        ("mailto:?subject=Read%20this", None),
        ("mailto:{{ subscriber.email }}", None),
        ("tel:+441632960000", None),
        ("https://bücher.example/ä", None),
    ],
)
def test_links_are_judged_by_what_programs_make_of_them(href: str, code: str | None) -> None:
    found_codes = {one for one in codes(link(href)) if one.startswith("link-")}
    assert found_codes == ({code} if code else set())


def test_every_branch_of_a_condition_is_looked_at() -> None:
    inner = (
        f"<p>{WORDS}</p>{{% if subscriber.name == 'x' %}}<a href='/a'>a</a>{{% else %}}<a href='/b'>b</a>{{% endif %}}"
    )
    assert {one.data["href"] for one in found(issue(inner), "link-relative")} == {"/a", "/b"}


def test_liquid_that_is_shown_and_not_run_is_text() -> None:
    assert codes(issue(f"<p>{WORDS}</p><p>{{% raw %}}{{{{ subscriber.name }}}}{{% endraw %}}</p>")) == set()


def test_an_issue_that_could_not_be_compiled_says_which_checks_did_not_run() -> None:
    [finding] = found(uncompiled(), "check-did-not-run")
    assert {"links", "images", "footer", "size"} <= set(finding.data["checks"])  # type: ignore[arg-type]
    [fault] = found(uncompiled(), "compile-fault")
    assert (fault.field, fault.line, fault.column, fault.data) == ("content", 3, 9, {"fault": "unknown-field"})


def test_a_check_that_fails_itself_says_so_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(check_issue_module, "check_images", fail)
    checked = link("/relative")
    [finding] = found(checked, "check-did-not-run")
    assert finding.data == {"checks": ("images",)}
    assert "ZeroDivisionError" in finding.detail
    assert found(checked, "link-relative")


def test_html_that_is_nested_too_deep_is_not_parsed_and_that_is_said() -> None:
    compiled = CompiledIssue(title="T", subject="S", preheader="", html_content="<div>" * 600 + "x", text_content="x")
    checked = msgspec.structs.replace(issue(), compiled=compiled)
    [finding] = found(checked, "check-did-not-run")
    assert "512" in finding.detail
    assert "links" in finding.data["checks"]  # type: ignore[operator]


def test_of_a_code_there_are_only_so_many_findings_and_the_last_says_how_many_more() -> None:
    many = [Finding(code="link-empty", severity="blocks", detail=str(n), advice="") for n in range(60)]
    kept = bounded(many)
    assert len(kept) == FINDINGS_OF_A_CODE_MAX
    assert kept[-1].data == {"more": 60 - FINDINGS_OF_A_CODE_MAX}
    assert bounded(many[:50]) == many[:50]


def test_a_plain_text_issue_is_checked_too() -> None:
    compiled = CompiledIssue(title="T", subject="S", preheader="", html_content=None, text_content=WORDS)
    checked = msgspec.structs.replace(issue(), compiled=compiled)
    assert "check-did-not-run" not in codes(checked)


def test_links_that_cannot_be_reached_are_findings() -> None:
    [first, second] = findings_of(
        [
            LinkResult(url="https://a.example/", state="unreachable", status=404, detail="It answered 404."),
            LinkResult(url="https://b.example/", state="not-checked", detail="There was no time."),
            LinkResult(url="https://c.example/", state="reachable", status=200),
        ]
    )
    assert (first.code, first.data["status"]) == ("link-unreachable", 404)
    assert second.code == "check-did-not-run"


def test_the_longest_mail_is_measured_not_the_sample() -> None:
    named = issue("<p>{{ subscriber.name }}</p>" * 90)
    nameless = issue("<p>{% if subscriber.name == blank %}" + "x" * 30_000 + "{% endif %}</p>")
    for checked, least in ((named, 90 * 256 * 5), (nameless, 30_000)):
        assert checked.rendered is not None
        assert not isinstance(checked.rendered, RenderingFault)
        assert checked.rendered.html_bytes_max > least > len(checked.rendered.sample.html or "")


FRAGMENTS = st.sampled_from(
    ["<div>", "</div>", "<p>", "<table>", "<td>", "</table>", "<a href='", "'>", "<b>", "<svg>", "</svg>", "<style>",
     "</style>", "<!--", "-->", "<![CDATA[", "{{", "}}", "{%", "%}", "{% raw %}", "{{ subscriber.name }}", "a{b:(",
     "@media{", "style='color:", "url(", "\x00", "\ufeff", "İ", "<img src=", "&", "\ud7ff", "mailto:", "https://[", "x"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(html=st.lists(st.one_of(FRAGMENTS, st.text(max_size=8)), max_size=60).map("".join), text=st.text(max_size=60))
def test_whatever_the_html_is_every_check_runs_or_says_why_not(html: str, text: str) -> None:
    compiled = CompiledIssue(title=text, subject=text, preheader=text, html_content=html, text_content=text)
    source = IssueSource(title=text, preheader=text, format="html", content=html)
    checked = msgspec.structs.replace(issue(), compiled=compiled, source=source)
    for finding in check_issue(checked):
        assert finding.severity in CODES[finding.code]
        assert "failed itself" not in finding.detail


@settings(max_examples=50, deadline=None)
@given(unit=st.lists(FRAGMENTS, min_size=1, max_size=4).map("".join), times=st.integers(1, 20_000))
def test_html_of_any_size_and_nesting_is_refused_or_read(unit: str, times: int) -> None:
    compiled = CompiledIssue(title="T", subject="S", preheader="", html_content=unit * times, text_content="x")
    checked = msgspec.structs.replace(issue(), compiled=compiled)
    assert all("failed itself" not in finding.detail for finding in check_issue(checked))
