"""A stored segment's filter as a tree, ready to be compiled."""

from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.attributes.interface import attribute_types
from broadsheet_subscriptions.segments import store
from broadsheet_subscriptions.segments.filter import Node
from broadsheet_subscriptions.segments.parse_filter import parse_filter


async def load_filter(connection: AsyncConnection, segment_id: int, *, at: str) -> Node:
    """Raises `InvalidInputError` with the pointer `at` if there is no such segment."""
    segment = await store.find_segment(connection, segment_id)
    if segment is None:
        raise InvalidInputError(errors=(FieldProblem(pointer=at, detail="There is no such segment."),))
    return parse_filter(segment.filter, await attribute_types(connection), at=at)
