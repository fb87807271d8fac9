"""This process as one of the replicas: an id that no other process ever has, and a row that says it is there."""

import os
import socket
import uuid
from importlib.metadata import version

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_delivery.tables import replica


class Replica(msgspec.Struct, frozen=True):
    id: uuid.UUID
    host: str
    pid: int
    version: str


def this_replica() -> Replica:
    return Replica(uuid.uuid4(), socket.gethostname(), os.getpid(), version("broadsheet-delivery"))


async def register(connection: AsyncConnection, me: Replica) -> None:
    await connection.execute(replica.insert().values(id=me.id, host=me.host, pid=me.pid, version=me.version))


async def report_alive(connection: AsyncConnection, me: Replica, *, draining: bool, stopped: bool = False) -> None:
    """Heartbeat, by the database's clock. It is for people to look at; leases alone decide who may send."""
    await connection.execute(
        sa.text("""
            UPDATE delivery.replica
               SET seen_at = now(), draining = :draining, stopped_at = CASE WHEN :stopped THEN now() END
             WHERE id = :id
        """).bindparams(sa.bindparam("id", type_=pg.UUID)),
        {"id": me.id, "draining": draining, "stopped": stopped},
    )
