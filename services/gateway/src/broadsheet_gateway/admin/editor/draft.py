"""A draft as the API gives it, as its form shows it, and what the form says back. Pure.

A form's fields are texts: what was typed is shown again as it was, also where it cannot be saved.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from broadsheet_gateway.admin.issue.issue_views import IssueStatus

Format = Literal["markdown", "html", "mjml", "text"]
Field = Literal["title", "subject", "preheader", "content", "text_content", "layout"]
"""Parts of an issue that something may be wrong with."""
DecideBy = Literal["clicks", "opens", "hand"]

FORMATS: Final[Mapping[str, str]] = {
    "markdown": "Markdown",
    "html": "HTML",
    "mjml": "MJML",
    "text": "Plain text",
}
OTHER_VERSIONS_MAX: Final = 3
_ON: Final = "on"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why the draft cannot become a mail, and where; lines and columns count from 1."""

    code: str
    field: Field
    detail: str
    line: int | None = None
    column: int | None = None
    variant: int | None = None


class OtherVersion(msgspec.Struct, frozen=True, kw_only=True):
    subject: str | None = None
    preheader: str | None = None
    content: str | None = None


class AbTest(msgspec.Struct, frozen=True, kw_only=True):
    others: tuple[OtherVersion, ...]
    share_percent: int = 20
    decide_by: DecideBy = "clicks"
    wait_minutes: int = 240
    sample_min: int = 100


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The API's Issue, as far as the editor needs it."""

    id: int
    newsletter_id: int
    segment_id: int | None = None
    title: str
    subject: str | None = None
    preheader: str = ""
    format: Format = "markdown"
    slug: str | None = None
    in_archive: bool | None = None
    status: IssueStatus
    status_reason: str | None = None
    version: int = 1
    saved_by: str = ""
    updated_at: datetime
    layout_id: int | None = None
    content: str = ""
    text_content: str | None = None
    ab_test: AbTest | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def mail_subject(self) -> str:
        return self.subject or self.title


class TypedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Another version of an A/B test; empty fields are those of the issue."""

    subject: str = ""
    preheader: str = ""
    content: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.subject or self.preheader or self.content)


class TypedDraft(msgspec.Struct, frozen=True, kw_only=True):
    """The form's fields. `layout_id`, `segment_id` empty: the newsletter's layout, everybody. `in_archive`: "", "yes"
    or "no". `ab_on`: "on" or empty.
    """

    title: str = ""
    subject: str = ""
    preheader: str = ""
    format: str = "markdown"
    content: str = ""
    text_content: str = ""
    layout_id: str = ""
    segment_id: str = ""
    slug: str = ""
    in_archive: str = ""
    ab_on: str = ""
    ab_share_percent: str = "20"
    ab_decide_by: str = "clicks"
    ab_wait_minutes: str = "240"
    ab_sample_min: str = "100"
    ab_others: tuple[TypedVersion, ...] = (TypedVersion(),) * OTHER_VERSIONS_MAX


_PLAIN_FIELDS: Final = tuple(name for name in TypedDraft.__struct_fields__ if name != "ab_others")


def typed_of(draft: Draft) -> TypedDraft:
    """The form of a draft as it is saved."""
    test = draft.ab_test
    others = tuple(
        TypedVersion(subject=one.subject or "", preheader=one.preheader or "", content=one.content or "")
        for one in (test.others if test is not None else ())
    )
    typed = TypedDraft(
        title=draft.title,
        subject=draft.subject or "",
        preheader=draft.preheader,
        format=draft.format,
        content=draft.content,
        text_content=draft.text_content or "",
        layout_id="" if draft.layout_id is None else str(draft.layout_id),
        segment_id="" if draft.segment_id is None else str(draft.segment_id),
        slug=draft.slug or "",
        in_archive="" if draft.in_archive is None else "yes" if draft.in_archive else "no",
        ab_others=(*others, *(TypedVersion(),) * (OTHER_VERSIONS_MAX - len(others))),
    )
    if test is None:
        return typed
    return msgspec.structs.replace(
        typed,
        ab_on=_ON,
        ab_share_percent=str(test.share_percent),
        ab_decide_by=test.decide_by,
        ab_wait_minutes=str(test.wait_minutes),
        ab_sample_min=str(test.sample_min),
    )


def read_typed(fields: Mapping[str, str]) -> TypedDraft:
    """What a form says; a field that is missing is empty. Browsers send line ends as CR LF: LF is meant."""

    def text(name: str) -> str:
        return fields.get(name, "").replace("\r\n", "\n")

    others = tuple(
        TypedVersion(
            subject=text(f"ab_subject_{number}"),
            preheader=text(f"ab_preheader_{number}"),
            content=text(f"ab_content_{number}"),
        )
        for number in range(2, OTHER_VERSIONS_MAX + 2)
    )
    return TypedDraft(**{name: text(name) for name in _PLAIN_FIELDS}, ab_others=others)


def fields_of(typed: TypedDraft) -> tuple[tuple[str, str], ...]:
    """The form's fields by name, as `read_typed` takes them."""
    versions = (
        (f"ab_{field}_{number}", getattr(version, field))
        for number, version in enumerate(typed.ab_others, 2)
        for field in TypedVersion.__struct_fields__
    )
    return (*((name, getattr(typed, name)) for name in _PLAIN_FIELDS), *versions)


