"""SQL of suppressions. Every function takes the connection of its caller's transaction.

`changed_at` is the time of the newest change: an older one that arrives later changes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.suppression import REASONS, SuppressionKind, SuppressionOrigin
from broadsheet_delivery.erasure.interface import Whose, table_of
from broadsheet_delivery.suppressions.suppression import ALL_STREAMS, LIFTED_BY_CONSENT, Lift, Suppress


class SuppressionRow(msgspec.Struct, frozen=True):
    """`tell_pending`: Postmark has not been told yet; `tell_error`: it refused the change."""

    id: int
    email_key: str
    message_stream: str
    kind: SuppressionKind
    reason: str
    source: str
    origin: SuppressionOrigin
    note: str | None
    active: bool
    created_at: datetime
    changed_at: datetime
    tell_pending: bool
    tell_error: str | None


_COLUMNS = """id, email_key, message_stream, kind, reason, source, origin, note, active, created_at, changed_at,
              tell_run_at IS NOT NULL AS tell_pending, tell_error"""


async def apply_suppress(
    connection: AsyncConnection,
    *,
    stream: str,
    whose: Whose,
    effect: Suppress,
    occurred_at: datetime,
    source: str,
) -> None:
    """Suppress from `occurred_at` on. A complaint counts whatever its time; at the same time suppressing wins over
    lifting.

    Postmark's echo of a change made here changes nothing, least of all a newer decision.
    """
    table = table_of(whose)
    await connection.execute(
        sa.text(f"""
            INSERT INTO {table.name} AS kept
                   (message_stream, {table.column}, kind, reason, source, origin, active, changed_at)
            VALUES (:stream, :whose, :kind, :reason, :source, :origin, true, :occurred_at)
            ON CONFLICT (message_stream, {table.column}) DO UPDATE
               SET active = true,
                   kind = CASE WHEN kept.kind = 'complaint' THEN kept.kind ELSE excluded.kind END,
                   reason = CASE WHEN kept.kind = 'complaint' THEN kept.reason ELSE excluded.reason END,
                   origin = CASE WHEN kept.kind = 'complaint' THEN kept.origin ELSE excluded.origin END,
                   source = CASE WHEN kept.kind = 'complaint' THEN kept.source ELSE excluded.source END,
                   changed_at = greatest(kept.changed_at, excluded.changed_at),
                   tell_run_at = CASE WHEN kept.active THEN kept.tell_run_at END
             WHERE (excluded.changed_at >= kept.changed_at
                    OR (excluded.kind = 'complaint' AND kept.kind <> 'complaint'))
               AND NOT (kept.source IN ('operator', 'rule') AND (kept.active OR kept.tell_run_at IS NOT NULL)
                        AND excluded.kind = 'manual' AND excluded.origin = 'customer')
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        {
            "stream": stream,
            "whose": whose,
            "kind": effect.kind,
            "reason": REASONS[effect.kind],
            "origin": effect.origin,
            "source": source,
            "occurred_at": occurred_at,
        },
    )


async def apply_lift(
    connection: AsyncConnection, *, stream: str, whose: Whose, effect: Lift, occurred_at: datetime, source: str
) -> None:
    """Allow mail from `occurred_at` on. Recorded even for an address without a suppression: an older one may still
    arrive.
    """
    table = table_of(whose)
    await connection.execute(
        sa.text(f"""
            INSERT INTO {table.name} AS kept
                   (message_stream, {table.column}, kind, reason, source, origin, active, changed_at)
            VALUES (:stream, :whose, 'inactive', :reason, :source, :origin, false, :occurred_at)
            ON CONFLICT (message_stream, {table.column}) DO UPDATE
               SET active = false, changed_at = excluded.changed_at, origin = excluded.origin,
                   tell_run_at = CASE WHEN kept.active THEN NULL ELSE kept.tell_run_at END
             WHERE excluded.changed_at > kept.changed_at AND kept.kind <> 'complaint'
               AND NOT (kept.source IN ('operator', 'rule') AND kept.tell_run_at IS NOT NULL
                        AND excluded.origin = 'customer')
        """).bindparams(sa.bindparam("occurred_at", type_=sa.DateTime(timezone=True))),
        {
            "stream": stream,
            "whose": whose,
            "reason": REASONS["inactive"],
            "origin": effect.origin,
            "source": source,
            "occurred_at": occurred_at,
        },
    )


