"""The SQL of growth. Every function takes the connection of its caller's transaction."""

from collections.abc import Mapping
from datetime import date
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.growth.growth_report import Counted

_ADVISORY_LOCK: Final = 0x62736865_67726F77 & 0x7FFFFFFFFFFFFFFF

# The days and what is on its way to them: in one statement, so in one snapshot.
_ALL: Final = """
    SELECT day, change, cause, count FROM subscriptions.growth_day WHERE newsletter_id = :newsletter_id
    UNION ALL
    SELECT day, change, cause, count FROM subscriptions.growth_queue WHERE newsletter_id = :newsletter_id
"""


async def fold(connection: AsyncConnection, *, limit: int) -> int:
    """Moves the oldest rows of the queue into the days. Returns how many; 0 also while another replica does it."""
    row = await connection.execute(
        sa.text("""
            WITH turn AS MATERIALIZED (
                SELECT pg_try_advisory_xact_lock(:lock) AS is_mine
            ), taken AS MATERIALIZED (
                DELETE FROM subscriptions.growth_queue WHERE id = ANY (ARRAY (
                    SELECT id FROM subscriptions.growth_queue WHERE (SELECT is_mine FROM turn)
                     ORDER BY id LIMIT :limit))
                RETURNING newsletter_id, day, change, cause, count
            ), added AS (
                INSERT INTO subscriptions.growth_day AS kept (newsletter_id, day, change, cause, count)
                SELECT newsletter_id, day, change, cause, sum(count) FROM taken
                 GROUP BY newsletter_id, day, change, cause ORDER BY newsletter_id, day, change, cause
                ON CONFLICT (newsletter_id, day, change, cause) DO UPDATE SET count = kept.count + excluded.count
            )
            SELECT count(*) FROM taken
        """).bindparams(sa.bindparam("lock", type_=sa.BigInteger)),
        {"lock": _ADVISORY_LOCK, "limit": limit},
    )
    return int(row.scalar_one())


async def changes_between(
    connection: AsyncConnection, newsletter_id: int, *, first_day: date, last_day: date
) -> list[Counted]:
    """By day, change and cause; both days included."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT day, change, cause, CAST(sum(count) AS bigint) AS count FROM ({_ALL}) AS one
             WHERE day BETWEEN :first_day AND :last_day
             GROUP BY day, change, cause HAVING sum(count) <> 0 ORDER BY day, change, cause
        """).bindparams(sa.bindparam("first_day", type_=sa.Date), sa.bindparam("last_day", type_=sa.Date)),
        {"newsletter_id": newsletter_id, "first_day": first_day, "last_day": last_day},
    )
    return [Counted(*row) for row in rows]


async def subscribers_before(connection: AsyncConnection, newsletter_id: int, *, day: date) -> int:
    """How many confirmed subscriptions there were when this day began."""
    row = await connection.execute(
        sa.text(f"""
            SELECT CAST(coalesce(sum(CASE change WHEN 'joined' THEN count WHEN 'left' THEN -count END), 0) AS bigint)
              FROM ({_ALL}) AS one WHERE day < :day
        """).bindparams(sa.bindparam("day", type_=sa.Date)),
        {"newsletter_id": newsletter_id, "day": day},
    )
    return int(row.scalar_one())


async def take_back_imported(connection: AsyncConnection, newsletter_id: int, people: Mapping[date, int]) -> None:
    """In the transaction that undoes an import, whose changes have the source `import`: these people, by the day on
    which the import brought them in, joined on none, and do not leave today.

    Imports were counted as `other` once: what that day has no `import` for is taken from there.
    """
    await connection.execute(
        sa.text(f"""
            WITH undone AS MATERIALIZED (
                SELECT day, people FROM unnest(CAST(:days AS date[]), CAST(:people AS bigint[])) AS one (day, people)
            ), split AS MATERIALIZED (
                SELECT day, people, least(people, greatest(0, (
                           SELECT coalesce(sum(count), 0) FROM ({_ALL}) AS kept
                            WHERE kept.day = undone.day AND change = 'joined' AND cause = 'import'))) AS imported
                  FROM undone
            )
            INSERT INTO subscriptions.growth_queue (newsletter_id, day, change, cause, count)
            SELECT CAST(:newsletter_id AS bigint), day, change, cause, -people FROM (
                SELECT day, 'joined' AS change, 'import' AS cause, imported AS people FROM split
                UNION ALL
                SELECT day, 'joined', 'other', people - imported FROM split
                UNION ALL
                SELECT CAST(now() AT TIME ZONE 'UTC' AS date), 'left', 'import', sum(people) FROM undone
            ) AS one WHERE people > 0
        """).bindparams(
            sa.bindparam("days", type_=postgresql.ARRAY(sa.Date)),
            sa.bindparam("people", type_=postgresql.ARRAY(sa.BigInteger)),
        ),
        {"newsletter_id": newsletter_id, "days": list(people), "people": list(people.values())},
    )


async def newsletter_exists(connection: AsyncConnection, newsletter_id: int) -> bool:
    row = await connection.execute(
        sa.text("SELECT EXISTS (SELECT FROM publishing.published_newsletters WHERE newsletter_id = :newsletter_id)"),
        {"newsletter_id": newsletter_id},
    )
    return bool(row.scalar_one())


async def today(connection: AsyncConnection) -> date:
    """By the database's clock, in UTC."""
    row = await connection.execute(sa.text("SELECT CAST(now() AT TIME ZONE 'UTC' AS date)"))
    found: date = row.scalar_one()
    return found
