"""SQL of the replicas. Every function takes the connection of its caller's transaction."""

import uuid
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.senders.replica import Replica


async def report_alive(
    connection: AsyncConnection,
    me: Replica,
    *,
    draining: bool,
    stopped: bool = False,
    concurrent_calls: int | None = None,
) -> None:
    """Heartbeat, by the database's clock; the first one registers the replica.

    It is shown to operators, and `concurrent_calls` tells when adaptive concurrency is no limit any more. Leases
    alone decide who may send.
    """
    await connection.execute(
        sa.text("""
            INSERT INTO delivery.replica AS known (id, host, pid, version, draining, concurrent_calls, stopped_at)
            VALUES (:id, :host, :pid, :version, :draining, :concurrent_calls,
                    CASE WHEN :stopped THEN now() END)
            ON CONFLICT (id) DO UPDATE
               SET seen_at = now(), draining = excluded.draining, stopped_at = excluded.stopped_at,
                   concurrent_calls = coalesce(excluded.concurrent_calls, known.concurrent_calls)
        """).bindparams(sa.bindparam("id", type_=pg.UUID), sa.bindparam("concurrent_calls", type_=sa.Integer)),
        {
            "id": me.id,
            "host": me.host,
            "pid": me.pid,
            "version": me.version,
            "draining": draining,
            "concurrent_calls": concurrent_calls,
            "stopped": stopped,
        },
    )


class ReplicaRow(msgspec.Struct, frozen=True):
    """A delivery process: `seen_at` is its last heartbeat, by the database's clock."""

    id: uuid.UUID
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    draining: bool


async def live_replicas(connection: AsyncConnection, *, limit: int) -> list[ReplicaRow]:
    """Replicas with a heartbeat in the last 30 s that have not stopped."""
    rows = await connection.execute(
        sa.text("""
            SELECT id, host, pid, version, started_at, seen_at, draining
              FROM delivery.replica
             WHERE stopped_at IS NULL AND seen_at > now() - interval '30 seconds'
             ORDER BY started_at, id
             LIMIT :limit
        """),
        {"limit": limit},
    )
    return [ReplicaRow(**row) for row in rows.mappings()]
