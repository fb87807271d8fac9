"""The SQL of an issue's steps: plain functions that take the connection of the caller's transaction."""

from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.history.step import StepName


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    actor: str
    step: StepName
    version: int
    note: str


_COLUMNS: Final = ", ".join(StepRow.__struct_fields__)


class Step(msgspec.Struct, frozen=True):
    """What a step that was inserted is of."""

    version: int
    newsletter_id: int


async def insert_step(connection: AsyncConnection, issue_id: int, step: StepName, *, actor: str, note: str) -> Step:
    result = await connection.execute(
        sa.text("""
            WITH taken AS (
                INSERT INTO publishing.issue_step (issue_id, step, actor, note, version)
                SELECT id, :step, :actor, :note, version FROM publishing.issue WHERE id = :issue_id
            )
            SELECT version, newsletter_id FROM publishing.issue WHERE id = :issue_id
        """),
        {"issue_id": issue_id, "step": step, "actor": actor, "note": note},
    )
    return Step(*result.one())


async def list_steps(connection: AsyncConnection, issue_id: int, *, before_id: int | None, limit: int) -> list[StepRow]:
    """Newest first."""
    result = await connection.execute(
        sa.text(f"""
            SELECT {_COLUMNS} FROM publishing.issue_step
             WHERE issue_id = :issue_id AND (:before_id IS NULL OR id < :before_id)
             ORDER BY id DESC LIMIT :limit
        """).bindparams(sa.bindparam("before_id", type_=sa.BigInteger)),  # constant columns
        {"issue_id": issue_id, "before_id": before_id, "limit": limit},
    )
    return [StepRow(**row) for row in result.mappings()]
