"""What an operator does with an import: start it (again), cancel it, or undo it. Each in one transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_subscriptions.imports import store
from broadsheet_subscriptions.imports.import_options import ImportOptions
from broadsheet_subscriptions.imports.reading.opt_out import UndecidedColumn, how_to_decide
from broadsheet_subscriptions.imports.store import ImportRow


class UndecidedColumnsError(InvalidInputError):
    slug, title = "undecided-columns", "Columns that may say who must not be written to are undecided"


class ImportStateError(ConflictError):
    slug, title = "import-state", "The state of the import does not allow this"


async def start_import(connection: AsyncConnection, import_id: int, options: ImportOptions) -> ImportRow:
    """Possible after a dry run, or after a run that failed before it stored anything.

    Raises:
        NotFoundError, ImportStateError
        InvalidInputError: the mapping names a column that the file does not have.
        UndecidedColumnsError: a column may say who left, and the mapping does not decide it. Not raised for a dry run.
    """
    job = await _lock(connection, import_id)
    may_start = job.status == "checked" or (job.status == "failed" and (job.dry_run or job.counts.rows == 0))
    if not may_start or job.file_removed_at is not None or job.file_format is None:
        raise ImportStateError(_why_not_start(job))
    if options.mapping is not None and job.columns is not None:
        unknown = [title for title in options.mapping if title not in job.columns]
        if unknown:
            problem = FieldProblem(pointer="/mapping", detail=f"The file has no column “{unknown[0][:80]}”.")
            raise InvalidInputError(errors=(problem,))
    mapping = options.mapping or {}
    undecided = [one for one in job.undecided_columns if not one.is_decided_by(mapping.get(one.column))]
    if undecided and not options.dry_run:
        raise UndecidedColumnsError(
            errors=tuple(FieldProblem(pointer=_pointer(one), detail=how_to_decide(one)) for one in undecided)
        )
    await store.start_anew(connection, import_id=import_id, options=options)
    return await _reread(connection, import_id)


def _pointer(undecided: UndecidedColumn) -> str:
    return "/mapping/" + undecided.column.replace("~", "~0").replace("/", "~1")


def _why_not_start(job: ImportRow) -> str:
    if job.file_removed_at is not None:
        return "The file is no longer stored. Upload it again."
    if job.status == "failed":
        return "The import failed after part of it was stored. Undo it, or upload the file again."
    return f"The import is {job.status}."


async def cancel_import(connection: AsyncConnection, import_id: int) -> ImportRow:
    """What is already stored stays until it is undone. Cancelling again changes nothing.

    Raises:
        NotFoundError, ImportStateError
    """
    job = await _lock(connection, import_id)
    if job.status == "cancelled":
        return job
    if job.status not in {"queued", "running", "checked"}:
        raise ImportStateError(f"The import is {job.status}.")
    await store.set_status(connection, import_id=import_id, status="cancelled")
    return await _reread(connection, import_id)


async def begin_undo(connection: AsyncConnection, import_id: int) -> ImportRow:
    """Marks the import for the worker, which undoes it. Repeating it changes nothing.

    Raises:
        NotFoundError, ImportStateError
    """
    job = await _lock(connection, import_id)
    if job.status in {"undoing", "undone"}:
        return job
    if job.status not in {"done", "cancelled", "failed"} or job.dry_run or job.counts.rows == 0:
        raise ImportStateError(f"The import is {job.status}." if job.counts.rows else "The import stored nothing.")
    await store.begin_undo(connection, import_id=import_id)
    return await _reread(connection, import_id)


async def _lock(connection: AsyncConnection, import_id: int) -> ImportRow:
    job = await store.lock_import(connection, import_id)
    if job is None:
        raise NotFoundError("There is no such import.")
    return job


async def _reread(connection: AsyncConnection, import_id: int) -> ImportRow:
    job = await store.find_import(connection, import_id)
    assert job is not None
    return job
