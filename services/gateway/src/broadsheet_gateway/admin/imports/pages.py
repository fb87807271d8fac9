"""`/admin/imports`: people from a file. Every upload is a dry run first; somebody looks at it, and then starts it."""

import asyncio
from typing import Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.problems import ConflictError, InvalidInputError, ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.session_form import check_form_token, require_still_allowed
from broadsheet_gateway.admin.form_keys import form_key_of, new_form_key
from broadsheet_gateway.admin.imports.ask_imports import (
    ask_import,
    ask_imports,
    ask_rejected_rows,
    send_mended,
    upload,
)
from broadsheet_gateway.admin.imports.import_form import (
    COLUMNS_MAX,
    faults_of,
    find_faults,
    read_mapping,
    read_typed,
    tags_of,
)
from broadsheet_gateway.admin.imports.import_page import RejectsAsked, page_of, rejects_asked
from broadsheet_gateway.admin.imports.import_views import Import
from broadsheet_gateway.admin.imports.mend_form import (
    MEND_FORM_FIELDS_MAX,
    MEND_FORM_MAX_BYTES,
    csv_of,
    mend,
    read_cells,
    unknown_rows,
)
from broadsheet_gateway.admin.imports.reject_views import mapping_of
from broadsheet_gateway.admin.imports.views import ImportsPage, NewImportPage, Step
from broadsheet_gateway.admin.newsletter_facts import ask_known_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import (
    or_none,
    parse_id,
    refusal_sentence,
    refused_fields,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.file_form import read_file_form
from broadsheet_gateway.http.request_body import BodyTimeoutError, ClientGoneError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages.flashes import FlashCode
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors

IMPORTS_PATH: Final = "/admin/imports"
_READS: Final = needs("imports:read", everywhere=True)
_WRITES: Final = needs("imports:read", "imports:write", everywhere=True)
_OTHER_FIELDS: Final = 20

_ROWS_ARE_OTHERS: Final = (
    "The file was read again meanwhile, or its rejected rows are not kept any more. What was typed is still here: copy "
    "what you need, then open the import again."
)

_NOT_SENT_ONE: Final = (
    "Nothing was started: a row that you corrected was not sent yet. It is still here. Send it with “Check the "
    "corrected rows”, then come back and start this import."
)
_NOT_SENT: Final = (
    "Nothing was started: {:,} rows that you corrected were not sent yet. They are still here. Send them with “Check "
    "the corrected rows”, then come back and start this import."
)


@get("/imports", include_in_schema=False, opt=_READS)
async def show_imports(
    context: NamedDependency[PageContext],
) -> PageResponse:
    cursor = context.request.query_params.get("cursor")
    found, newsletters = await asyncio.gather(
        or_none(ask_imports(context.calls, cursor=cursor)), ask_known_newsletters(context.calls)
    )
    return context.responder.page(
        ImportsPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            imports=None if found is None else tuple(found.items),
            names={one.id: one.label for one in newsletters},
            next_cursor=None if found is None else found.next_cursor,
            is_first_page=not cursor,
            may_write="imports:write" in context.session.rights.everywhere,
        )
    )


@get("/imports/new", include_in_schema=False, opt=_WRITES)
async def show_new_import(
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(
        NewImportPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            newsletters=await ask_known_newsletters(context.calls),
            idempotency_key=new_form_key(),
            max_bytes=context.settings.import_body_max_bytes,
        )
    )


