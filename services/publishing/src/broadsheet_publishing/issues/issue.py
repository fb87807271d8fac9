"""An issue, pure: what its parts may hold, and which status it has.

An issue is content until it is published, by hand or at its time; from then on delivery says how far it is:

    draft ──publish──▶ publishing ──fan-out done──▶ sending ──all settled──▶ sent
     ▲│schedule    ▲        │                        │  ▲                     │
     │▼            │        │                        │  │                     │
    scheduled ──its time    │                        │  │                     │
      │                     │                        │  │                     │
      │                     ├──▶ paused and back ◀───┤  └────retry failed─────┘
      └──cancel─────────────┴──────▶ cancelled ◀─────┘
"""

import unicodedata
from typing import Literal, assert_never

import msgspec

from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_body import Footer, HtmlBody, TextBody
from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX, Subject
from broadsheet_common.mail.mail_template import SAMPLE_VALUES, VARIABLES
from broadsheet_common.mail.template_work import WORK_MAX, TemplateError, Work

CONTENT_BYTES_MAX = 5_000_000
"""Postmark takes 5 MB (5,242,880 bytes) a body; the rest is for the footer and for merged values."""
RAW_TITLE_CHARS_MAX = 10_000
"""Longer texts are refused before they are looked at."""

StoredStatus = Literal["draft", "scheduled", "published", "cancelled"]
RunState = Literal["open", "paused", "cancelled", "finished"]
Status = Literal["draft", "scheduled", "publishing", "sending", "paused", "sent", "cancelled"]

# Control characters, line and paragraph separators, halves of surrogate pairs: nothing that a header may hold.
_FORBIDDEN_IN_TITLES = frozenset({"Cc", "Zl", "Zp", "Cs"})
_TOO_MUCH_TOGETHER = (
    "Title, HTML and plain text together take too much work for one mail. Use fewer conditions or loops."
)
# What a reader does not see.
_INVISIBLE = frozenset({"Cf", "Zs"})


class IssueContent(msgspec.Struct, frozen=True):
    """The valid parts of an issue: a one-line title and two bodies, all three Liquid templates that render."""

    title: str
    html_content: str
    text_content: str

    @classmethod
    def parse(cls, *, title: str, html_content: str, text_content: str) -> "IssueContent":
        """Raises `InvalidInputError` that names every field at fault."""
        parsed_title = title.strip()
        works = of_title, of_html, of_text = Work(), Work(), Work()
        problems = [
            FieldProblem(pointer=pointer, detail=detail)
            for pointer, detail in (
                ("/title", _fault_of_title(title, parsed_title, of_title)),
                ("/html_content", _fault_of_content(html_content, "html", of_html)),
                ("/text_content", _fault_of_content(text_content, "text", of_text)),
            )
            if detail is not None
        ]
        if not problems and sum(work.used for work in works) > WORK_MAX:
            problems = [FieldProblem(pointer="/html_content", detail=_TOO_MUCH_TOGETHER)]
        if problems:
            raise InvalidInputError(errors=tuple(problems))
        return cls(parsed_title, html_content, text_content)


class Progress(msgspec.Struct, frozen=True):
    """How far delivery is with a published issue."""

    state: RunState
    pause_reason: str | None
    fan_out_is_finished: bool


def status_of(stored: StoredStatus, progress: Progress | None) -> Status:
    """`progress` is None for an issue that delivery knows nothing of."""
    match stored:
        case "draft" | "scheduled" | "cancelled":
            return stored
        case "published":
            return "publishing" if progress is None else _status_of_run(progress)
        case _:
            assert_never(stored)


def status_reason(progress: Progress | None, parked: int) -> str | None:
    """What the author should know about a published issue: why it is paused, or that deliveries wait for a decision."""
    if progress is None:
        return None
    if progress.pause_reason is not None or parked == 0:
        return progress.pause_reason
    return f"{parked} deliveries may have been sent, which could not be found out in time: they wait for a decision."


def _status_of_run(progress: Progress) -> Status:
    match progress.state:
        case "open":
            return "sending" if progress.fan_out_is_finished else "publishing"
        case "finished":
            return "sent"
        case "paused" | "cancelled":
            return progress.state
        case _:
            assert_never(progress.state)


def _fault_of_title(raw: str, parsed: str, work: Work) -> str | None:
    """What it takes in one mail is charged to `work`; so with `_fault_of_content`."""
    # Looked for in the raw text: a title that ends in a line break was meant to hold more.
    categories = {unicodedata.category(char) for char in raw}
    if categories & _FORBIDDEN_IN_TITLES:
        return "A title may not hold line breaks or control characters."
    if not categories - _INVISIBLE:
        return "A title is needed."
    if len(parsed.encode("utf-16-le")) // 2 > SUBJECT_UTF16_UNITS_MAX:
        return f"A title may be at most {SUBJECT_UTF16_UNITS_MAX} characters long (UTF-16 units)."
    try:
        Subject(parsed).render(SAMPLE_VALUES, work)
    except TemplateError as error:
        return f"The template is not valid. {error}."
    return None


def _fault_of_content(source: str, kind: mail_template.Kind, work: Work) -> str | None:
    if not source.strip():
        return "Content is needed."
    if not is_storable(source):
        return "Content may not hold a NUL character or an unpaired surrogate."
    size = len(source.encode())
    if size > CONTENT_BYTES_MAX:
        return f"Content may be at most {CONTENT_BYTES_MAX} bytes; this is {size}."
    try:
        template = mail_template.parse(source, kind)
        if unknown := template.unknown_variables:
            names = ", ".join(f"{{{{ {name} }}}}" for name in sorted(VARIABLES))
            first = unknown[0]
            return f"Line {first.line}: there is no variable `{first.name}`. There are: {names}."
        # What fails with these values fails for every recipient.
        template.check(SAMPLE_VALUES)
        footer = Footer(newsletter_name="", postal_address="")
        body = HtmlBody(template, footer) if kind == "html" else TextBody(template, footer)
        body.render(SAMPLE_VALUES, work)
    except TemplateError as error:
        return f"The template is not valid. {error}"
    return None