class DraftFaultsError(Exception):
    """What cannot be sent to the API at all."""

    def __init__(self, by_field: dict[str, str]) -> None:
        super().__init__("; ".join(by_field))
        self.by_field = by_field


def patch_of(typed: TypedDraft) -> dict[str, object]:
    """The body of `PATCH /api/v1/issues/{id}`.

    Raises:
        DraftFaultsError: a number is none, or the A/B test has no other version.
    """
    faults: dict[str, str] = {}
    body: dict[str, object] = {
        "title": typed.title,
        "subject": typed.subject or None,
        "preheader": typed.preheader,
        "format": typed.format,
        "content": typed.content,
        "text_content": typed.text_content or None,
        "layout_id": _number(typed.layout_id, "layout_id", faults) if typed.layout_id else None,
        "segment_id": _number(typed.segment_id, "segment_id", faults) if typed.segment_id else None,
        "slug": typed.slug or None,
        "in_archive": {"yes": True, "no": False}.get(typed.in_archive),
        "ab_test": _ab_test(typed, faults) if typed.ab_on else None,
    }
    if not typed.ab_on and any(not one.is_empty for one in typed.ab_others):
        faults["ab_on"] = "There are other versions: tick this to try them, or empty their fields."
    if faults:
        raise DraftFaultsError(faults)
    return body


def _ab_test(typed: TypedDraft, faults: dict[str, str]) -> dict[str, object]:
    others = [
        {"subject": one.subject or None, "preheader": one.preheader or None, "content": one.content or None}
        for one in typed.ab_others
        if not one.is_empty
    ]
    if not others:
        faults["ab_subject_2"] = "Give version 2 a subject, a preheader or a content of its own."
    return {
        "others": others,
        "share_percent": _number(typed.ab_share_percent, "ab_share_percent", faults),
        "decide_by": typed.ab_decide_by,
        "wait_minutes": _number(typed.ab_wait_minutes, "ab_wait_minutes", faults),
        "sample_min": _number(typed.ab_sample_min, "ab_sample_min", faults),
    }


def _number(text: str, field: str, faults: dict[str, str]) -> int | None:
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit() and len(stripped) <= 18:  # noqa: PLR2004 (digits of a bigint)
        return int(stripped)
    faults[field] = "A whole number is needed."
    return None


def field_of(pointer: str, typed: TypedDraft) -> str:
    """The form's field of a pointer into the body, without its first slash: `ab_test/others/0/subject` is
    `ab_subject_2`. Versions left empty are not sent, so they are passed over.
    """
    parts = pointer.split("/")
    if parts[0] != "ab_test":
        return pointer
    match parts[1:]:
        case ["others", place, *field] if place.isdecimal():
            sent = [number for number, one in enumerate(typed.ab_others, 2) if not one.is_empty]
            number = sent[int(place)] if int(place) < len(sent) else 2
            return f"ab_{field[0] if field else 'subject'}_{number}"
        case [name]:
            return f"ab_{name}"
        case _:
            return "ab_on"
