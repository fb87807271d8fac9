"""What facts from outside say: sender, stream, issues sent before, and values that readers lack; pure."""

from collections.abc import Iterator

from broadsheet_publishing.checks.checked_issue import (
    MissingValues,
    NewsletterFacts,
    RecentIssues,
    SenderFact,
    StreamFact,
    Unknown,
)
from broadsheet_publishing.checks.finding import Finding, did_not_run
from broadsheet_publishing.checks.reading.liquid_markup import shield
from broadsheet_publishing.checks.reading.places import place_at
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Field, content_digest
from broadsheet_publishing.compiling.issue_source import IssueSource


def check_sender(newsletter: NewsletterFacts, sender: SenderFact | Unknown) -> Iterator[Finding]:
    if not newsletter.sender:
        yield Finding(
            code="sender-missing",
            severity="blocks",
            detail="The newsletter has no sender.",
            advice="Enter its address in the newsletter's settings.",
        )
    elif isinstance(sender, Unknown):
        yield did_not_run(
            ["sender"],
            sender.why,
            advice="Send yourself a test mail: if it arrives, Postmark takes mail from this sender. If not, confirm "
            "the address or its domain at Postmark (Sender Signatures).",
        )
    elif not sender.confirmed:
        yield Finding(
            code="sender-not-confirmed",
            severity="blocks",
            detail=f"Postmark does not accept mail from {newsletter.sender}. {sender.detail}".strip(),
            advice="Confirm the address or its domain at Postmark (Sender Signatures).",
        )


def check_stream(stream: StreamFact | Unknown) -> Iterator[Finding]:
    if isinstance(stream, Unknown):
        yield did_not_run(
            ["stream"],
            stream.why,
            advice="Postmark is asked meanwhile: repeat the checks in a minute. If it stays like this, see at Postmark "
            "(Message Streams) that the stream of the newsletter's settings is there, and is for broadcasts.",
        )
    elif stream.mismatch is not None:
        yield Finding(
            code="stream-mismatch",
            severity="blocks",
            detail=stream.mismatch,
            advice="Choose another stream in the newsletter's settings, or change the stream at Postmark.",
        )


def check_sent_before(compiled: CompiledIssue, recent: RecentIssues | Unknown) -> Iterator[Finding]:
    if isinstance(recent, Unknown):
        yield did_not_run(
            ["sent-before"], recent.why, advice="See in the list of issues whether the same mail was sent lately."
        )
        return
    digest = content_digest(compiled)
    for issue in recent.issues:
        if issue.digest == digest:
            yield Finding(
                code="sent-before",
                severity="warns",
                detail=f"The same mail was sent within the last 24 hours, as '{issue.title}'.",
                advice="See that this is no accident.",
                data={"issue_id": issue.issue_id},
            )


def check_fields(source: IssueSource, compiled: CompiledIssue, missing: MissingValues | Unknown) -> Iterator[Finding]:
    """Merge fields without a default, outside of conditions that ask for them. Each once for each part."""
    if isinstance(missing, Unknown):
        yield did_not_run(
            ["fields"],
            missing.why,
            advice="See that each merge field has words for readers who lack it, such as "
            "{{ subscriber.name | default: 'friend' }}.",
        )
        return
    subject: Field = "title" if source.subject is None else "subject"
    parts: tuple[tuple[Field, str, str], ...] = (
        (subject, compiled.subject, source.title if source.subject is None else source.subject),
        ("preheader", compiled.preheader, source.preheader),
        ("content", compiled.html_content or compiled.text_content, source.content),
        ("text_content", "" if source.text_content is None else compiled.text_content, source.text_content or ""),
    )
    for field, template, written in parts:
        seen: set[str] = set()
        for output in shield(template).outputs:
            share = missing.shares.get(output.path, 0.0)
            if share <= 0 or output.has_default or output.path in output.guards or output.path in seen:
                continue
            seen.add(output.path)
            place = place_at(field, written, [f"{{{{ {output.path} }}}}", f"{{{{{output.path}}}}}", output.path])
            yield Finding(
                code="field-without-default",
                severity="warns",
                detail=f"{share:.1%} of the readers have no {output.path}: for them there is a gap, as in 'Hello ,'.",
                advice=f"Write {{{{ {output.path} | default: 'friend' }}}}, or put the sentence into a condition.",
                field=place.field,
                line=place.line,
                column=place.column,
                data={"field": output.path, "share": round(share, 4)},
            )
