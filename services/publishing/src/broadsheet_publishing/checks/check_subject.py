"""What one round of checks is given, and what comes of it; pure. It runs in the compiler's process: HTML can make a
parser run for minutes.
"""

import msgspec

from broadsheet_common.mail.mail_body import Footer
from broadsheet_common.mail.merge_fields import MailValues
from broadsheet_publishing.checks.check_issue import check_issue
from broadsheet_publishing.checks.checked_issue import (
    CheckedIssue,
    MissingValues,
    NewsletterFacts,
    RecentIssues,
    SenderFact,
    StreamFact,
    Unknown,
)
from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.links.link import askable
from broadsheet_publishing.checks.reading.liquid_markup import shield
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.checks.reading.nesting import why_not_parsed
from broadsheet_publishing.checks.sample_mails import render_samples
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Fault
from broadsheet_publishing.compiling.issue_source import IssueSource


class CheckSubject(msgspec.Struct, frozen=True, kw_only=True):
    """An issue, facts about its newsletter, and people to make mails for: `sample` and those with long values.

    `compiled` None: it could not be compiled, and `faults` says why. `layout_id` None: Markdown stands in the layout
    that ships.
    """

    source: IssueSource
    layout_id: int | None = None
    compiled: CompiledIssue | None
    faults: tuple[Fault, ...]
    newsletter: NewsletterFacts
    sender: SenderFact | Unknown
    stream: StreamFact | Unknown
    recent: RecentIssues | Unknown
    missing_values: MissingValues | Unknown
    sample: MailValues
    others: tuple[MailValues, ...]
    footer: Footer


class CheckReport(msgspec.Struct, frozen=True):
    """`links`: addresses in the issue that can be asked whether they answer."""

    findings: list[Finding]
    links: list[str]


def check_subject(subject: CheckSubject) -> CheckReport:
    rendered = None
    if subject.compiled is not None:
        rendered = render_samples(
            subject.compiled,
            subject.sample,
            subject.footer,
            tracks_links=subject.newsletter.tracks_links,
            others=subject.others,
        )
    findings = check_issue(
        CheckedIssue(
            source=subject.source,
            layout_id=subject.layout_id,
            compiled=subject.compiled,
            newsletter=subject.newsletter,
            rendered=rendered,
            faults=subject.faults,
            sender=subject.sender,
            stream=subject.stream,
            recent=subject.recent,
            missing_values=subject.missing_values,
        )
    )
    return CheckReport(findings, _links(subject.compiled, subject.newsletter.public_url))


def _links(compiled: CompiledIssue | None, public_url: str) -> list[str]:
    if compiled is None or compiled.html_content is None:
        return []
    shielded = shield(compiled.html_content)
    if why_not_parsed(shielded.text) is not None:
        return []
    return askable((link.href for link in MailDocument(shielded.text).links), shielded, public_url=public_url)
