"""Create, change and delete segments. Each function works in the caller's transaction."""

import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from broadsheet_subscriptions.attributes.interface import attribute_types, hold_attributes
from broadsheet_subscriptions.segments import store
from broadsheet_subscriptions.segments.filter import attributes_of
from broadsheet_subscriptions.segments.parse_filter import parse_filter

NAME_CHARS_MAX = 200
_UNPRINTABLE = re.compile("[\0-\x1f\x7f\u2028\u2029\ud800-\udfff]")


class SegmentExistsError(ConflictError):
    slug, title = "segment-exists", "There is a segment of this name"


class SegmentInUseError(ConflictError):
    slug, title = "segment-in-use", "An issue that is not published yet uses this segment"


async def create_segment(connection: AsyncConnection, *, name: str, filter_: dict[str, Any]) -> store.SegmentRow:
    """Raises InvalidInputError, SegmentExistsError."""
    parsed = await _check(connection, name, filter_)
    row = await store.insert_segment(connection, name=parsed, filter_=filter_)
    if row is None:
        raise SegmentExistsError
    return row


async def change_segment(
    connection: AsyncConnection, row: store.SegmentRow, *, name: str | None, filter_: dict[str, Any] | None
) -> store.SegmentRow:
    """Changes a segment that the transaction has locked; None: no change. Issues already published to it keep their
    tree.

    Raises InvalidInputError, SegmentExistsError.
    """
    new_filter = row.filter if filter_ is None else filter_
    parsed = await _check(connection, row.name if name is None else name, new_filter)
    changed = await store.update_segment(connection, row.id, name=parsed, filter_=new_filter)
    if changed is None:
        raise SegmentExistsError
    return changed


async def lock_segment(connection: AsyncConnection, segment_id: int) -> store.SegmentRow:
    """Raises NotFoundError."""
    row = await store.find_segment(connection, segment_id, lock=True)
    if row is None:
        raise NotFoundError("There is no such segment.")
    return row


async def delete_segment(connection: AsyncConnection, segment_id: int) -> None:
    """Raises NotFoundError, SegmentInUseError."""
    await lock_segment(connection, segment_id)
    if await store.is_used(connection, segment_id):
        raise SegmentInUseError
    await store.delete_segment(connection, segment_id)


async def _check(connection: AsyncConnection, name: str, filter_: dict[str, Any]) -> str:
    """Locks the attributes that the filter uses, so that none is removed before the segment that uses it is
    committed.

    Raises InvalidInputError that names every fault.
    """
    problems: list[FieldProblem] = []
    parsed = name.strip()
    if not parsed or len(parsed) > NAME_CHARS_MAX or _UNPRINTABLE.search(parsed):
        detail = f"A name has 1 to {NAME_CHARS_MAX} characters, and no control characters."
        problems.append(FieldProblem(pointer="/name", detail=detail))
    try:
        asked_for = attributes_of(parse_filter(filter_, await attribute_types(connection)))
        parse_filter(filter_, await hold_attributes(connection, asked_for))
    except InvalidInputError as error:
        problems += error.errors
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return parsed
