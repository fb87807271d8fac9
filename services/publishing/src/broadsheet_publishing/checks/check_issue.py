"""All checks of an issue before it is sent. Pure: what they need was read and rendered before.

A check that fails itself is logged and reported as one that did not run; the others run.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import structlog

from broadsheet_publishing.checks.checked_issue import CheckedIssue, Rendered, RenderingFault
from broadsheet_publishing.checks.clients.client_findings import check_clients
from broadsheet_publishing.checks.colour_findings import check_colours
from broadsheet_publishing.checks.finding import CheckName, Finding, bounded, did_not_run
from broadsheet_publishing.checks.image_findings import check_active_content, check_images, check_pictures_of_markdown
from broadsheet_publishing.checks.links.link_findings import (
    check_link_labels,
    check_link_syntax,
    check_links_that_are_none,
    check_tracking,
)
from broadsheet_publishing.checks.mail_findings import check_footer, check_language, check_size
from broadsheet_publishing.checks.outside_findings import check_fields, check_sender, check_sent_before, check_stream
from broadsheet_publishing.checks.reading.liquid_markup import Shielded, shield
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.checks.reading.nesting import why_not_parsed
from broadsheet_publishing.checks.reading.of_layout import told_apart
from broadsheet_publishing.checks.subject_findings import check_preheader, check_subject
from broadsheet_publishing.checks.text_findings import check_reading_time, check_text_part
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue
from broadsheet_publishing.compiling.markdown_html import html_of_markdown

_OF_HTML: Final[tuple[CheckName, ...]] = ("links", "images", "colours", "clients", "language")
_OF_TEMPLATES: Final[tuple[CheckName, ...]] = ("text-part", *_OF_HTML, "fields", "sent-before", "reading-time")
_OF_MAILS: Final[tuple[CheckName, ...]] = ("footer", "size", "tracking")
_MEND: Final = "Correct what stops the issue from becoming a mail; then repeat the checks."
_MAKE_SIMPLER: Final = "Make the HTML shorter or simpler, and repeat the checks; or send a test mail, and look at it."
_LOOK_AT_A_MAIL: Final = "Send a test mail, and look at it; whoever runs the service finds the cause in its log."
_log = structlog.get_logger()

Check = Callable[[], Iterator[Finding]]


def check_issue(subject: CheckedIssue) -> list[Finding]:
    """Everything that was found, at most 50 of a code: first what blocks, then warnings, then notes."""
    findings = [finding for check, run in _checks(subject) for finding in _run(check, run)]
    order = {"blocks": 0, "warns": 1, "notes": 2}
    return bounded(sorted(findings, key=lambda finding: order[finding.severity]))


def _run(name: CheckName, check: Check) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001  # it is logged, and said in the report; the other checks count
        _log.error("publishing.check_failed", check=name, exc_info=error)
        why = f"It failed itself ({type(error).__name__}); the log says more."
        return [did_not_run([name], why, advice=_LOOK_AT_A_MAIL)]


def _checks(issue: CheckedIssue) -> Iterator[tuple[CheckName, Check]]:
    yield "sender", partial(check_sender, issue.newsletter, issue.sender)
    yield "stream", partial(check_stream, issue.stream)
    rendered = issue.rendered if isinstance(issue.rendered, Rendered) else None
    yield "subject", partial(check_subject, issue.source, rendered.sample.subject if rendered else None)
    yield "preheader", partial(check_preheader, issue.source)
    yield "text-part", partial(_compile_faults, issue)
    if issue.compiled is None:
        why = "The issue could not be compiled."
        yield "text-part", lambda: iter([did_not_run([*_OF_TEMPLATES, *_OF_MAILS], why, advice=_MEND)])
        return
    yield from _checks_of_templates(issue, issue.compiled)
    yield from _checks_of_mails(issue)


def _compile_faults(issue: CheckedIssue) -> Iterator[Finding]:
    for fault in issue.faults:
        yield Finding(
            code="compile-fault",
            severity="blocks",
            detail=fault.detail,
            advice="Mend it; no mail can be made of the issue before.",
            field=fault.field,
            line=fault.line,
            column=fault.column,
            data={"fault": fault.code},
        )


def _checks_of_templates(issue: CheckedIssue, compiled: CompiledIssue) -> Iterator[tuple[CheckName, Check]]:
    source = issue.source
    yield "fields", partial(check_fields, source, compiled, issue.missing_values)
    yield "links", partial(check_links_that_are_none, source)
    yield "images", partial(check_pictures_of_markdown, source)
    yield "sent-before", partial(check_sent_before, compiled, issue.recent)
    document: MailDocument | None = None
    if compiled.html_content is not None:
        liquid = shield(compiled.html_content)
        why = why_not_parsed(liquid.text)
        if why is not None:
            reason = why
            yield (
                "links",
                lambda: iter([did_not_run(("text-part", *_OF_HTML, "reading-time"), reason, advice=_MAKE_SIMPLER)]),
            )
            return
        document = MailDocument(liquid.text)
        yield from _checks_of_html(issue, document, liquid)
        if not document.is_whole:
            yield (
                "clients",
                lambda: iter(
                    [
                        did_not_run(
                            ("colours", "clients"),
                            "The mail has more style than is read; the rest was not looked at.",
                            advice="Use less style, or send a test mail and open it in the programs of your readers.",
                        )
                    ]
                ),
            )
        document.text = liquid.without_marks(document.text)
    yield "text-part", partial(check_text_part, source, compiled, document)
    yield "reading-time", partial(check_reading_time, compiled, document)


def _checks_of_html(issue: CheckedIssue, document: MailDocument, liquid: Shielded) -> Iterator[tuple[CheckName, Check]]:
    of_text = _of_text(issue)
    for name, check in _checks_of_markup(issue, document, liquid):
        yield name, check if of_text is None else partial(_told_apart, issue, check, of_text)
    check = partial(check_language, issue.newsletter, document, issue.source)
    yield "language", check if of_text is None else partial(_told_apart, issue, check, of_text)


def _checks_of_markup(
    issue: CheckedIssue, document: MailDocument, liquid: Shielded
) -> Iterator[tuple[CheckName, Check]]:
    source = issue.source
    yield "links", partial(check_link_syntax, document, liquid, source, issue.newsletter)
    yield "links", partial(check_link_labels, document, liquid, source)
    yield "images", partial(check_images, document, liquid, source)
    yield "images", partial(check_active_content, document, source)
    yield "colours", partial(check_colours, document, source)
    yield "clients", partial(check_clients, document, liquid, source)


def _of_text(issue: CheckedIssue) -> list[Finding] | None:
    """What is found in a Markdown text without its layout. None: all of the mail is the author's own."""
    if issue.source.format != "markdown":
        return None
    liquid = shield(html_of_markdown(issue.source.content))
    if why_not_parsed(liquid.text) is not None:
        return []
    document = MailDocument(liquid.text)
    return [finding for name, check in _checks_of_markup(issue, document, liquid) for finding in _run(name, check)]


