"""Counts the subscribers that match a filter, and those of them who would get an issue: the audience as publish
freezes it.
"""

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_subscriptions.attributes.interface import attribute_types
from broadsheet_subscriptions.segments import store
from broadsheet_subscriptions.segments.parse_filter import parse_filter


class Excluded(msgspec.Struct, frozen=True):
    """How many match and are not in the audience, by reason."""

    pending: int
    unsubscribed: int
    not_subscribed: int


class AudiencePreview(msgspec.Struct, frozen=True):
    """`recipients` is the size of the audience: confirmed, and matching. `suppressed` of them would be sent nothing."""

    newsletter_id: int
    recipients: int
    suppressed: int
    excluded: Excluded


class SegmentCount(msgspec.Struct, frozen=True):
    matching: int
    audience: AudiencePreview | None


async def count_segment(
    connection: AsyncConnection, *, filter_: dict[str, Any], newsletter_id: int | None
) -> SegmentCount:
    """Raises InvalidInputError."""
    node = parse_filter(filter_, await attribute_types(connection))
    moment = await store.database_now(connection)
    if newsletter_id is None:
        return SegmentCount(await store.count_matching(connection, node, moment=moment), None)
    stream = await store.find_stream(connection, newsletter_id)
    if stream is None:
        raise InvalidInputError(errors=(FieldProblem(pointer="/newsletter_id", detail="There is no such newsletter."),))
    counts = await store.count_audience(connection, node, newsletter_id=newsletter_id, stream=stream, moment=moment)
    not_subscribed = counts.matching - counts.confirmed - counts.pending - counts.unsubscribed
    return SegmentCount(
        counts.matching,
        AudiencePreview(
            newsletter_id,
            recipients=counts.confirmed,
            suppressed=counts.suppressed,
            excluded=Excluded(counts.pending, counts.unsubscribed, not_subscribed),
        ),
    )