async def list_suppressions(
    connection: AsyncConnection,
    *,
    before_id: int | None,
    limit: int,
    stream: str | None,
    email_key: str | None,
    active: bool | None,
) -> list[SuppressionRow]:
    """Newest first."""
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM delivery.suppression
             WHERE (:before_id IS NULL OR id < :before_id)
               AND (:stream IS NULL OR message_stream = :stream)
               AND (:email_key IS NULL OR email_key = :email_key)
               AND (:active IS NULL OR active = :active)
             ORDER BY id DESC LIMIT :limit
        """).bindparams(
            sa.bindparam("before_id", type_=sa.BigInteger),
            sa.bindparam("stream", type_=sa.Text),
            sa.bindparam("email_key", type_=sa.Text),
            sa.bindparam("active", type_=sa.Boolean),
        ),
        {"before_id": before_id, "limit": limit, "stream": stream, "email_key": email_key, "active": active},
    )
    return [SuppressionRow(**row) for row in rows.mappings()]


async def find_suppression(connection: AsyncConnection, suppression_id: int, *, lock: bool) -> SuppressionRow | None:
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM delivery.suppression WHERE id = :id {"FOR UPDATE" if lock else ""}
        """),
        {"id": suppression_id},
    )
    found = rows.mappings().one_or_none()
    return None if found is None else SuppressionRow(**found)


