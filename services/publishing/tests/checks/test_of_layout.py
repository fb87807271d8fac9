"""What is found in the frame around a Markdown text is not said to be the text's; and the advice is in its language."""

from typing import Final

import msgspec
import pytest

from broadsheet_publishing.checks.check_issue import check_issue
from broadsheet_publishing.checks.checked_issue import CheckedIssue
from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.compiling.compile_issue import compile_issue
from broadsheet_publishing.compiling.issue_source import Format, IssueSource, Layout, Look

from .world import ADDRESS, PREHEADER, WORDS, issue

ORDINARY: Final = f"""# The bridge

Good morning, {{{{ subscriber.name | default: "friend" }}}}. {WORDS} It is *quiet* and **wide**, and ~~old~~ new.

![The bridge from afar](https://example.org/bridge.jpg){{width=540}}

1. boards
2. [rails](https://example.org/rails)

> Walk softly.

| Day | Closed |
| --- | --- |
| Monday | yes |

Some `code`, a footnote[^1], and

```
a block of it
```

---

[Read the rest](https://example.org/rest){{.button}}

[^1]: Here it is.
"""
MJ_IMAGE: Final = "<mj-image src='https://example.org/a.jpg'/>"
LOOK: Final = Look(newsletter_name="Newsletter", postal_address=ADDRESS, has_archive=True)
OWN_LAYOUT: Final = Layout(
    "html",
    "<!doctype html><html><head><style>.sheet { position: absolute; color: #101010 }</style></head><body>"
    '<p><a href="#">Top</a></p><div class="sheet">{{ content }}</div></body></html>',
)


def checked(
    content: str, *, format_: Format = "markdown", layout: Layout | None = None, look: Look = LOOK
) -> CheckedIssue:
    source = IssueSource(title="Title", preheader=PREHEADER, format=format_, content=content)
    compiled = compile_issue(source, layout=layout, look=look, attributes=frozenset())
    found = issue(source=source, compiled=compiled, layout_id=None if layout is None else 7)
    whole = issue(html=compiled.html_content, text=compiled.text_content)
    return msgspec.structs.replace(found, rendered=whole.rendered)


def of(found: CheckedIssue, code: str) -> list[Finding]:
    return [finding for finding in check_issue(found) if finding.code == code]


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("accent", ["#7a1f1f", "#f2c200", "#ffffff", "#000000"])
def test_an_ordinary_markdown_issue_in_the_shipped_layout_has_no_finding(accent: str, direction: str) -> None:
    look = msgspec.structs.replace(LOOK, accent_colour=accent, direction=direction)
    found = check_issue(checked(ORDINARY, look=look))
    of_direction = {"direction-differs", "direction-unlike-text"} if direction == "rtl" else set()
    assert {finding.code for finding in found} - of_direction == {"reading-time"}, found


def test_what_comes_from_a_layout_says_so_and_names_the_layout() -> None:
    found = check_issue(checked(ORDINARY, layout=OWN_LAYOUT))
    of_layout = [finding for finding in found if finding.field == "layout"]
    assert {finding.code for finding in of_layout} == {
        "client-support",
        "colour-without-background",
        "footer-is-added",
        "link-placeholder",
    }
    assert {finding.data["layout_id"] for finding in of_layout} == {7}
    assert all("It comes from the layout, not from your text." in finding.detail for finding in of_layout)
    assert all(finding.line is None for finding in of_layout)
    assert {finding.code for finding in found} - {finding.code for finding in of_layout} == {"reading-time"}


@pytest.mark.parametrize("layout", [None, OWN_LAYOUT])
def test_what_the_author_wrote_stays_theirs_in_whatever_layout(layout: Layout | None) -> None:
    text = f"{WORDS}\n\n<p style='position:absolute;color:#333333'>{WORDS}</p>\n\n[To do](#)"
    found = check_issue(checked(text, layout=layout))
    # The shipped layout sets a background around all of the text.
    of_colour = set() if layout is None else {"colour-without-background"}
    for code in {"client-support", "link-placeholder"} | of_colour:
        assert any(one.code == code and one.field == "content" for one in found), code


def test_a_logo_that_is_not_encrypted_is_said_to_be_a_setting_of_the_newsletter() -> None:
    look = msgspec.structs.replace(LOOK, logo_url="http://example.org/logo.png")
    [finding] = of(checked(WORDS, look=look), "image-over-http")
    assert (finding.field, finding.line) == (None, None)
    assert "the newsletter's settings" in finding.advice


@pytest.mark.parametrize(
    ("format_", "content", "code", "advice"),
    [
        ("markdown", "![A bridge](https://example.org/a.jpg)", "image-width-not-numeric", "(https://…){width=540}"),
        ("markdown", '<img src="https://example.org/a.jpg" alt="A">', "image-width-not-numeric", '<img width="540">'),
        ("markdown", '<img src="https://example.org/a.jpg" width="9">', "image-without-alt", '<img alt="A quiet'),
        ("markdown", "[](https://example.org/a)", "link-without-text", "[Read the rest](https://…)"),
        ("markdown", '<a href="https://example.org/a"></a>', "link-without-text", "Give it words"),
        (
            "mjml",
            f"<mjml><mj-body><mj-section><mj-column>{MJ_IMAGE}</mj-column></mj-section></mj-body></mjml>",
            "image-without-alt",
            '<mj-image alt="A quiet',
        ),
        ("html", '<html lang="en"><p><img src="https://example.org/a.jpg" width="9"></p>', "image-without-alt", "<img"),
    ],
)
def test_the_advice_is_in_what_the_issue_is_written_in(format_: Format, content: str, code: str, advice: str) -> None:
    words = content if format_ != "markdown" else f"{WORDS}\n\n{content}"
    if format_ == "html":
        words = content.replace("<p>", f"<p>{WORDS} ")
    if format_ == "mjml":
        words = content.replace("<mj-image", f"<mj-text>{WORDS}</mj-text><mj-image")
    [finding] = of(checked(words, format_=format_), code)
    assert advice in finding.advice


def test_what_mjml_writes_by_itself_is_not_laid_at_its_authors_door() -> None:
    body = f"<mj-text>{WORDS}</mj-text><mj-button href='https://example.org/a' border-radius='9px'>On</mj-button>"
    whole = f"<mjml><mj-body><mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>"
    named = {str(finding.data["feature"]) for finding in of(checked(whole, format_="mjml"), "client-support")}
    assert named == {"css-border-radius"}