def _told_apart(issue: CheckedIssue, check: Check, of_text: Sequence[Finding]) -> Iterator[Finding]:
    return told_apart(check(), of_text, layout_id=issue.layout_id)


def _checks_of_mails(issue: CheckedIssue) -> Iterator[tuple[CheckName, Check]]:
    match issue.rendered:
        case Rendered() as rendered:
            footer = partial(check_footer, issue.newsletter, rendered)
            # Without a layout of its own, what the foot lacks is the newsletter's setting, which the finding says.
            has_own = issue.source.format == "markdown" and issue.layout_id is not None
            yield "footer", partial(_told_apart, issue, footer, list(footer())) if has_own else footer
            yield "size", partial(check_size, rendered)
            yield "tracking", partial(_check_tracking, issue, rendered)
        case RenderingFault(why):
            yield "footer", partial(_not_renderable, why)
            yield "size", lambda: iter([did_not_run(_OF_MAILS, "No mail could be made.", advice=_MEND)])
        case None:
            yield "size", lambda: iter([did_not_run(_OF_MAILS, "No mail was made to look at.", advice=_MEND)])


def _check_tracking(issue: CheckedIssue, rendered: Rendered) -> Iterator[Finding]:
    html, newsletter = rendered.sample.html, issue.newsletter
    if not newsletter.tracks_links or html is None:
        return
    why = why_not_parsed(html)
    if why is not None:
        yield did_not_run(["tracking"], why, advice=_MAKE_SIMPLER)
        return
    yield from check_tracking(newsletter, rendered.sample, MailDocument(html), issue.source)


def _not_renderable(why: str) -> Iterator[Finding]:
    yield Finding(
        code="mail-not-renderable",
        severity="blocks",
        detail=f"No mail can be made of the issue: {why}",
        advice="Mend it; every reader's mail would fail.",
        field="content",
    )
