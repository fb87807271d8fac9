"""SQL about erased addresses. Every function takes the connection of its caller's transaction."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_common.contracts.address_hash import AddressHasher

Whose = str | bytes
"""Whom a suppression is about: an address's key, or the hash of an erased address."""


class SuppressionTable(msgspec.Struct, frozen=True):
    """The table of such suppressions, and its column."""

    name: str
    column: str


_PLAIN: Final = SuppressionTable("delivery.suppression", "email_key")
_ERASED: Final = SuppressionTable("delivery.erased_suppression", "address_hash")


def table_of(whose: Whose) -> SuppressionTable:
    return _PLAIN if isinstance(whose, str) else _ERASED


async def erased_among(
    connection: AsyncConnection, hasher: AddressHasher, email_keys: Collection[str]
) -> dict[str, bytes]:
    """Those of these addresses that were erased, with the hash they are stored under.

    None of the others can be erased before the caller's transaction ends, so the caller may store them.
    """
    if not email_keys:
        return {}
    await connection.execute(sa.text("SELECT delivery.lock_addresses(false)"))
    key_of = {address_hash: key for key in email_keys for address_hash in hasher.hashes(key)}
    rows = await connection.execute(
        sa.text("SELECT address_hash FROM delivery.erased_address WHERE address_hash = ANY (:hashes)").bindparams(
            sa.bindparam("hashes", type_=pg.ARRAY(sa.LargeBinary))
        ),
        {"hashes": list(key_of)},
    )
    return {key_of[address_hash]: address_hash for address_hash in rows.scalars()}


async def suppressed_while_erased(connection: AsyncConnection, *, stream: str, hashes: Collection[bytes]) -> set[bytes]:
    """Those of these erased addresses that stay suppressed on the stream."""
    rows = await connection.execute(
        sa.text("""
            SELECT address_hash FROM delivery.erased_suppression
             WHERE message_stream = :stream AND address_hash = ANY (:hashes) AND active
        """).bindparams(sa.bindparam("hashes", type_=pg.ARRAY(sa.LargeBinary))),
        {"stream": stream, "hashes": list(hashes)},
    )
    return set(rows.scalars())


class Erasure(msgspec.Struct, frozen=True):
    """The remaining work for one address of an erased person."""

    id: int
    email_key: str
    failure_count: int


async def next_erasure(connection: AsyncConnection, *, after_id: int) -> Erasure | None:
    row = await connection.execute(
        sa.text("""
            SELECT id, email_key, failure_count FROM delivery.erasure
             WHERE finished_at IS NULL AND run_at <= now() AND id > :after_id ORDER BY id LIMIT 1
        """),
        {"after_id": after_id},
    )
    found = row.one_or_none()
    return None if found is None else Erasure(*found)


async def untouched_events(connection: AsyncConnection, *, erasure_id: int) -> bool:
    """Whether webhooks that came before the erasure still wait to be applied for the first time."""
    row = await connection.execute(
        sa.text("""
            SELECT EXISTS (SELECT 1 FROM delivery.provider_event_inbox AS waiting, delivery.erasure AS asked
                            WHERE asked.id = :id AND waiting.failure_count = 0
                              AND waiting.received_at <= asked.requested_at)
        """),
        {"id": erasure_id},
    )
    return bool(row.scalar_one())


async def read_failing_events(connection: AsyncConnection, *, after_id: int, limit: int) -> list[tuple[int, str]]:
    """Webhooks that could not be applied, by id."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, body FROM delivery.provider_event_inbox
             WHERE failure_count > 0 AND id > :after_id ORDER BY id LIMIT :limit
        """),
        {"after_id": after_id, "limit": limit},
    )
    return [(row.id, row.body) for row in rows]


async def finish_erasure(connection: AsyncConnection, erasure_id: int) -> bool:
    """False: another replica did it."""
    row = await connection.execute(sa.text("SELECT delivery.finish_erasure(:id)"), {"id": erasure_id})
    return bool(row.scalar_one())


async def put_erasure_off(connection: AsyncConnection, erasure_id: int, *, wait_s: float, failed: bool) -> None:
    await connection.execute(
        sa.text("""
            UPDATE delivery.erasure SET run_at = now() + :wait, failure_count = failure_count + :failures
             WHERE id = :id AND finished_at IS NULL
        """).bindparams(sa.bindparam("wait", type_=sa.Interval)),
        {"id": erasure_id, "wait": timedelta(seconds=wait_s), "failures": int(failed)},
    )


async def forget_old_hashes(connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
    """Hashes of addresses without a suppression are kept only while an event about them may still arrive."""
    removed = await connection.execute(
        sa.text("""
            DELETE FROM delivery.erased_address WHERE address_hash = ANY (ARRAY (
                SELECT old.address_hash FROM delivery.erased_address AS old
                 WHERE old.erased_at < now() - :kept
                   AND NOT EXISTS (SELECT 1 FROM delivery.erased_suppression AS kept
                                    WHERE kept.address_hash = old.address_hash AND kept.active)
                 ORDER BY old.erased_at LIMIT :limit))
        """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"kept": kept, "limit": limit},
    )
    return removed.rowcount
