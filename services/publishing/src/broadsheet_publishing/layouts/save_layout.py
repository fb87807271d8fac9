"""Save and delete layouts of one's own. Each is compiled around a sample before it is saved."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.audit import By, changes, record_audit
from broadsheet_common.http.entity_tag import require_match
from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_publishing.compiling.compiled_issue import CompileError
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.compiling.issue_source import IssueSource, Layout, Look
from broadsheet_publishing.layouts import store

NAME_CHARS_MAX: Final = 200
SOURCE_BYTES_MAX: Final = 500_000
"""A mail should stay below 102 KB; a layout is a part of each."""
_SAMPLE: Final = IssueSource(title="Sample", content="# Sample\n\nA paragraph, and a [link](https://example.com/).")
_SAMPLE_LOOK: Final = Look(newsletter_name="Sample", postal_address="1 Example Street, Example Town")


class NameTakenError(ConflictError):
    slug, title = "name-taken", "Another layout has this name"


class LayoutInUseError(ConflictError):
    slug, title = "layout-in-use", "A newsletter or a draft uses this layout"


def parse_name(raw: str) -> str:
    """Raises `InvalidInputError`."""
    name = raw.strip()
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise _fault("/name", f"A name has 1 to {NAME_CHARS_MAX} printable characters.")
    return name


async def check_layout(compiler: Compiler, layout: Layout) -> None:
    """Raises `InvalidInputError`, with the lines at fault, for a layout that no mail can be made with."""
    if not is_storable(layout.source):
        raise _fault("/source", "It may not hold a NUL character or an unpaired surrogate.")
    size = len(layout.source.encode())
    if size > SOURCE_BYTES_MAX:
        raise _fault("/source", f"A layout may be at most {SOURCE_BYTES_MAX} bytes; this is {size}.")
    try:
        await compiler.compile(_SAMPLE, layout=layout, look=_SAMPLE_LOOK, attributes=frozenset())
    except CompileError as error:
        raise InvalidInputError(
            errors=tuple(
                FieldProblem(
                    pointer="/source",
                    detail=fault.detail if fault.line is None else f"Line {fault.line}: {fault.detail}",
                )
                for fault in error.faults
            )
        ) from error


async def create_layout(connection: AsyncConnection, *, name: str, layout: Layout, by: By) -> store.LayoutRow:
    """In the caller's transaction. Raises `NameTakenError`."""
    await store.lock_names(connection)
    row = await store.insert_layout(connection, name=name, format_=layout.format, source=layout.source)
    if row is None:
        raise _name_taken()
    await record_audit(connection, by, "layout.created", row.id, after={"format": row.format})
    return row


async def change_layout(
    connection: AsyncConnection,
    layout_id: int,
    values: Mapping[str, object],
    *,
    if_match: str | None,
    represent: Callable[[store.LayoutRow], msgspec.Struct],
    by: By,
) -> store.LayoutRow:
    """In the caller's transaction. `values` by column; others stay. Issues that are scheduled keep what they were
    compiled with.

    Raises:
        NotFoundError, PreconditionRequiredError, PreconditionFailedError, NameTakenError
    """
    await store.lock_names(connection)
    row = await store.find_layout_row(connection, layout_id, lock=True)
    if row is None:
        raise NotFoundError("There is no such layout.")
    require_match(if_match, represent(row))
    name = values.get("name")
    if isinstance(name, str) and await store.name_is_taken(connection, name, by_other_than=layout_id):
        raise _name_taken()
    changed = await store.update_layout(connection, layout_id, values)
    made = changes({name: getattr(row, name) for name in values}, values, shown={"format"})
    if made is not None:
        await record_audit(connection, by, "layout.changed", layout_id, before=made[0], after=made[1])
    return changed


async def delete_layout(connection: AsyncConnection, layout_id: int, *, by: By) -> None:
    """In the caller's transaction. Raises `NotFoundError`, `LayoutInUseError`."""
    if await store.find_layout_row(connection, layout_id, lock=True) is None:
        raise NotFoundError("There is no such layout.")
    if await store.is_used(connection, layout_id):
        raise LayoutInUseError
    await store.delete_layout(connection, layout_id)
    await record_audit(connection, by, "layout.deleted", layout_id)


def _name_taken() -> NameTakenError:
    return NameTakenError(errors=(FieldProblem(pointer="/name", detail="Another layout has this name."),))


def _fault(pointer: str, detail: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldProblem(pointer=pointer, detail=detail),))