async def decide_suppress(
    connection: AsyncConnection, *, stream: str, email_key: str, note: str | None, all_streams: bool = False
) -> SuppressionRow:
    """An operator's suppression, and the intent to tell Postmark. An address that is already suppressed stays as it
    is.

    A call under way may still carry the opposite: `tell_run_at` is then the time by which it has ended. The row
    for all streams is not told to Postmark: each stream's row is.
    """
    await connection.execute(
        sa.text(f"""
            INSERT INTO delivery.suppression AS kept
                   (message_stream, email_key, kind, reason, source, origin, note, active, all_streams, changed_at,
                    tell_run_at)
            VALUES (:stream, :email_key, 'manual', :reason, 'operator', 'operator', :note, true, :all_streams, now(),
                    CASE WHEN :stream <> '{ALL_STREAMS}' THEN now() END)
            ON CONFLICT (message_stream, email_key) DO UPDATE
               SET active = true, kind = 'manual', reason = excluded.reason, source = 'operator', origin = 'operator',
                   note = excluded.note, all_streams = excluded.all_streams,
                   changed_at = greatest(now(), kept.changed_at),
                   tell_run_at = CASE WHEN :stream <> '{ALL_STREAMS}' THEN greatest(now(), kept.tell_run_at) END,
                   tell_count = 0, tell_error = NULL
             WHERE NOT kept.active
        """).bindparams(
            sa.bindparam("stream", type_=sa.Text),
            sa.bindparam("note", type_=sa.Text),
            sa.bindparam("all_streams", type_=sa.Boolean),
        ),
        {
            "stream": stream,
            "email_key": email_key,
            "reason": REASONS["manual"],
            "note": note,
            "all_streams": all_streams,
        },
    )
    rows = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM delivery.suppression WHERE message_stream = :stream AND email_key = :email_key
        """),
        {"stream": stream, "email_key": email_key},
    )
    return SuppressionRow(**rows.mappings().one())


async def extend_to_stream(connection: AsyncConnection, *, stream: str) -> None:
    """An address suppressed on all streams is suppressed on this one too, before anything is sent on it. An existing
    row stays, also one that was lifted for this stream only.
    """
    await connection.execute(
        sa.text(f"""
            INSERT INTO delivery.suppression
                   (message_stream, email_key, kind, reason, source, origin, note, active, all_streams, tell_run_at)
            SELECT :stream, general.email_key, general.kind, general.reason, general.source, general.origin,
                   general.note, true, true, now()
              FROM delivery.suppression AS general
             WHERE general.message_stream = '{ALL_STREAMS}' AND general.active
             ORDER BY general.email_key
            ON CONFLICT (message_stream, email_key) DO NOTHING
        """),
        {"stream": stream},
    )


async def decide_lift(connection: AsyncConnection, suppression_id: int) -> None:
    """An operator lifts a suppression, with the intent to tell Postmark. For one on all streams, each row made from
    it is lifted too; a complaint or bounce on one of them stays.
    """
    await connection.execute(
        sa.text(f"""
            WITH general AS MATERIALIZED (
                SELECT email_key FROM delivery.suppression
                 WHERE id = :id AND message_stream = '{ALL_STREAMS}' AND active
            ), meant AS MATERIALIZED (
                SELECT id FROM delivery.suppression
                 WHERE id = :id
                    OR (email_key IN (SELECT email_key FROM general) AND all_streams AND source = 'operator')
                 ORDER BY message_stream FOR UPDATE
            )
            UPDATE delivery.suppression
               SET active = false, source = 'operator', origin = 'operator',
                   changed_at = greatest(now(), changed_at),
                   tell_run_at = CASE WHEN message_stream <> '{ALL_STREAMS}' THEN greatest(now(), tell_run_at) END,
                   tell_count = 0, tell_error = NULL
             WHERE id = ANY (ARRAY (SELECT id FROM meant)) AND active AND kind <> 'complaint'
        """),
        {"id": suppression_id},
    )


async def list_lift_requests(connection: AsyncConnection, *, limit: int, resting: Collection[int]) -> list[int]:
    """Ids of the oldest requests of people who confirmed again, without those that are set aside."""
    rows = await connection.execute(
        sa.text("SELECT id FROM delivery.lift_request WHERE id <> ALL (:resting) ORDER BY id LIMIT :limit").bindparams(
            sa.bindparam("resting", type_=sa.ARRAY(sa.BigInteger))
        ),
        {"limit": limit, "resting": sorted(resting)},
    )
    return list(rows.scalars())


async def lift_by_consent(connection: AsyncConnection, *, ids: Sequence[int]) -> int:
    """Handle these requests, except those that another replica handles now; returns how many. Postmark is told next,
    and decides (see `end_telling`).

    A suppression newer than the confirmation stays, and so does an operator's, and a complaint. The reason stays
    stored, because it applies again if Postmark refuses.
    """
    result = await connection.execute(
        sa.text("""
            WITH picked AS MATERIALIZED (
                SELECT id FROM delivery.lift_request WHERE id = ANY (:ids) ORDER BY id FOR UPDATE SKIP LOCKED
            ), taken AS (
                DELETE FROM delivery.lift_request WHERE id = ANY (ARRAY (SELECT id FROM picked))
                RETURNING suppression_id, confirmed_at
            ), asked AS MATERIALIZED (
                SELECT suppression_id, max(confirmed_at) AS confirmed_at FROM taken GROUP BY suppression_id
            ), held AS MATERIALIZED (
                SELECT kept.id, asked.confirmed_at
                  FROM delivery.suppression AS kept JOIN asked ON asked.suppression_id = kept.id
                 ORDER BY kept.message_stream, kept.email_key FOR UPDATE OF kept
            ), lifted AS (
                UPDATE delivery.suppression AS kept
                   SET active = false, changed_at = held.confirmed_at, tell_run_at = greatest(now(), kept.tell_run_at),
                       tell_count = 0, tell_error = NULL
                  FROM held
                 WHERE kept.id = held.id AND kept.active AND kept.changed_at <= held.confirmed_at
                   AND kept.kind = ANY (:kinds) AND kept.origin NOT IN ('operator', 'customer', 'admin')
            )
            SELECT count(*) FROM taken
        """).bindparams(
            sa.bindparam("kinds", type_=sa.ARRAY(sa.Text)), sa.bindparam("ids", type_=sa.ARRAY(sa.BigInteger))
        ),
        {"ids": list(ids), "kinds": sorted(LIFTED_BY_CONSENT)},
    )
    return int(result.scalar_one())


class ToTell(msgspec.Struct, frozen=True):
    """One change that Postmark is about to be told of."""

    id: int
    email_key: str
    tell_count: int


class Telling(msgspec.Struct, frozen=True):
    """Changes of one stream and one direction: one call."""

    stream: str
    active: bool
    changes: list[ToTell]


async def lease_telling(connection: AsyncConnection, *, lease: timedelta, limit: int) -> Telling | None:
    """Take due changes of one stream and direction, those of the longest waiting; no other replica tells them within
    `lease`.
    """
    rows = await connection.execute(
        sa.text("""
            WITH first AS MATERIALIZED (
                SELECT message_stream, active FROM delivery.suppression
                 WHERE tell_run_at <= now() ORDER BY tell_run_at LIMIT 1
            ), picked AS MATERIALIZED (
                SELECT due.id FROM delivery.suppression AS due, first
                 WHERE due.tell_run_at <= now()
                   AND due.message_stream = first.message_stream AND due.active = first.active
                 ORDER BY due.tell_run_at LIMIT :limit FOR UPDATE OF due SKIP LOCKED
            )
            UPDATE delivery.suppression
               SET tell_run_at = now() + :lease, tell_count = tell_count + 1
             WHERE id = ANY (ARRAY (SELECT id FROM picked))
            RETURNING id, email_key, tell_count, message_stream, active
        """).bindparams(sa.bindparam("lease", type_=sa.Interval)),
        {"lease": lease, "limit": limit},
    )
    found = rows.all()
    if not found:
        return None
    return Telling(found[0].message_stream, found[0].active, [ToTell(*row[:3]) for row in found])


async def end_telling(connection: AsyncConnection, *, ids: Sequence[int], active: bool, error: str | None) -> None:
    """Postmark accepted the changes (`error` None), or refused them for good; one that was changed again meanwhile
    stays due.

    If Postmark refuses to lift a suppression it goes on refusing mail: the address is suppressed again, as
    Postmark's, for the reason it had; if that was an operator's, Postmark has another reason that we do not know.
    """
    await connection.execute(
        sa.text("""
            UPDATE delivery.suppression
               SET tell_run_at = NULL, tell_error = :error,
                   active = active OR :refused,
                   kind = CASE WHEN :refused AND NOT active AND kind = 'manual' THEN 'inactive' ELSE kind END,
                   reason = CASE WHEN :refused AND NOT active AND kind = 'manual' THEN :unknown ELSE reason END,
                   origin = CASE WHEN :refused AND NOT active AND origin = 'operator' THEN 'postmark' ELSE origin END,
                   source = CASE WHEN :refused AND NOT active THEN 'refusal' ELSE source END,
                   all_streams = all_streams AND NOT (:refused AND NOT active)
             WHERE id = ANY (CAST(:ids AS bigint[])) AND active = :active
        """).bindparams(sa.bindparam("error", type_=sa.Text), sa.bindparam("refused", type_=sa.Boolean)),
        {
            "ids": list(ids),
            "active": active,
            "error": error,
            "refused": error is not None,
            "unknown": REASONS["inactive"],
        },
    )


async def put_telling_off(connection: AsyncConnection, *, ids: Sequence[int], wait_s: float) -> None:
    """Postmark could not be told: again after `wait_s`."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.suppression SET tell_run_at = now() + :wait
             WHERE id = ANY (CAST(:ids AS bigint[])) AND tell_run_at IS NOT NULL
        """).bindparams(sa.bindparam("wait", type_=sa.Interval)),
        {"ids": list(ids), "wait": timedelta(seconds=wait_s)},
    )


async def newsletters_on_stream(connection: AsyncConnection, *, stream: str) -> list[int]:
    rows = await connection.execute(
        sa.text("""
            SELECT newsletter_id FROM publishing.published_newsletters
             WHERE message_stream = :stream ORDER BY newsletter_id
        """),
        {"stream": stream},
    )
    return list(rows.scalars())


async def insert_refused(
    connection: AsyncConnection, *, stream: str, given: Sequence[tuple[Whose, str]], source: str
) -> None:
    """Either all plain addresses, or all hashes."""
    if not given:
        return
    table = table_of(given[0][0])
    type_ = sa.Text if isinstance(given[0][0], str) else sa.LargeBinary
    await connection.execute(
        sa.text(f"""
            INSERT INTO {table.name} AS kept (message_stream, {table.column}, reason, source)
            SELECT :stream, given.whose, given.reason, :source
              FROM unnest(:whose, CAST(:reasons AS text[])) WITH ORDINALITY AS given (whose, reason, position)
             ORDER BY given.position
            ON CONFLICT (message_stream, {table.column}) DO UPDATE
               SET active = true, kind = 'inactive', reason = excluded.reason, source = excluded.source,
                   origin = 'postmark', changed_at = greatest(now(), kept.changed_at)
             WHERE NOT kept.active AND kept.tell_run_at IS NULL
        """).bindparams(sa.bindparam("whose", type_=pg.ARRAY(type_))),  # tables and columns of ours
        {
            "stream": stream,
            "source": source,
            "whose": [whose for whose, _ in given],
            "reasons": [reason for _, reason in given],
        },
    )
