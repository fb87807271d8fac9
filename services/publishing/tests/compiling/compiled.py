"""Issues that are compiled here, and what a reader gets of them."""

import re

import msgspec

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_template import SAMPLE_VALUES, MailValues
from broadsheet_publishing.compiling.compile_issue import compile_issue
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError, Fault
from broadsheet_publishing.compiling.issue_source import Format, IssueSource, Layout, Look

LOOK = Look(newsletter_name="The Broadsheet", postal_address="1 Press Lane\nLondon")
BARE = Layout("html", "<html><body>{{ content }}</body></html>")
"""A layout that adds nothing."""
LINK = "{{ unsubscribe_url }}"
NAME = "{{ subscriber.name }}"


def compiled(
    content: str,
    format_: Format = "markdown",
    *,
    title: str = "Title",
    subject: str | None = None,
    preheader: str = "",
    text_content: str | None = None,
    layout: Layout | None = BARE,
    look: Look = LOOK,
) -> CompiledIssue:
    source = IssueSource(
        title=title, subject=subject, preheader=preheader, format=format_, content=content, text_content=text_content
    )
    return compile_issue(source, layout=layout, look=look, attributes=frozenset())


def html_of(content: str, format_: Format = "markdown", *, preheader: str = "", layout: Layout | None = BARE) -> str:
    html = compiled(content, format_, preheader=preheader, layout=layout).html_content
    assert html is not None
    return html


def body_of(content: str, format_: Format = "markdown") -> str:
    """What stands in the body."""
    match = re.search(r"<body[^>]*>(.*)</body>", html_of(content, format_), re.DOTALL)
    assert match is not None
    return match[1].strip()


def faults_of(content: str, format_: Format = "markdown", *, layout: Layout | None = BARE) -> list[Fault]:
    return compiled_or_faults(content, format_, layout=layout)[1]


def compiled_or_faults(
    content: str, format_: Format = "markdown", *, preheader: str = "", layout: Layout | None = BARE
) -> tuple[CompiledIssue | None, list[Fault]]:
    """One of both."""
    try:
        return compiled(content, format_, preheader=preheader, layout=layout), []
    except CompileError as error:
        return None, list(error.faults)


def places_of(content: str, format_: Format = "markdown") -> list[tuple[str, int | None, int | None]]:
    """Code, line and column of each fault."""
    return [(fault.code, fault.line, fault.column) for fault in faults_of(content, format_)]


def rendered(template: str, kind: mail_template.Kind = "html", **values: str) -> str:
    return mail_template.parse(template, kind).render(_values(**values))


def _values(**values: str) -> MailValues:
    return msgspec.structs.replace(SAMPLE_VALUES, **values)
