"""The SQL of subscribers: plain functions that take the connection of the caller's transaction.

Row locks are always taken in the same order, subscriber before subscription, so that no two use cases deadlock.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.mail.email_address import EmailAddress
from broadsheet_subscriptions.attributes.attribute import AttributeValue
from broadsheet_subscriptions.subscribers.subscription import State
from broadsheet_subscriptions.subscribers.suppression import Suppression


class SubscriberRow(msgspec.Struct, frozen=True):
    id: int
    email: EmailAddress
    name: str
    created_at: datetime


class DetailsRow(msgspec.Struct, frozen=True):
    """Everything that is shown of a subscriber, except the subscriptions."""

    id: int
    email: str
    name: str
    created_at: datetime
    tags: list[str]
    attributes: dict[str, AttributeValue]


class SubscriptionRow(msgspec.Struct, frozen=True):
    id: int
    newsletter_id: int
    subscriber_id: int
    state: State
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    import_id: int | None
    confirmation_queued_at: datetime | None
    suppressed: Suppression | None


async def find_subscriber(
    connection: AsyncConnection, subscriber_id: int, *, lock: bool = False
) -> SubscriberRow | None:
    result = await connection.execute(
        sa.text(f"""
            SELECT id, email, name, created_at FROM subscriptions.subscriber WHERE id = :subscriber_id
            {"FOR UPDATE" if lock else ""}
        """),  # two constant texts
        {"subscriber_id": subscriber_id},
    )
    row = result.one_or_none()
    return None if row is None else SubscriberRow(row.id, EmailAddress(row.email), row.name, row.created_at)


_SHOWN = """
    SELECT person.id, person.email, person.name, person.created_at, person.tags,
           person.attributes - ARRAY (SELECT name FROM subscriptions.attribute WHERE removed_at IS NOT NULL),
           held.id, held.newsletter_id, held.subscriber_id, held.state, held.created_at, held.confirmed_at,
           held.unsubscribed_at, held.import_id, held.confirmation_queued_at,
           suppressed.kind, suppressed.origin, suppressed.changed_at, suppressed.postmark_refusal
      FROM subscriptions.subscriber AS person
      LEFT JOIN subscriptions.subscription AS held ON held.subscriber_id = person.id
      LEFT JOIN publishing.published_newsletters AS newsletter ON newsletter.newsletter_id = held.newsletter_id
      LEFT JOIN delivery.published_suppressed AS suppressed
        ON suppressed.message_stream = newsletter.message_stream AND suppressed.email_key = person.email_key
     WHERE person.id {is_meant}
     ORDER BY person.id, held.id
