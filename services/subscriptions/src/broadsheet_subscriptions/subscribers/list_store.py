"""The SQL of the list of subscribers: candidates in a stable order, each order read from an index of its own.

A page begins after the last row of the page before (its id, or its key and id), never at an offset. So no
subscriber is skipped or listed twice when others are inserted, changed or deleted meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.segments.compile_filter import compile_filter
from broadsheet_subscriptions.segments.filter import Node
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.tables import subscriber

ID_MAX: Final = 2**63 - 1
_HIGHEST_CHARACTER: Final = "\U0010ffff"


class Position(msgspec.Struct, frozen=True):
    """A candidate's place in the order. `key` is empty when the order is by id."""

    id: int
    key: str = ""


class Newest(msgspec.Struct, frozen=True):
    """All subscribers."""


class OfIds(msgspec.Struct, frozen=True):
    """Those of these ids that exist."""

    ids: tuple[int, ...]


class WithAddress(msgspec.Struct, frozen=True):
    email_key: str


class WithSubscription(msgspec.Struct, frozen=True):
    """A subscription to the newsletter (None: any) in the state (None: any). At least one of them is given."""

    newsletter_id: int | None
    state: State | None


class WithTag(msgspec.Struct, frozen=True):
    tag: str


class ByAddress(msgspec.Struct, frozen=True):
    """Subscribers whose address begins with `prefix` (in lower case), ordered by address."""

    prefix: str


class ByName(msgspec.Struct, frozen=True):
    """Subscribers whose name, or the last word of it, begins with `prefix`, ordered by the part that matched."""

    prefix: str


Walk = Newest | OfIds | WithAddress | WithSubscription | WithTag | ByAddress | ByName

# Keeps the planner from collecting and sorting what an index already has in order. It does that on tables that were
# never analysed.
KEEP_TO_THE_INDEX_SQL: Final = """
    SELECT set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true),
           set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)
"""

_NEWEST: Final = """
    SELECT id, '' AS key FROM subscriptions.subscriber WHERE id < :id ORDER BY id DESC LIMIT :limit
"""
_OF_IDS: Final = """
    SELECT id, '' AS key FROM subscriptions.subscriber
     WHERE id = ANY (:ids) AND id < :id ORDER BY id DESC LIMIT :limit
"""
_WITH_ADDRESS: Final = """
    SELECT id, '' AS key FROM subscriptions.subscriber WHERE email_key = :email_key AND id < :id LIMIT :limit
"""
_WITH_TAG: Final = """
    SELECT subscriber_id AS id, '' AS key FROM subscriptions.subscriber_tag
     WHERE tag = :tag AND subscriber_id < :id ORDER BY tag DESC, subscriber_id DESC LIMIT :limit
"""
# The bounds and the order name every column of the intended index, so that the planner can use no other.
_CONFIRMED: Final = """
    SELECT subscriber_id AS id, '' AS key FROM subscriptions.subscription
     WHERE (newsletter_id, subscriber_id) < ({newsletter_id}, :id) AND newsletter_id >= {newsletter_id}
       AND state = 'confirmed'
     ORDER BY newsletter_id DESC, subscriber_id DESC, confirmed_at DESC LIMIT :limit
"""
_UNCONFIRMED: Final = """
    SELECT subscriber_id AS id, '' AS key FROM subscriptions.subscription
     WHERE (newsletter_id, state, subscriber_id) < ({newsletter_id}, '{state}', :id)
       AND (newsletter_id, state) >= ({newsletter_id}, '{state}') AND state <> 'confirmed'
     ORDER BY newsletter_id DESC, state DESC, subscriber_id DESC LIMIT :limit
"""
_ON_NEWSLETTER: Final = f"""
    SELECT id, key FROM (
        ({_CONFIRMED.format(newsletter_id=":newsletter_id")})
        UNION ALL ({_UNCONFIRMED.format(newsletter_id=":newsletter_id", state="pending")})
        UNION ALL ({_UNCONFIRMED.format(newsletter_id=":newsletter_id", state="unsubscribed")})
    ) AS found
    ORDER BY id DESC LIMIT :limit
"""
_ON_ANY: Final = """
    SELECT DISTINCT one.id, '' AS key FROM publishing.published_newsletters AS newsletter
     CROSS JOIN LATERAL ({one}) AS one
     ORDER BY id DESC LIMIT :limit
"""
_BY_ADDRESS: Final = """
    SELECT id, email_key AS key FROM subscriptions.subscriber
     WHERE email_key > :key AND email_key >= :prefix AND email_key < CAST(:prefix AS text) || :highest
     ORDER BY email_key LIMIT :limit
"""
_NAME_KEY: Final = 'left(lower(name), 64) COLLATE "C"'
_LAST_NAME_KEY: Final = "left(lower(split_part(name, ' ', -1)), 64) COLLATE \"C\""
_NAME_RANGE: Final = """
    ({key}, id) > (greatest(CAST(:key AS text) COLLATE "C", lower(:prefix) COLLATE "C"),
                   CASE WHEN :key = '' THEN 0 ELSE :id END)
    AND {key} < lower(:prefix) || :highest
"""
# A subscriber whose whole name matches is left out of the matches by last word, so that nobody is listed twice.
_BY_NAME: Final = f"""
    SELECT id, key FROM (
        (SELECT id, {_NAME_KEY} AS key FROM subscriptions.subscriber
          WHERE {_NAME_RANGE.format(key=_NAME_KEY)} ORDER BY {_NAME_KEY}, id LIMIT :limit)
        UNION ALL
        (SELECT id, {_LAST_NAME_KEY} AS key FROM subscriptions.subscriber
          WHERE strpos(name, ' ') > 0 AND {_NAME_RANGE.format(key=_LAST_NAME_KEY)}
            AND NOT starts_with(left(lower(name), 64), lower(:prefix)) ORDER BY {_LAST_NAME_KEY}, id LIMIT :limit)
    ) AS found
    ORDER BY key, id LIMIT :limit
"""


