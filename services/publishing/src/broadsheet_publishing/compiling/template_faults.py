"""Whether delivery can parse and render what was compiled, by the rules by which publishing accepts an issue; pure."""

import re
import unicodedata
from typing import Final

from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody
from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX, Subject
from broadsheet_common.mail.mail_template import Template
from broadsheet_common.mail.merge_fields import (
    SAMPLE_VALUES,
    SUBJECT_VARIABLES,
    TITLE_VARIABLES,
    VARIABLES,
    variable_names,
)
from broadsheet_common.mail.template_work import WORK_MAX, TemplateError, Work
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Fault, Field
from broadsheet_publishing.compiling.issue_source import CONTENT_BYTES_MAX, RAW_LINE_CHARS_MAX, Look

# Control characters, line and paragraph separators, halves of surrogate pairs: nothing that a header may hold.
_FORBIDDEN_IN_TITLES: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})
_INVISIBLE: Final = frozenset({"Cf", "Zs"})
_FAULTS_MAX: Final = 20


def parse_template(
    source: str, kind: mail_template.Kind, attributes: frozenset[str], without: frozenset[str] = frozenset()
) -> Template:
    """Every template of an issue is parsed here. `attributes`: the list's, whose values a template may use. `without`:
    fields that it may not use.

    Raises:
        TemplateError: as `mail_template.parse`.
    """
    return mail_template.parse(source, kind, attributes=attributes, without=without)


def faults_of_title(
    source: str, field: Field, work: Work, attributes: frozenset[str], without: frozenset[str] = frozenset()
) -> list[Fault]:
    """Of a title or a subject. What it takes in one mail is charged to `work`."""
    name = field.capitalize()
    if len(source) > RAW_LINE_CHARS_MAX:
        return [Fault(code="too-long", field=field, detail=f"{name}: at most {SUBJECT_UTF16_UNITS_MAX} characters.")]
    categories = {unicodedata.category(char) for char in source}
    if categories & _FORBIDDEN_IN_TITLES:
        detail = f"{name}: it may not hold line breaks or control characters. Take them out."
        return [Fault(code="control-character", field=field, detail=detail)]
    if not categories - _INVISIBLE:
        return [Fault(code="empty", field=field, detail=f"A {field} is needed.")]
    if len(source.strip().encode("utf-16-le")) // 2 > SUBJECT_UTF16_UNITS_MAX:
        detail = f"{name}: at most {SUBJECT_UTF16_UNITS_MAX} characters (UTF-16 units)."
        return [Fault(code="too-long", field=field, detail=detail)]
    try:
        allowed = (TITLE_VARIABLES if field == "title" else SUBJECT_VARIABLES) - without
        Subject(source.strip(), allowed=allowed, attributes=attributes).render(SAMPLE_VALUES, work)
    except TemplateError as error:
        code = "unknown-field" if "cannot use the variable" in str(error) else "template-syntax"
        return [_fault(code, field, _sentence(error), source, error.line, error.column)]
    return []


def faults_of_source(
    source: str,
    field: Field,
    kind: mail_template.Kind,
    attributes: frozenset[str],
    without: frozenset[str] = frozenset(),
) -> list[Fault]:
    """Faults of the author's own text as a template, with the lines that the author sees."""
    try:
        template = parse_template(source, kind, attributes, without)
    except TemplateError as error:
        return [
            _fault(
                "template-syntax",
                field,
                f"The template is not valid: {_sentence(error)}",
                source,
                error.line,
                error.column,
            )
        ]
    names = variable_names(attributes, VARIABLES - without)
    return [
        _fault(
            "unknown-field", field, f"There is no field `{one.name}`. There are: {names}.", source, one.line, one.column
        )
        for one in template.unknown_variables[:_FAULTS_MAX]
    ]


def faults_of_preheader(source: str, attributes: frozenset[str], without: frozenset[str] = frozenset()) -> list[Fault]:
    if len(source) > RAW_LINE_CHARS_MAX:
        detail = f"The preheader may be at most {RAW_LINE_CHARS_MAX} characters long."
        return [Fault(code="too-long", field="preheader", detail=detail)]
    if {unicodedata.category(char) for char in source} & _FORBIDDEN_IN_TITLES:
        detail = "The preheader may not hold line breaks or control characters. Take them out."
        return [Fault(code="control-character", field="preheader", detail=detail)]
    return faults_of_source(source, "preheader", "html", attributes, without)


def faults_of_compiled(issue: CompiledIssue, look: Look, attributes: frozenset[str]) -> list[Fault]:
    """What would fail for every recipient, and what takes too much work for one mail."""
    works = [Work() for _ in range(4)]
    footer = Footer(newsletter_name=look.newsletter_name, postal_address=look.postal_address, language=look.language)
    faults = faults_of_title(issue.title, "title", works[0], attributes)
    if issue.subject != issue.title:
        faults += faults_of_title(issue.subject, "subject", works[1], attributes)
    if issue.html_content is not None:
        faults += _faults_of_body(issue.html_content, "html", footer, works[2], attributes)
    faults += _faults_of_body(issue.text_content, "text", footer, works[3], attributes)
    if not faults and sum(work.used for work in works) > WORK_MAX:
        detail = "Title, HTML and plain text together take too much work for one mail. Use fewer conditions."
        faults = [Fault(code="template-work", field="content", detail=detail)]
    return faults


def _faults_of_body(
    source: str, kind: mail_template.Kind, footer: Footer, work: Work, attributes: frozenset[str]
) -> list[Fault]:
    field: Field = "content" if kind == "html" else "text_content"
    part = "HTML" if kind == "html" else "plain text"
    if not source.strip():
        detail = f"The {part} would be empty. Write something that readers see."
        return [Fault(code="empty", field=field, detail=detail)]
    if not is_storable(source):
        detail = "Content may not hold a NUL character or an unpaired surrogate."
        return [Fault(code="control-character", field=field, detail=detail)]
    if (size := len(source.encode())) > CONTENT_BYTES_MAX:
        detail = f"The {part} becomes {size} bytes; at most {CONTENT_BYTES_MAX} can be sent. Shorten it."
        return [Fault(code="too-large", field=field, detail=detail)]
    try:
        template = parse_template(source, kind, attributes)
        if template.unknown_variables:
            detail = f"There is no field `{template.unknown_variables[0].name}`."
            return [Fault(code="unknown-field", field=field, detail=detail)]
        # What fails with these values fails for every recipient.
        template.check(SAMPLE_VALUES)
        body = HtmlBody(template, footer) if kind == "html" else TextBody(template, footer)
        body.render(SAMPLE_VALUES, work)
    except TemplateError as error:
        detail = f"The {part} cannot be rendered: {_sentence(error)}"
        return [Fault(code="template-render", field=field, detail=detail)]
    return []


def _sentence(error: TemplateError) -> str:
    return f"{error.fault.rstrip('.')}."


def _fault(code: str, field: Field, detail: str, source: str, line: int | None, column: int | None) -> Fault:
    return Fault(code=code, field=field, detail=detail, line=line, column=column or _column(source, line))


def _column(source: str, line: int | None) -> int | None:
    """Where the line's Liquid begins. None if the line has several that may be meant."""
    if line is None:
        return None
    openings = [match.start() for match in re.finditer(r"\{[{%]", source.split("\n", line)[line - 1])]
    return openings[0] + 1 if len(openings) == 1 else None
