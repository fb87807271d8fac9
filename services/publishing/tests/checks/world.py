"""An issue that nothing is wrong with, and how to change one thing of it."""

from typing import Any

import msgspec

from broadsheet_common.mail.mail_body import Footer
from broadsheet_common.mail.mail_template import SAMPLE_VALUES, MailValues
from broadsheet_publishing.checks.check_issue import check_issue
from broadsheet_publishing.checks.checked_issue import (
    CheckedIssue,
    MissingValues,
    NewsletterFacts,
    RecentIssues,
    SenderFact,
    StreamFact,
)
from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.sample_mails import render_samples
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue
from broadsheet_publishing.compiling.issue_source import IssueSource

ADDRESS = "1 High Street, Anytown"
WORDS = "The river rose again this week and the bridge was closed for two days while people looked at it from afar."
FOOTER = f'<p><a href="{{{{ unsubscribe_url }}}}">Unsubscribe</a><br>{ADDRESS}</p>'
TEXT_FOOTER = f"Unsubscribe: {{{{ unsubscribe_url }}}}\n{ADDRESS}"
PREHEADER = "What the water did to the bridge, and who came to look"
NEWSLETTER = NewsletterFacts(
    name="Newsletter", postal_address=ADDRESS, sender="office@example.org", public_url="https://news.example.org"
)


def page(inner: str, *, head: str = "", html: str = 'lang="en"', footer: str = FOOTER) -> str:
    return f"<!doctype html><html {html}><head>{head}</head><body>{inner}{footer}</body></html>"


def issue(
    inner: str = f"<p>{WORDS}</p>",
    *,
    subject: str = "The bridge was closed",
    preheader: str = PREHEADER,
    text: str | None = None,
    html: str | None = None,
    newsletter: dict[str, Any] | None = None,
    values: MailValues = SAMPLE_VALUES,
    **changes: Any,
) -> CheckedIssue:
    """A whole issue of HTML, rendered. `html` replaces the page that `inner` stands in."""
    whole = page(inner) if html is None else html
    text = f"{WORDS}\n{TEXT_FOOTER}" if text is None else text
    facts = msgspec.structs.replace(NEWSLETTER, **(newsletter or {}))
    compiled = CompiledIssue(title="Title", subject=subject, preheader=preheader, html_content=whole, text_content=text)
    given: dict[str, Any] = {
        "source": IssueSource(title="Title", subject=subject, preheader=preheader, format="html", content=whole),
        "compiled": compiled,
        "newsletter": facts,
        "rendered": render_samples(
            compiled, values, Footer("Newsletter", facts.postal_address), tracks_links=facts.tracks_links
        ),
        "sender": SenderFact(confirmed=True),
        "stream": StreamFact(None),
        "recent": RecentIssues(),
        "missing_values": MissingValues(),
    }
    return CheckedIssue(**(given | changes))


def found(checked: CheckedIssue, code: str) -> list[Finding]:
    return [finding for finding in check_issue(checked) if finding.code == code]


def codes(checked: CheckedIssue) -> set[str]:
    """Without the fact that every issue has."""
    return {finding.code for finding in check_issue(checked)} - {"reading-time"}