def _subscription_sql(walk: WithSubscription) -> str:
    # States are our own constants and are written into the SQL: with a parameter, the planner could not tell that a
    # partial index applies.
    newsletter_id = ":newsletter_id" if walk.newsletter_id is not None else "newsletter.newsletter_id"
    match walk.state:
        case None:
            return _ON_NEWSLETTER
        case "confirmed":
            one = _CONFIRMED.format(newsletter_id=newsletter_id)
        case _:
            one = _UNCONFIRMED.format(newsletter_id=newsletter_id, state=walk.state)
    return one if walk.newsletter_id is not None else _ON_ANY.format(one=one)


def _statement(walk: Walk) -> tuple[str, dict[str, object]]:
    match walk:
        case Newest():
            return _NEWEST, {}
        case OfIds():
            return _OF_IDS, {"ids": list(walk.ids)}
        case WithAddress():
            return _WITH_ADDRESS, {"email_key": walk.email_key}
        case WithTag():
            return _WITH_TAG, {"tag": walk.tag}
        case WithSubscription():
            bound: dict[str, object] = {} if walk.newsletter_id is None else {"newsletter_id": walk.newsletter_id}
            return _subscription_sql(walk), bound
        case ByAddress():
            return _BY_ADDRESS, {"prefix": walk.prefix, "highest": _HIGHEST_CHARACTER}
        case ByName():
            return _BY_NAME, {"prefix": walk.prefix, "highest": _HIGHEST_CHARACTER}


_TYPES: Final[Mapping[str, Any]] = {
    "id": sa.BigInteger,
    "ids": sa.ARRAY(sa.BigInteger),
    "key": sa.Text,
    "prefix": sa.Text,
    "highest": sa.Text,
    "newsletter_id": sa.BigInteger,
    "tag": sa.Text,
    "email_key": sa.Text,
}


async def walk_candidates(
    connection: AsyncConnection, walk: Walk, *, after: Position | None, limit: int
) -> list[Position]:
    """The next candidates after `after` in the walk's order. Run KEEP_TO_THE_INDEX_SQL first."""
    sql, parameters = _statement(walk)
    match walk:
        case ByAddress():
            position: dict[str, object] = {"key": after.key if after else ""}
        case ByName():
            position = {"key": after.key if after else "", "id": after.id if after else 0}
        case _:
            position = {"id": after.id if after else ID_MAX}
    given = parameters | position
    bound: list[sa.BindParameter[Any]] = [sa.bindparam(name, type_=_TYPES[name]) for name in given]
    rows = await connection.execute(sa.text(sql).bindparams(*bound), given | {"limit": limit})
    return [Position(row.id, row.key) for row in rows]


async def matching_ids(connection: AsyncConnection, ids: Sequence[int], node: Node) -> set[int]:
    """Those of the given subscribers who match the filter."""
    moment = (await connection.execute(sa.text("SELECT now()"))).scalar_one()
    compiled = compile_filter(node, moment=moment)
    rows = await connection.execute(
        sa.select(subscriber.c.id)
        .select_from(compiled.source)
        .where(subscriber.c.id == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.BigInteger))), compiled.condition)
    )
    return set(rows.scalars())


async def suppressed_ids(connection: AsyncConnection, ids: Sequence[int], *, newsletter_id: int | None) -> set[int]:
    """Those of the given subscribers who are confirmed (to the newsletter, if one is given) and get no issue because
    their address is suppressed on its stream.
    """
    rows = await connection.execute(
        sa.text("""
            SELECT DISTINCT subscription.subscriber_id
              FROM subscriptions.subscription
              JOIN subscriptions.subscriber AS person ON person.id = subscription.subscriber_id
              JOIN publishing.published_newsletters AS newsletter USING (newsletter_id)
              JOIN delivery.published_suppressed AS suppressed
                ON suppressed.message_stream = newsletter.message_stream AND suppressed.email_key = person.email_key
             WHERE subscription.subscriber_id = ANY (CAST(:ids AS bigint[])) AND subscription.state = 'confirmed'
               AND (:newsletter_id IS NULL OR subscription.newsletter_id = :newsletter_id)
        """).bindparams(sa.bindparam("newsletter_id", type_=sa.BigInteger)),
        {"ids": list(ids), "newsletter_id": newsletter_id},
    )
    return set(rows.scalars())