@post("/imports/new", include_in_schema=False, opt=_WRITES)
async def submit_import(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """The fields come before the file. They are checked, and the form's token with them, before a byte of the file is
    passed on.
    """
    csrf.check_origin(context.request.headers, public_origin=context.settings.public_origin)
    sent = await read_file_form(
        context.request.receive,
        context.request.headers,
        file_field="file",
        max_bytes=context.settings.import_body_max_bytes,
        timeout_s=context.settings.import_body_timeout_s,
        idle_s=context.settings.body_timeout_s,
    )
    check_form_token(context.request, context.session, context.settings, sent.form)
    await require_still_allowed(context.request, context.session)
    typed, key = read_typed(sent.form), form_key_of(sent.form)
    errors, form_error, status = find_faults(typed), "", InvalidInputError.status
    if not sent.file_name:
        errors["file"] = "Choose a file."
    if typed.newsletter and not (typed.newsletter.isascii() and typed.newsletter.isdigit()):
        errors["newsletter"] = "Choose one of the list."
    if not errors:
        try:
            job = await upload(
                context.calls,
                typed,
                sent.content,
                newsletter_id=int(typed.newsletter) if typed.newsletter else None,
                idempotency_key=key,
                upload_s=context.settings.import_body_timeout_s,
                when_all_is_there=lambda: require_still_allowed(context.request, context.session),
            )
        except UpstreamRefusalError as refusal:
            refused = {name.partition("/")[0]: why for name, why in refused_fields(refusal).items()}
            errors = {_FIELD_OF.get(name, name): why for name, why in refused.items()}
            form_error, status = "" if errors else refusal_sentence(refusal), refusal.status
            key = new_form_key()
        except (BodyTimeoutError, ClientGoneError):
            raise  # nobody reads an answer
        except ProblemError as error:
            form_error, status = refusal_sentence(error), error.status
        else:
            return context.responder.redirect(_path_of(job.id))
    view = NewImportPage(
        signed_in=context.session.signed_in,
        newsletters=await ask_known_newsletters(context.calls),
        typed=typed,
        idempotency_key=key,
        max_bytes=context.settings.import_body_max_bytes,
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@get("/imports/{import_id:str}", include_in_schema=False, opt=_READS)
async def show_import(
    import_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    job = await ask_import(context.calls, parse_id(import_id))
    view = await page_of(context, job, rejects=rejects_asked(context.request.query_params))
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/imports/{import_id:str}/check", include_in_schema=False, opt=_WRITES)
async def submit_check(
    import_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Another dry run of the same file, with what the form says of its columns and people."""
    form = await context.read_form(fields_max=COLUMNS_MAX + _OTHER_FIELDS)
    job = await ask_import(context.calls, parse_id(import_id))
    typed, mapping = read_typed(form), read_mapping(form, job)
    errors, form_error, status = find_faults(typed), "", InvalidInputError.status
    undecided = {one.column for one in job.undecided_columns}
    for number, title in enumerate(job.columns, start=1):
        if title in undecided and mapping[title] is None:
            errors[f"column_{number}"] = "Choose what this column says."
    if not errors:
        try:
            await context.calls.send(
                "subscriptions",
                "POST",
                f"/api/v1/imports/{job.id}/start",
                Import,
                body={
                    "dry_run": True,
                    "consent_basis": typed.consent_basis,
                    "state": typed.state,
                    "existing": typed.existing,
                    "tags": tags_of(typed),
                    "mapping": mapping,
                },
                idempotency_key=form_key_of(form),
            )
        except UpstreamRefusalError as refusal:
            errors = faults_of(refused_fields(refusal), job)
            form_error, status = "" if errors else refusal_sentence(refusal), refusal.status
        except ProblemError as error:
            form_error, status = refusal_sentence(error), error.status
        else:
            return context.responder.redirect(_path_of(job.id))
    view = await page_of(
        context,
        job,
        mapping=mapping,
        typed=typed,
        error_in="columns",
        errors=errors,
        form_error=form_error,
    )
    return context.responder.page(view, status=status)


@post("/imports/{import_id:str}/start", include_in_schema=False, opt=_WRITES)
async def submit_start(
    import_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Imports the file exactly as it was checked and seen. The button belongs to the form of the rejected rows too, so
    that corrections come along: where there are some, nothing is started, and they stay on the page.
    """
    form = await context.read_form(max_bytes=MEND_FORM_MAX_BYTES, fields_max=MEND_FORM_FIELDS_MAX)
    job = await ask_import(context.calls, parse_id(import_id))
    asked = rejects_asked(form.fields, read_cells(form))
    if form.text("version") != job.version:
        message = "This import was checked again meanwhile. Look at what is there now, then start it."
        return await _refused(context, job, "start", message, status=ConflictError.status, rejects=asked)
    try:
        corrected = await _corrected_rows(context, job, asked)
    except ProblemError as error:
        sentence = refusal_sentence(error)
        return await _refused(context, job, "start", sentence, status=error.status, rejects=asked)
    if corrected:
        message = _NOT_SENT_ONE if corrected == 1 else _NOT_SENT.format(corrected)
        return await _refused(context, job, "start", message, status=InvalidInputError.status, rejects=asked)
    if form.text("sure") != "yes":
        errors = {"sure": "Tick the box to start."}
        view = await page_of(context, job, rejects=asked, error_in="start", errors=errors)
        return context.responder.page(view, status=InvalidInputError.status)
    # `mapping` as it was read: columns that are guessed are not guessed again.
    body = {"dry_run": False, "mapping": job.mapping}
    # One key is for one request: the form that both buttons share has that of the other one.
    key = form_key_of(form)
    key = f"{key.removesuffix('-mend')}-start" if key.endswith("-mend") else key
    return await _step(context, key, job, "start", body, rejects=asked)


async def _corrected_rows(context: PageContext, job: Import, asked: RejectsAsked) -> int:
    """How many rejected rows the form has corrected. Raises as `ServiceCalls.get` does."""
    if not asked.typed:
        return 0
    found = await ask_rejected_rows(context.calls, job.id, cursor=asked.cursor, reason=asked.reason)
    return len(mend(job, found.items, asked.typed).rows) + len(unknown_rows(job, found.items, asked.typed))


@post("/imports/{import_id:str}/cancel", include_in_schema=False, opt=_WRITES)
async def submit_cancel(
    import_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    job = await ask_import(context.calls, parse_id(import_id))
    return await _step(context, form_key_of(form), job, "stop")


@post("/imports/{import_id:str}/undo", include_in_schema=False, opt=_WRITES)
async def submit_undo(
    import_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    job = await ask_import(context.calls, parse_id(import_id))
    if form.text("sure") != "yes":
        errors = {"sure": "Tick the box to undo the import."}
        view = await page_of(context, job, error_in="undo", errors=errors)
        return context.responder.page(view, status=InvalidInputError.status)
    return await _step(context, form_key_of(form), job, "undo")


_OPERATION: Final[dict[Step, str]] = {"columns": "start", "start": "start", "undo": "undo", "stop": "cancel"}
_FIELD_OF: Final = {"newsletter_id": "newsletter", "tag": "tags"}
"""The form's fields whose name is another than the API's."""


async def _step(
    context: PageContext,
    key: str,
    job: Import,
    step: Step,
    body: object = None,
    *,
    rejects: RejectsAsked | None = None,
) -> PageResponse:
    calls = context.calls
    try:
        await calls.send(
            "subscriptions",
            "POST",
            f"/api/v1/imports/{job.id}/{_OPERATION[step]}",
            Import,
            body=body,
            idempotency_key=key,
        )
    except UpstreamRefusalError as refusal:
        fields = "; ".join(refused_fields(refusal).values())
        now = await ask_import(calls, job.id)
        sentence = f"{refusal_sentence(refusal)} {fields}".strip()
        return await _refused(context, now, step, sentence, status=refusal.status, rejects=rejects)
    except ProblemError as error:
        return await _refused(context, job, step, refusal_sentence(error), status=error.status, rejects=rejects)
    return context.responder.redirect(_path_of(job.id), flash=FlashCode.IMPORT_CANCELLED if step == "stop" else None)


async def _refused(
    context: PageContext,
    job: Import,
    step: Step,
    sentence: str,
    *,
    status: int,
    rejects: RejectsAsked | None = None,
) -> PageResponse:
    view = await page_of(context, job, rejects=rejects, error_in=step, form_error=sentence)
    return context.responder.page(view, status=status)


@post("/imports/{import_id:str}/mend", include_in_schema=False, opt=_WRITES)
async def submit_mended(
    import_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Rejected rows that were corrected become an import of their own: a dry run first, as every file."""
    form = await context.read_form(max_bytes=MEND_FORM_MAX_BYTES, fields_max=MEND_FORM_FIELDS_MAX)
    job = await ask_import(context.calls, parse_id(import_id))
    typed = read_cells(form)
    asked = rejects_asked(form.fields, typed)
    errors: FieldErrors = NO_ERRORS
    form_error, status = "", InvalidInputError.status
    try:
        found = await ask_rejected_rows(context.calls, job.id, cursor=asked.cursor, reason=asked.reason)
        mended = mend(job, found.items, typed)
        errors = mended.faults
        if form.text("version") != job.version or unknown_rows(job, found.items, typed):
            form_error, status = _ROWS_ARE_OTHERS, ConflictError.status
        elif not mended.rows:
            form_error = "No row was changed. Correct one first; what is left as it is would be rejected again."
        elif not errors:
            made = await send_mended(
                context.calls,
                job,
                csv_of(job, mended.rows),
                mapping=mapping_of(job),
                idempotency_key=form_key_of(form),
                upload_s=context.settings.import_body_timeout_s,
            )
            return context.responder.redirect(_path_of(made.id), flash=FlashCode.ROWS_MENDED)
    except UpstreamRefusalError as refusal:
        fields = "; ".join(refused_fields(refusal).values())
        form_error, status = f"{refusal_sentence(refusal)} {fields}".strip(), refusal.status
    except ProblemError as error:
        form_error, status = refusal_sentence(error), error.status
    view = await page_of(context, job, rejects=asked, error_in="mend", errors=errors, form_error=form_error)
    return context.responder.page(view, status=status)


def _path_of(import_id: int) -> str:
    return f"{IMPORTS_PATH}/{import_id}"


IMPORT_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_imports, show_new_import, submit_import, show_import, submit_check, submit_start, submit_cancel, submit_undo,
    submit_mended,
)  # fmt: skip
