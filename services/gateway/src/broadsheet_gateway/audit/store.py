"""SQL of the audit log. Every function takes the connection of its caller's transaction."""

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_gateway.audit.chain_end import Head
from broadsheet_gateway.audit.entry import Entry
from broadsheet_gateway.audit.tables import entry, head, stream, waiting

_COLUMNS: Final = [
    sa.cast(entry.c[name], sa.Text).label(name) if name in {"before", "after"} else entry.c[name]
    for name in Entry.__struct_fields__
]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None: whatever it is. `since` is part of the time, `until` is not."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    person: str | None = None
    action: str | None = None
    target_kind: str | None = None
    target_id: str | None = None


async def seal(connection: AsyncConnection, *, entries_max: int) -> int:
    """Chain committed entries; returns how many. 0 too while another process does."""
    result = await connection.execute(
        sa.text("SELECT audit.seal(:entries_max)").bindparams(sa.bindparam("entries_max", type_=sa.Integer)),
        {"entries_max": entries_max},
    )
    sealed: int = result.scalar_one()
    return sealed


async def read_oldest_age_s(connection: AsyncConnection) -> float:
    """Seconds that the oldest entry has waited to be chained; 0.0 without one."""
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - sa.func.min(waiting.c.at))
    return max(0.0, float((await connection.execute(sa.select(age))).scalar_one() or 0.0))


async def count_waiting(connection: AsyncConnection) -> int:
    result = await connection.execute(sa.select(sa.func.count(waiting.c.id)))
    return int(result.scalar_one())


async def read_head(connection: AsyncConnection) -> Head | None:
    """None: the row is missing, which only its owner can bring about."""
    row = (await connection.execute(sa.select(head.c.number, head.c.hash))).one_or_none()
    return None if row is None else Head(row.number, bytes(row.hash))


async def list_after(connection: AsyncConnection, number: int, *, limit: int) -> list[Entry]:
    """In the order of the chain."""
    result = await connection.execute(
        sa.select(*_COLUMNS).where(entry.c.number > number).order_by(entry.c.number).limit(limit)
    )
    return [_entry(row) for row in result.mappings()]


async def list_newest(
    connection: AsyncConnection, wanted: Wanted, *, limit: int, before_number: int | None = None
) -> list[Entry]:
    """Newest first."""
    statement = _of(wanted).order_by(entry.c.number.desc()).limit(limit)
    if before_number is not None:
        statement = statement.where(entry.c.number < before_number)
    result = await connection.execute(statement)
    return [_entry(row) for row in result.mappings()]


async def list_oldest(
    connection: AsyncConnection, wanted: Wanted, *, after_number: int, up_to_number: int, limit: int
) -> list[Entry]:
    """In the order of the chain."""
    statement = _of(wanted).where(entry.c.number > after_number, entry.c.number <= up_to_number)
    result = await connection.execute(statement.order_by(entry.c.number).limit(limit))
    return [_entry(row) for row in result.mappings()]


def _of(wanted: Wanted) -> sa.Select[Any]:
    statement = sa.select(*_COLUMNS)
    for name in ("actor", "person", "action", "target_kind", "target_id"):
        value = getattr(wanted, name)
        if value is not None:
            statement = statement.where(entry.c[name] == value)
    if wanted.since is not None:
        statement = statement.where(entry.c.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(entry.c.at < wanted.until)
    return statement


async def lease_stream(connection: AsyncConnection, target: str, *, lease: str, lease_s: float) -> int | None:
    """Take the lease, or keep it. The number up to which the target has all; None: another process has the lease."""
    await connection.execute(
        sa.text("INSERT INTO audit.stream (target) VALUES (:target) ON CONFLICT (target) DO NOTHING"),
        {"target": target},
    )
    result = await connection.execute(
        stream.update()
        .where(
            stream.c.target == target,
            sa.or_(stream.c.lease == lease, sa.func.coalesce(stream.c.leased_until <= sa.func.now(), True)),
        )
        .values(lease=lease, leased_until=sa.func.now() + sa.func.make_interval(0, 0, 0, 0, 0, 0, lease_s))
        .returning(stream.c.number)
    )
    number: int | None = result.scalar_one_or_none()
    return number


async def move_stream(connection: AsyncConnection, target: str, number: int, *, lease: str) -> bool:
    """The target has all up to `number`. False: another process holds the lease, and nothing was moved."""
    result = await connection.execute(
        stream.update().where(stream.c.target == target, stream.c.lease == lease).values(number=number)
    )
    return result.rowcount == 1


def _entry(row: Any) -> Entry:
    return Entry(**(dict(row) | {"previous_hash": bytes(row["previous_hash"]), "hash": bytes(row["hash"])}))
