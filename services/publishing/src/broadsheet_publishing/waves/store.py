"""The SQL of waves: plain functions that take the connection of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.waves.wave import Wave


class WaveRow(msgspec.Struct, frozen=True, kw_only=True):
    """A wave of a published issue; `recipients` so far, while the audience is being enqueued."""

    due_at: datetime
    is_fallback: bool
    recipients: int
    time_zones: tuple[str, ...]


_WAVES: Final = sa.text("""
    INSERT INTO publishing.wave (issue_id, number, due_at, is_fallback)
    SELECT :issue_id, number, due_at, number = :fallback_number
      FROM unnest(:instants) WITH ORDINALITY AS given (due_at, number)
""").bindparams(sa.bindparam("instants", type_=pg.ARRAY(sa.DateTime(timezone=True))))
_ZONES: Final = sa.text("""
    INSERT INTO publishing.wave_zone (issue_id, time_zone, number)
    SELECT :issue_id, time_zone, number
      FROM unnest(CAST(:time_zones AS text[]), CAST(:numbers AS smallint[])) AS given (time_zone, number)
""")


async def insert_waves(
    connection: AsyncConnection, issue_id: int, waves: Sequence[Wave], *, fallback_number: int
) -> None:
    """Numbered from 1 in this order."""
    await connection.execute(
        _WAVES,
        {"issue_id": issue_id, "fallback_number": fallback_number, "instants": [wave.due_at for wave in waves]},
    )
    zones = [(name.lower(), number) for number, wave in enumerate(waves, start=1) for name in wave.time_zones]
    await connection.execute(
        _ZONES,
        {
            "issue_id": issue_id,
            "time_zones": [name for name, _ in zones],
            "numbers": [number for _, number in zones],
        },
    )


async def list_waves(connection: AsyncConnection, issue_id: int) -> list[WaveRow]:
    """The first first; empty for an issue that does not go out in waves, or is not published."""
    result = await connection.execute(
        sa.text("""
            SELECT wave.due_at, wave.is_fallback, wave.recipients,
                   array_agg(zone.time_zone ORDER BY zone.time_zone) AS time_zones
              FROM publishing.wave JOIN publishing.wave_zone AS zone USING (issue_id, number)
             WHERE wave.issue_id = :issue_id
             GROUP BY wave.issue_id, wave.number
             ORDER BY wave.number
        """),
        {"issue_id": issue_id},
    )
    return [
        WaveRow(
            due_at=row.due_at,
            is_fallback=row.is_fallback,
            recipients=row.recipients,
            time_zones=tuple(row.time_zones),
        )
        for row in result
    ]