"""
_COLUMNS: tuple[sa.ColumnClause[Any], ...] = tuple(sa.column(f"column_{place}") for place in range(19))
"""Told how many columns there are, SQLAlchemy keeps what it knows of them."""
_SHOWN_SEVERAL = sa.text(_SHOWN.format(is_meant="= ANY(CAST(:subscriber_ids AS bigint[]))")).columns(*_COLUMNS)
_SHOWN_ONE = sa.text(_SHOWN.format(is_meant="= CAST(:id_0 AS bigint)")).columns(*_COLUMNS)
"""Postgres keeps the plan of this one: it plans the one before anew for each list, in three times the time of the read.
"""

FEW = 8
_FEW_NAMES = tuple(f"id_{place}" for place in range(FEW))
_SHOWN_FEW = sa.text(
    "SELECT one.* FROM (VALUES {values}) AS wanted (id) CROSS JOIN LATERAL ({shown} OFFSET 0) AS one ({names})".format(
        values=", ".join(f"(CAST(:{name} AS bigint))" for name in _FEW_NAMES),
        shown=_SHOWN.format(is_meant="= wanted.id"),
        names=", ".join(column.name for column in _COLUMNS),
    )
).columns(*_COLUMNS)
"""And of this one, because it is always of as many ids; some may be null. `OFFSET 0` keeps Postgres from making one
large join of it.
"""

Shown = tuple[DetailsRow, list[SubscriptionRow]]


async def read_shown(connection: AsyncConnection, subscriber_ids: Sequence[int]) -> dict[int, Shown]:
    """By id, in one statement, with the subscriptions oldest first. Values of attributes that are being removed are
    left out.
    """
    wanted = list(set(subscriber_ids))
    if len(wanted) == 1:
        rows = await connection.execute(_SHOWN_ONE, {"id_0": wanted[0]})
    elif len(wanted) <= FEW:
        rows = await connection.execute(_SHOWN_FEW, dict(zip_longest(_FEW_NAMES, wanted)))
    else:
        rows = await connection.execute(_SHOWN_SEVERAL, {"subscriber_ids": wanted})
    shown: dict[int, Shown] = {}
    for row in rows:
        details, held, suppression = row[:6], row[6:15], row[15:]
        known = shown.get(details[0])
        if known is None:
            known = shown[details[0]] = (DetailsRow(*details), [])
        if held[0] is not None:
            suppressed = Suppression(*suppression) if suppression[0] is not None else None
            known[1].append(SubscriptionRow(*(*held, suppressed)))
    return shown


class DetailsChange(msgspec.Struct, frozen=True):
    """What is to change of one subscriber. None changes nothing. Attributes are merged in; one that is None loses its
    value.
    """

    subscriber_id: int
    name: str | None
    attributes: Mapping[str, AttributeValue | None]
    tags: Sequence[str] | None


# Lists of texts as JSON: arrays of arrays must be of one length.
_SET_DETAILS = sa.text("""
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest(:ids, :names, :tags, :removed, :kept)
                   AS one (id, name, tags, removed, kept)
    )
    UPDATE subscriptions.subscriber AS person
       SET name = coalesce(given.name, person.name),
           tags = CASE WHEN given.tags IS NULL THEN person.tags
                       ELSE ARRAY (SELECT tag FROM jsonb_array_elements_text(CAST(given.tags AS jsonb))
                                                   WITH ORDINALITY AS one (tag, place) ORDER BY place) END,
           attributes = person.attributes - ARRAY (SELECT jsonb_array_elements_text(CAST(given.removed AS jsonb)))
                        || CAST(given.kept AS jsonb)
      FROM given
     WHERE person.id = given.id
""").bindparams(
    sa.bindparam("ids", type_=sa.ARRAY(sa.BigInteger)),
    *(sa.bindparam(name, type_=sa.ARRAY(sa.Text)) for name in ("names", "tags", "removed", "kept")),
)


async def set_details(connection: AsyncConnection, changes: Sequence[DetailsChange]) -> None:
    """One statement for all of them. No two may be of one subscriber."""
    await connection.execute(
        _SET_DETAILS,
        {
            "ids": [one.subscriber_id for one in changes],
            "names": [one.name for one in changes],
            "tags": [None if one.tags is None else _as_json(one.tags) for one in changes],
            "removed": [_as_json([key for key, value in one.attributes.items() if value is None]) for one in changes],
            "kept": [
                _as_json({key: value for key, value in one.attributes.items() if value is not None}) for one in changes
            ],
        },
    )


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def lock_subscribers(connection: AsyncConnection, subscriber_ids: Collection[int]) -> set[int]:
    """Those of them that exist, locked in the order of their ids."""
    rows = await connection.execute(
        sa.text("""
            SELECT id FROM subscriptions.subscriber WHERE id = ANY (CAST(:subscriber_ids AS bigint[]))
             ORDER BY id FOR UPDATE
        """),
        {"subscriber_ids": list(subscriber_ids)},
    )
    return set(rows.scalars())


async def list_subscriptions(connection: AsyncConnection, subscriber_id: int) -> list[SubscriptionRow]:
    """Oldest first."""
    shown = await read_shown(connection, [subscriber_id])
    return shown[subscriber_id][1] if subscriber_id in shown else []
