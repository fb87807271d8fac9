"""How a compared sender waits until all of them are ready: on a lock that the benchmark holds."""

import asyncpg

START_LOCK = 1
START_TIMEOUT_S = 120.0


async def pass_start_gate(database_url: str, pid: int) -> None:
    connection = await asyncpg.connect(database_url, timeout=START_TIMEOUT_S, command_timeout=START_TIMEOUT_S)
    try:
        await connection.execute("INSERT INTO ready VALUES ($1)", pid)
        await connection.execute("SELECT pg_advisory_lock_shared($1::bigint)", START_LOCK)
    finally:
        await connection.close()
