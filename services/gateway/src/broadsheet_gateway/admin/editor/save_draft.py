"""Save what a form of the editor says, and find out what became of it."""

from typing import Final, Literal

import msgspec

from broadsheet_common.http.problems import BodyTooLargeError, ForbiddenError, NotFoundError, ProblemError
from broadsheet_gateway.admin.editor.compare_texts import compare
from broadsheet_gateway.admin.editor.draft import (
    Draft,
    DraftFaultsError,
    Fault,
    TypedDraft,
    field_of,
    fields_of,
    patch_of,
    typed_of,
)
from broadsheet_gateway.admin.editor.open_draft import ask_draft
from broadsheet_gateway.admin.editor.views import FIELD_TEXTS, Conflict, FieldConflict
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.service_calls import ServiceCalls, refusal_sentence, refused_fields
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer, UpstreamRefusalError
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors

NotSaved = Literal["refused", "forbidden", "no-draft", "gone", "unavailable", "signed-out", "out-of-date"]
_TOO_LARGE: Final = "Nothing was saved: all texts together may have 10 MB."


class SentDraft(msgspec.Struct, frozen=True):
    """What a form brought. `etag`: of the version that it was filled from; empty: it brought none."""

    issue_id: int
    etag: str
    typed: TypedDraft


class SavedNow(msgspec.Struct, frozen=True):
    """`etag` is for the next save. `faults`: why it cannot be sent yet."""

    etag: str
    version: int
    faults: tuple[Fault, ...]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was saved. `status`: of the answer. `errors`: by field of the form; `detail`: of the whole of it."""

    why: NotSaved
    status: int
    errors: FieldErrors = NO_ERRORS
    detail: str = ""


class SavedByOthers(msgspec.Struct, frozen=True):
    """Nothing was saved: the draft is another one than the form was filled from."""

    found: TaggedAnswer[Draft]


class _SavedDraft(msgspec.Struct, frozen=True):
    version: int
    faults: tuple[Fault, ...] = ()


async def save_draft(calls: ServiceCalls, sent: SentDraft) -> SavedNow | SavedByOthers | Refused:
    """One save. Every refusal is an outcome: what was typed must be shown again whatever happened."""
    try:
        saved = await calls.send_tagged(
            "publishing",
            "PATCH",
            f"/api/v1/issues/{sent.issue_id}",
            _SavedDraft,
            body=patch_of(sent.typed),
            if_match=sent.etag or None,
            prefer="return=minimal",
        )
    except DraftFaultsError as faults:
        return Refused(why="refused", status=422, errors=faults.by_field)
    except UpstreamRefusalError as refusal:
        return await _refused(calls, sent, refusal)
    except BodyTooLargeError as error:
        return Refused(why="refused", status=error.status, detail=_TOO_LARGE)
    except ProblemError as error:
        return of_problem(error)
    return SavedNow(saved.etag, saved.value.version, saved.value.faults)


async def _refused(
    calls: ServiceCalls, sent: SentDraft, refusal: UpstreamRefusalError
) -> SavedNow | SavedByOthers | Refused:
    match refusal.slug:
        case "precondition-failed":
            return await _compared(calls, sent)
        case "not-a-draft":
            return Refused(why="no-draft", status=refusal.status, detail=refusal_sentence(refusal))
        case _:
            fields = refused_fields(refusal)
            errors = {field_of(pointer, sent.typed): detail for pointer, detail in fields.items()}
            detail = "" if errors else refusal_sentence(refusal)
            return Refused(why="refused", status=refusal.status, errors=errors, detail=detail)


async def _compared(calls: ServiceCalls, sent: SentDraft) -> SavedNow | SavedByOthers | Refused:
    """Whether what was saved meanwhile is something else. If it is the same, it was an earlier try of this save, whose
    answer was lost: nobody is told that somebody else is writing by their own save.
    """
    try:
        found = await ask_draft(calls, sent.issue_id)
    except ProblemError as error:
        return of_problem(error)
    except UpstreamRefusalError as refusal:
        return Refused(why="unavailable", status=refusal.status, detail=refusal_sentence(refusal))
    draft = found.value
    if draft.status is not IssueStatus.DRAFT:
        return Refused(why="no-draft", status=409, detail=f"It is {draft.status.value} now.")
    if not _different_fields(sent.typed, draft):
        return SavedNow(found.etag, draft.version, draft.faults)
    return SavedByOthers(found)


def of_problem(error: ProblemError) -> Refused:
    """What a problem means for a save. What is not known to be final may work later."""
    why: NotSaved = "unavailable"
    if isinstance(error, NotFoundError):
        why = "gone"
    elif error.status == ForbiddenError.status:
        why = "forbidden"
    return Refused(why=why, status=error.status, detail=refusal_sentence(error))


def conflict_of(typed: TypedDraft, draft: Draft) -> Conflict:
    """Both texts, field by field and line by line."""
    mine, theirs = dict(fields_of(typed)), dict(fields_of(typed_of(draft)))
    different = _different_fields(typed, draft)
    return Conflict(
        fields=tuple(FieldConflict(name, FIELD_TEXTS[name], compare(mine[name], theirs[name])) for name in different)
    )


def _different_fields(typed: TypedDraft, draft: Draft) -> tuple[str, ...]:
    """Their names, in the form's order. What a save itself changes of a text is no difference."""
    mine, theirs = dict(fields_of(typed)), dict(fields_of(typed_of(draft)))
    is_ab = mine["ab_on"] or theirs["ab_on"]
    return tuple(
        name
        for name in FIELD_TEXTS
        # The fields of a test that neither has say nothing.
        if (is_ab or not name.startswith("ab_")) and _as_saved(mine[name]) != _as_saved(theirs[name])
    )


def _as_saved(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
