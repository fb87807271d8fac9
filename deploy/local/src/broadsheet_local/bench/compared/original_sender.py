"""The baseline: one row, one transaction, one call at a time, the transaction open across the call.

What Rusty Mailer's worker does in its loop, and in its order: take a row under FOR UPDATE SKIP LOCKED, read the issue,
one POST /email, delete the row, commit. Its faults (a failed send is deleted, a crash after the call sends again) do
not show here, because nothing fails. `calls` such loops run in one process; each is one of its workers.
"""

import asyncio
import os

import asyncpg
import httpx
import uvloop

from broadsheet_local.bench.compared.comparison_lock import pass_start_gate
from broadsheet_local.bench.compared.sender_settings import SenderSettings, read_settings
from broadsheet_local.environment import MAIL_FROM

CALL_TIMEOUT_S = 60.0


async def send_one(settings: SenderSettings, connection: asyncpg.Connection, client: httpx.AsyncClient) -> bool:
    """False: the queue is empty."""
    async with connection.transaction():
        row = await connection.fetchrow(
            "SELECT issue_id, subscriber_email FROM issue_delivery_queue FOR UPDATE SKIP LOCKED LIMIT 1"
        )
        if row is None:
            return False
        issue = await connection.fetchrow("SELECT title, html_content, text_content FROM issue")
        response = await client.post(
            f"{settings.sandbox_url}/email",
            json={
                "From": MAIL_FROM,
                "To": row["subscriber_email"],
                "Subject": issue["title"],
                "HtmlBody": issue["html_content"],
                "TextBody": issue["text_content"],
                "MessageStream": "broadcast",
            },
            headers=settings.headers,
        )
        response.raise_for_status()
        await connection.execute(
            "DELETE FROM issue_delivery_queue WHERE issue_id = $1 AND subscriber_email = $2",
            row["issue_id"],
            row["subscriber_email"],
        )
    return True


async def worker(settings: SenderSettings, connection: asyncpg.Connection, client: httpx.AsyncClient) -> None:
    while await send_one(settings, connection, client):
        pass


async def run(settings: SenderSettings) -> None:
    async with httpx.AsyncClient(timeout=CALL_TIMEOUT_S, trust_env=False) as client:
        connections = [await asyncpg.connect(settings.database_url) for _ in range(settings.calls)]
        await pass_start_gate(settings.database_url, os.getpid())
        async with asyncio.TaskGroup() as workers:
            for connection in connections:
                workers.create_task(worker(settings, connection, client))
        for connection in connections:
            await connection.close()


if __name__ == "__main__":
    uvloop.run(run(read_settings()))
