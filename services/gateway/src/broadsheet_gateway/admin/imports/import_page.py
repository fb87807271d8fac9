"""The page of one import, put together of what the services tell."""

import asyncio
from collections.abc import Mapping

import msgspec

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.admin.form_keys import new_form_key
from broadsheet_gateway.admin.imports.ask_imports import (
    ask_attributes,
    ask_first_rows,
    ask_reject_reasons,
    ask_rejected_rows,
)
from broadsheet_gateway.admin.imports.import_form import typed_of
from broadsheet_gateway.admin.imports.import_views import Import, column_rows
from broadsheet_gateway.admin.imports.mend_form import unknown_rows
from broadsheet_gateway.admin.imports.reject_views import RejectedRow, RejectsView, can_be_mended, reject_views
from broadsheet_gateway.admin.imports.views import ImportPage, Step, TypedImport
from broadsheet_gateway.admin.newsletter_facts import ask_known_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import or_none
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors

REASON_CHARS_MAX = 2_000
CURSOR_CHARS_MAX = 1_000


class RejectsAsked(msgspec.Struct, frozen=True):
    """Which of the rejected rows, and what was typed over them, by field."""

    cursor: str = ""
    reason: str = ""
    typed: Mapping[str, str] = msgspec.field(default_factory=dict)


def rejects_asked(given: Mapping[str, str], typed: Mapping[str, str] | None = None) -> RejectsAsked:
    """Of an address's query, or of a form."""
    cursor, reason = given.get("cursor", ""), given.get("reason", "")
    return RejectsAsked(cursor[:CURSOR_CHARS_MAX], reason[:REASON_CHARS_MAX], typed or {})


async def page_of(
    context: PageContext,
    job: Import,
    *,
    mapping: dict[str, str | None] | None = None,
    typed: TypedImport | None = None,
    rejects: RejectsAsked | None = None,
    error_in: Step = "columns",
    errors: FieldErrors = NO_ERRORS,
    form_error: str = "",
) -> ImportPage:
    """`mapping`, `typed` and `rejects` are what a form that was refused held."""
    calls = context.calls
    may_write = "imports:write" in context.session.rights.everywhere
    newsletters, attributes, first_rows, shown = await asyncio.gather(
        ask_known_newsletters(calls),
        ask_attributes(calls),
        _first_rows(context, job, may_write=may_write),
        _rejects(context, job, rejects or RejectsAsked(), may_write=may_write),
    )
    names = {one.id: one.label for one in newsletters}
    return ImportPage(
        signed_in=context.session.signed_in,
        job=job,
        newsletter_name=names.get(job.newsletter_id, f"Newsletter {job.newsletter_id}"),
        columns=column_rows(job, attributes or (), mapping),
        first_rows=first_rows,
        rejects=shown,
        typed=typed or typed_of(job),
        attributes_known=attributes is not None,
        may_write=may_write,
        idempotency_key=new_form_key(),
        error_in=error_in,
        errors=errors,
        form_error=form_error,
    )


async def _first_rows(context: PageContext, job: Import, *, may_write: bool) -> tuple[tuple[str, ...], ...] | None:
    """Only for the form that says what the columns are."""
    return await ask_first_rows(context.calls, job) if may_write and job.is_waiting_to_start and job.columns else ()


async def _rejects(context: PageContext, job: Import, asked: RejectsAsked, *, may_write: bool) -> RejectsView | None:
    if not asked.typed and (job.status.is_moving or not job.counts.rejected):
        return None
    found, reasons = await asyncio.gather(
        or_none(ask_rejected_rows(context.calls, job.id, cursor=asked.cursor, reason=asked.reason)),
        ask_reject_reasons(context.calls, job.id),
    )
    if found is None and not asked.typed:
        return RejectsView(rows=None, reason=asked.reason, cursor=asked.cursor)
    page = found or Page[RejectedRow]([], None)
    may_mend = may_write and (can_be_mended(job) or bool(asked.typed))
    rows = (*page.items, *unknown_rows(job, page.items, asked.typed))
    return RejectsView(
        rows=reject_views(job, rows, may_mend=may_mend, typed=asked.typed),
        reasons=reasons,
        reason=asked.reason,
        cursor=asked.cursor,
        next_cursor=page.next_cursor,
        may_mend=may_mend,
    )
