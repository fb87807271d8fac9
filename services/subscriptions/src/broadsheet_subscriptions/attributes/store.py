"""The SQL of attribute definitions: plain functions that take the connection of the caller's transaction."""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.attributes.attribute import AttributeType

ATTRIBUTES_MAX = 200
"""Per installation. A list of so few needs no pages."""


class AttributeRow(msgspec.Struct, frozen=True):
    name: str
    type: AttributeType
    label: str
    created_at: datetime


class Removal(msgspec.Struct, frozen=True):
    """An attribute whose values are being removed. Subscribers with ids up to `removed_to_id` are done."""

    name: str
    removed_to_id: int


_COLUMNS = "name, type, label, created_at"


async def list_attributes(connection: AsyncConnection) -> list[AttributeRow]:
    """By name; attributes that are being removed are left out."""
    rows = await connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM subscriptions.attribute WHERE removed_at IS NULL ORDER BY name")
    )
    return [AttributeRow(*row) for row in rows]


async def attribute_types(connection: AsyncConnection) -> dict[str, AttributeType]:
    return {row.name: row.type for row in await list_attributes(connection)}


async def hold_attributes(connection: AsyncConnection, names: Iterable[str]) -> dict[str, AttributeType]:
    """The types of those that exist. None of them can be removed before this transaction ends."""
    rows = await connection.execute(
        sa.text("""
            SELECT name, type FROM subscriptions.attribute
             WHERE name = ANY (CAST(:names AS text[])) AND removed_at IS NULL ORDER BY name FOR SHARE
        """),
        {"names": sorted(names)},
    )
    return {row.name: row.type for row in rows}


async def find_attribute(connection: AsyncConnection, name: str, *, lock: bool = False) -> AttributeRow | None:
    row = (
        await connection.execute(
            sa.text(f"""
                SELECT {_COLUMNS} FROM subscriptions.attribute WHERE name = :name AND removed_at IS NULL
                {"FOR UPDATE" if lock else ""}
            """),  # constant texts
            {"name": name},
        )
    ).one_or_none()
    return None if row is None else AttributeRow(*row)


async def insert_attribute(
    connection: AsyncConnection, *, name: str, type_: AttributeType, label: str
) -> AttributeRow | None:
    """None: an attribute of that name exists, or its values are still being removed."""
    row = (
        await connection.execute(
            sa.text(f"""
                INSERT INTO subscriptions.attribute (name, type, label) VALUES (:name, :type, :label)
                ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}
            """),  # constant columns
            {"name": name, "type": type_, "label": label},
        )
    ).one_or_none()
    return None if row is None else AttributeRow(*row)


async def has_room(connection: AsyncConnection) -> bool:
    """Whether one more may be defined. The table is locked until the transaction ends, so that callers take turns."""
    await connection.execute(sa.text("LOCK TABLE subscriptions.attribute IN SHARE ROW EXCLUSIVE MODE"))
    count = await connection.execute(sa.text("SELECT count(*) FROM subscriptions.attribute"))
    return int(count.scalar_one()) < ATTRIBUTES_MAX


async def set_label(connection: AsyncConnection, name: str, label: str) -> AttributeRow:
    row = await connection.execute(
        sa.text(f"UPDATE subscriptions.attribute SET label = :label WHERE name = :name RETURNING {_COLUMNS}"),
        {"name": name, "label": label},
    )
    return AttributeRow(*row.one())


async def is_used(connection: AsyncConnection, name: str) -> bool:
    """Whether a segment, or an audience that is not complete yet, uses it."""
    row = await connection.execute(
        sa.text("""
            SELECT EXISTS (
                SELECT FROM (SELECT filter FROM subscriptions.segment UNION ALL
                             SELECT filter FROM subscriptions.audience WHERE completed_at IS NULL) AS kept
                 WHERE jsonb_path_exists(kept.filter, '$.** ? (@.field == "attribute" && @.name == $name)',
                                         jsonb_build_object('name', CAST(:name AS text))))
        """),
        {"name": name},
    )
    return bool(row.scalar_one())


async def set_removed(connection: AsyncConnection, name: str) -> None:
    await connection.execute(
        sa.text("UPDATE subscriptions.attribute SET removed_at = now() WHERE name = :name"), {"name": name}
    )


async def lock_removal(connection: AsyncConnection, *, resting: Collection[str] = ()) -> Removal | None:
    """The oldest removal that no other replica has locked, except those in `resting` (set aside)."""
    row = (
        await connection.execute(
            sa.text("""
                SELECT name, removed_to_id FROM subscriptions.attribute
                 WHERE removed_at IS NOT NULL AND name <> ALL (:resting)
                 ORDER BY removed_at LIMIT 1 FOR UPDATE SKIP LOCKED
            """).bindparams(sa.bindparam("resting", type_=pg.ARRAY(sa.Text))),
            {"resting": list(resting)},
        )
    ).one_or_none()
    return None if row is None else Removal(*row)


async def remove_values(connection: AsyncConnection, removal: Removal, *, limit: int) -> int:
    """Removes the values from the next subscribers in the order of ids; returns how many were looked at. After the
    last page the attribute's row is deleted.
    """
    row = (
        await connection.execute(
            sa.text("""
                WITH page AS MATERIALIZED (
                    SELECT id FROM subscriptions.subscriber WHERE id > :after_id ORDER BY id LIMIT :limit
                ), held AS MATERIALIZED (
                    SELECT id FROM subscriptions.subscriber
                     WHERE id = ANY (ARRAY (SELECT id FROM page)) AND jsonb_exists(attributes, :name)
                     ORDER BY id FOR UPDATE
                ), changed AS (
                    UPDATE subscriptions.subscriber SET attributes = attributes - :name
                     WHERE id = ANY (ARRAY (SELECT id FROM held))
                )
                SELECT count(*) AS seen, max(id) AS last_id FROM page
            """).bindparams(sa.bindparam("name", type_=sa.Text)),
            {"after_id": removal.removed_to_id, "limit": limit, "name": removal.name},
        )
    ).one()
    if row.seen < limit:
        await connection.execute(
            sa.text("DELETE FROM subscriptions.attribute WHERE name = :name"), {"name": removal.name}
        )
    else:
        await connection.execute(
            sa.text("UPDATE subscriptions.attribute SET removed_to_id = :last_id WHERE name = :name"),
            {"name": removal.name, "last_id": row.last_id},
        )
    return int(row.seen)
