"""A newsletter's welcome mail, pure: what its author writes, what it is made of, and how its faults are shown."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from broadsheet_common.http.problems import FieldProblem
from broadsheet_common.mail.merge_fields import ISSUE_VARIABLES
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Fault
from broadsheet_publishing.compiling.issue_source import IssueSource, Layout, Look

CONTENT_CHARS_MAX: Final = 50_000
"""Lists of newsletters show it."""
SUBJECT_CHARS_MAX: Final = 2_000


class WelcomeSource(msgspec.Struct, frozen=True, kw_only=True):
    """What the author wrote: `subject` in the language of merge fields, `content` in Markdown with them."""

    is_enabled: bool = False
    subject: str = ""
    content: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.subject.strip() and not self.content.strip()


class WelcomeFault(msgspec.Struct, frozen=True, kw_only=True):
    """Why no mail can be made, and where. `field`: `subject`, `content`, or `layout`, which is the newsletter's.
    `line` and `column` count from 1; null: of the whole field.
    """

    code: str
    field: str
    detail: str
    line: int | None = None
    column: int | None = None


class WelcomeInput(msgspec.Struct, frozen=True, kw_only=True):
    """All that the mail is made of, as it was at one moment. `layout` None: the one that ships."""

    source: WelcomeSource
    layout: Layout | None
    look: Look
    attributes: frozenset[str]


class PreparedWelcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of `given`. `before`: the source that it replaces, None for a newsletter that had none."""

    before: WelcomeSource | None
    given: WelcomeInput
    content: CompiledIssue | None
    faults: tuple[WelcomeFault, ...]


def issue_source(source: WelcomeSource) -> IssueSource:
    """The same compiler makes it; fields of an issue are faults."""
    return IssueSource(title=source.subject, content=source.content, without=ISSUE_VARIABLES)


def look_of(newsletter: Mapping[str, Any]) -> Look:
    """From a newsletter's columns; those that are not given are as in a new newsletter. The mail has no page on the
    web.
    """
    given = {name: newsletter[name] for name in Look.__struct_fields__ if name in newsletter}
    return Look(
        newsletter_name=newsletter["name"],
        postal_address=newsletter.get("postal_address", ""),
        **{name: value for name, value in given.items() if name not in {"postal_address", "has_archive"}},
    )


def shown_faults(faults: Iterable[Fault]) -> tuple[WelcomeFault, ...]:
    """By the fields of the welcome mail: its subject is compiled as a title is, its plain text is made."""
    names = {"title": "subject", "subject": "subject", "layout": "layout"}
    return tuple(
        WelcomeFault(
            code=fault.code,
            field=names.get(fault.field, "content"),
            detail=fault.detail,
            line=fault.line,
            column=fault.column,
        )
        for fault in faults
    )


def problems_of(faults: Iterable[WelcomeFault]) -> tuple[FieldProblem, ...]:
    return tuple(
        FieldProblem(
            pointer="/layout_id" if fault.field == "layout" else f"/welcome_mail/{fault.field}",
            detail=_at_its_place(fault),
        )
        for fault in faults
    )


def _at_its_place(fault: WelcomeFault) -> str:
    if fault.line is None:
        return fault.detail
    column = "" if fault.column is None else f", column {fault.column}"
    return f"Line {fault.line}{column}: {fault.detail}"
