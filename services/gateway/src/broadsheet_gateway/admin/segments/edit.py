"""One segment's form: how it is read, built into a filter, and shown again."""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from broadsheet_common.http.problems import as_sentence
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.segments.asked import Known
from broadsheet_gateway.admin.segments.condition_words import AttributeType
from broadsheet_gateway.admin.segments.filter_form import press, read_button, read_rows
from broadsheet_gateway.admin.segments.filter_rows import Fault, Group, Path, build_filter, place_of, rows_of
from broadsheet_gateway.admin.segments.show_rows import (
    error_texts,
    field_choices,
    issue_choices,
    newsletter_choices,
    show_group,
)
from broadsheet_gateway.admin.segments.views import SegmentPage
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.forms import Form

NAME_CHARS_MAX: Final = 1_000
"""Longer ones are cut before the service says that a name has at most 200."""
WhyJson = Literal["", "asked", "odd", "unknown"]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the form: rows, or the filter as a text where `rows` is None."""

    name: str = ""
    rows: Group | None = None
    text: str = ""
    why_json: WhyJson = ""
    new: Path | None = None
    version: str = ""
    idempotency_key: str = ""


class Read(msgspec.Struct, frozen=True):
    """A draft's filter; with faults there is none to send."""

    filter: dict[str, Any]
    pointers: Mapping[str, Path] = {}
    faults: tuple[Fault, ...] = ()
    text_fault: str = ""

    @property
    def is_whole(self) -> bool:
        return not self.faults and not self.text_fault


def draft_of(name: str, tree: dict[str, Any], known: Known, *, version: str) -> Draft:
    """A stored segment. Without the attributes nobody can say which rows a filter has."""
    rows = None if known.attributes is None else rows_of(tree, known.types)
    why: WhyJson = "" if rows is not None else "unknown" if known.attributes is None else "odd"
    return Draft(name=name, rows=rows, text=as_text(tree), why_json=why, version=version)


def read_draft(form: Form) -> Draft:
    """Raises `MalformedRequestError` for what no form of ours sends."""
    text = form.get("filter")
    return Draft(
        name=form.text("name")[:NAME_CHARS_MAX],
        rows=read_rows(form.fields) if text is None else None,
        text=text or "",
        why_json="" if text is None else "asked",
        version=form.text("version"),
        idempotency_key=form.text("idempotency_key"),
    )


def read_filter(draft: Draft, types: Mapping[str, AttributeType]) -> Read:
    if draft.rows is not None:
        built = build_filter(draft.rows, types)
        return Read(built.filter, built.pointers, built.faults)
    try:
        tree = msgspec.json.decode(draft.text.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Read({}, text_fault="This is not a JSON object. Look at quotes, commas and brackets.")
    return Read(tree)


def pressed(draft: Draft, button_text: str, known: Known) -> tuple[Draft, Read | None]:
    """The draft after a button that only changes the form. The second: its filter's faults, where they kept the form
    from changing.
    """
    if draft.rows is not None and (button := read_button(button_text)) is not None:
        rows, new = press(draft.rows, button)
        return msgspec.structs.replace(draft, rows=rows, new=new), None
    if draft.rows is not None and button_text == "json":
        read = read_filter(draft, known.types)
        if not read.is_whole:
            return draft, read
        return msgspec.structs.replace(draft, rows=None, text=as_text(read.filter), why_json="asked"), None
    if draft.rows is None and button_text == "rows":
        read = read_filter(draft, known.types)
        if not read.is_whole:
            return draft, read
        if known.attributes is None:
            return msgspec.structs.replace(draft, why_json="unknown"), None
        rows_found = rows_of(read.filter, known.types)
        if rows_found is None:
            return msgspec.structs.replace(draft, why_json="odd"), None
        return msgspec.structs.replace(draft, rows=rows_found, why_json=""), None
    return draft, None


def as_text(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False)


def page_of(
    draft: Draft,
    known: Known,
    session: Session,
    *,
    segment_id: int | None,
    read: Read | None = None,
    refusal: UpstreamRefusalError | None = None,
    name_fault: str = "",
    form_error: str = "",
    matching: int | msgspec.UnsetType | None = msgspec.UNSET,
) -> SegmentPage:
    """`read`: with the faults to show. `refusal`: the service's, whose messages go to their rows."""
    shown = None if draft.rows is None else show_group(draft.rows, known, new=draft.new)
    faults = list(read.faults) if read is not None else []
    texts = [read.text_fault] if read is not None and read.text_fault else []
    unplaced: list[str] = []
    for problem in refusal.problem.errors if refusal is not None else ():
        detail = as_sentence(problem.detail)
        place = place_of(problem.pointer, read.pointers) if read is not None else None
        if problem.pointer == "/name":
            name_fault = name_fault or detail
        elif shown is not None and place is not None:
            faults.append(Fault(place[0], place[1], detail))
        elif shown is None and problem.pointer.startswith("/filter"):
            where = problem.pointer.removeprefix("/filter")
            texts.append(f"At {where}: {detail}" if where else detail)
        else:
            unplaced.append(detail)
    errors: dict[str, str] = {"name": name_fault} if name_fault else {}
    labels: tuple[tuple[str, str], ...] = (("name", "Name"), ("filter", "Filter"))
    if texts:
        errors["filter"] = " ".join(texts)
    if shown is not None:
        row_errors, row_labels = error_texts(faults, shown)
        errors |= row_errors
        labels += row_labels
    return SegmentPage(
        signed_in=session.signed_in,
        segment_id=segment_id,
        name=draft.name,
        rows=shown,
        filter_text=draft.text,
        why_json=draft.why_json,
        fields=field_choices(known),
        newsletters=() if draft.rows is None else newsletter_choices(draft.rows, known),
        issues=() if draft.rows is None else issue_choices(draft.rows, known),
        matching=matching,
        version=draft.version,
        idempotency_key=draft.idempotency_key,
        errors=errors,
        error_labels=labels,
        form_error=form_error or " ".join(unplaced),
    )
