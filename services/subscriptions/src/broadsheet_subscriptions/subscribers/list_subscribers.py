"""A page of subscribers: the most selective condition is read from its index, and the rest is applied as a filter.

The work is bounded: at most CANDIDATES_MAX subscribers are looked at for a page. So a page may have fewer items
than its limit, or none, although more follow. Only a page without a cursor is the last.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.http.pagination import decode_cursor, decode_key_cursor, encode_cursor, encode_key_cursor
from broadsheet_subscriptions.segments.filter import All, Email, HasSubscription, Name, Node, Tags
from broadsheet_subscriptions.subscribers import list_store as store
from broadsheet_subscriptions.subscribers.list_store import Position, Walk
from broadsheet_subscriptions.subscribers.subscription import State

FIRST_LOOK = 400
"""Enough to fill a page with nearly any filter that at least half of the candidates match."""
LATER_LOOK = 1_000
"""Few enough that the planner looks up each of them, and does not read all subscriptions instead."""
CANDIDATES_MAX = 6_400


class Wanted(msgspec.Struct, frozen=True):
    """All conditions that are not None must hold. At most one of the three about address and name is given.

    `ids`: only these subscribers; those that do not exist are left out.
    """

    ids: tuple[int, ...] | None = None
    state: State | None = None
    newsletter_id: int | None = None
    email_key: str | None = None
    email_prefix: str | None = None
    name_prefix: str | None = None
    tag: str | None = None
    matching: Node | None = None
    suppressed: bool | None = None
    """Whether a confirmed subscription (to `newsletter_id`, if given) gets no issue because its address is
    suppressed.
    """


class PageOfIds(msgspec.Struct, frozen=True):
    ids: list[int]
    next_cursor: str | None


async def list_subscribers(connection: AsyncConnection, wanted: Wanted, *, cursor: str | None, limit: int) -> PageOfIds:
    """Newest first; ordered by address or name if a prefix of it is given. Raises MalformedRequestError."""
    walk, rest = plan(wanted)
    after = _decode(walk, cursor)
    await connection.execute(sa.text(store.KEEP_TO_THE_INDEX_SQL))
    if rest is None and wanted.suppressed is None:
        found = await store.walk_candidates(connection, walk, after=after, limit=limit + 1)
        return _page(walk, found[:limit], found[limit - 1] if len(found) > limit else None)
    kept: list[Position] = []
    looked_at = 0
    while looked_at < CANDIDATES_MAX:
        look = LATER_LOOK if looked_at else FIRST_LOOK
        candidates = await store.walk_candidates(connection, walk, after=after, limit=look)
        looked_at += len(candidates)
        fitting = await _fitting(connection, [one.id for one in candidates], wanted, rest) if candidates else set()
        kept += [one for one in candidates if one.id in fitting]
        if len(kept) > limit:
            return _page(walk, kept[:limit], kept[limit - 1])
        if len(candidates) < look:
            return _page(walk, kept, None)
        after = candidates[-1]
    return _page(walk, kept, after)


async def _fitting(connection: AsyncConnection, ids: Sequence[int], wanted: Wanted, rest: Node | None) -> set[int]:
    fitting = set(ids) if rest is None else await store.matching_ids(connection, ids, rest)
    if wanted.suppressed is None:
        return fitting
    suppressed = await store.suppressed_ids(connection, ids, newsletter_id=wanted.newsletter_id)
    return fitting & suppressed if wanted.suppressed else fitting - suppressed


def plan(wanted: Wanted) -> tuple[Walk, Node | None]:
    """The walk, and a filter for the remaining conditions (None: there are none)."""
    [(walk, _), *others] = [*_conditions(wanted), (store.Newest(), _EVERYBODY)]
    rest = ([] if wanted.matching is None else [wanted.matching]) + [node for _, node in others[:-1]]
    return walk, All(tuple(rest)) if rest else None


_EVERYBODY: Final = All(())


def _conditions(wanted: Wanted) -> Iterator[tuple[Walk, Node]]:
    """Each as a walk and as a filter, the most selective first: that one is walked."""
    if wanted.ids is not None:
        yield store.OfIds(wanted.ids), _EVERYBODY
    if wanted.email_key is not None:
        yield store.WithAddress(wanted.email_key), Email("eq", (wanted.email_key,))
    if wanted.email_prefix is not None:
        yield store.ByAddress(wanted.email_prefix), Email("starts_with", (wanted.email_prefix,))
    if wanted.name_prefix is not None:
        yield store.ByName(wanted.name_prefix), Name("starts_with", (wanted.name_prefix,))
    if wanted.tag is not None:
        yield store.WithTag(wanted.tag), Tags((wanted.tag,), every=False)
    if wanted.state is not None or wanted.newsletter_id is not None:
        yield (
            store.WithSubscription(wanted.newsletter_id, wanted.state),
            HasSubscription(wanted.newsletter_id, wanted.state),
        )


def _decode(walk: Walk, cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    if isinstance(walk, store.ByAddress | store.ByName):
        key, id_ = decode_key_cursor(cursor)
        return Position(id_, key)
    position = decode_cursor(cursor)
    return None if position is None else Position(position)


def _page(walk: Walk, found: list[Position], last: Position | None) -> PageOfIds:
    if last is None:
        following = None
    elif isinstance(walk, store.ByAddress | store.ByName):
        following = encode_key_cursor(last.key, last.id)
    else:
        following = encode_cursor(last.id)
    return PageOfIds([one.id for one in found], following)
