"""The SQL of an import's lease, and of what only the holder of the lease may record."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_subscriptions.imports.import_options import Status
from broadsheet_subscriptions.imports.reading.column import Mapping_
from broadsheet_subscriptions.imports.reading.opt_out import UndecidedColumn
from broadsheet_subscriptions.imports.store import ImportRow, find_import, give_lanes


async def lease_import(connection: AsyncConnection, *, token: UUID, lease: timedelta) -> ImportRow | None:
    """Leases the oldest job that nobody works on; None: there is none."""
    result = await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET lease_token = :token, lease_until = now() + :lease,
                   status = CASE status WHEN 'queued' THEN 'running' ELSE status END,
                   started_at = coalesce(started_at, now())
             WHERE id = (
                SELECT id FROM subscriptions.import_job
                 WHERE status IN ('queued', 'running', 'undoing') AND (lease_until IS NULL OR lease_until < now())
                 ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
            RETURNING id
        """).bindparams(sa.bindparam("token", type_=sa.Uuid), sa.bindparam("lease", type_=sa.Interval)),
        {"token": token, "lease": lease},
    )
    import_id: int | None = result.scalar_one_or_none()
    if import_id is None:
        return None
    # Waits for the transactions in which the previous worker still stores something.
    await give_lanes(connection, import_id=import_id, token=token)
    return await find_import(connection, import_id)


async def renew_lease(connection: AsyncConnection, *, import_id: int, token: UUID, lease: timedelta) -> bool:
    """False: the caller no longer holds the job."""
    result = await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job SET lease_until = now() + :lease
             WHERE id = :import_id AND lease_token = :token
        """).bindparams(sa.bindparam("token", type_=sa.Uuid), sa.bindparam("lease", type_=sa.Interval)),
        {"import_id": import_id, "token": token, "lease": lease},
    )
    return result.rowcount == 1


async def give_up_lease(
    connection: AsyncConnection, *, import_id: int, token: UUID, counts_as_failure: bool, failures_max: int
) -> None:
    """Lets another worker continue at once. After too many failures in a row, the job has failed."""
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET lease_token = NULL, lease_until = NULL, failure_count = failure_count + :failures,
                   status = CASE WHEN failure_count + :failures >= :failures_max THEN 'failed' ELSE status END,
                   failure = CASE WHEN failure_count + :failures >= :failures_max
                                  THEN 'The import broke off several times at the same place; the log says why.' END,
                   finished_at = CASE WHEN failure_count + :failures >= :failures_max THEN now() END
             WHERE id = :import_id AND lease_token = :token
        """).bindparams(sa.bindparam("token", type_=sa.Uuid), sa.bindparam("failures", type_=sa.Integer)),
        {
            "import_id": import_id,
            "token": token,
            "failures": int(counts_as_failure),
            "failures_max": failures_max,
        },
    )


async def store_opened(
    connection: AsyncConnection,
    *,
    import_id: int,
    token: UUID,
    delimiter: str | None,
    columns: Sequence[str],
    mapping: Mapping_,
    first_record: int,
    undecided: Sequence[UndecidedColumn],
    remarks: Sequence[str],
    first_rows: Sequence[Sequence[str]],
) -> None:
    await connection.execute(
        sa.text("""
            INSERT INTO subscriptions.import_sample (import_id, first_rows)
            SELECT id, :first_rows FROM subscriptions.import_job WHERE id = :import_id AND lease_token = :token
            ON CONFLICT (import_id) DO UPDATE SET first_rows = excluded.first_rows
        """).bindparams(sa.bindparam("token", type_=sa.Uuid), sa.bindparam("first_rows", type_=JSONB)),
        {"import_id": import_id, "token": token, "first_rows": [list(row) for row in first_rows]},
    )
    await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET delimiter = :delimiter, columns = :columns, mapping = :mapping, first_record = :first_record,
                   undecided_columns = :undecided_columns, remarks = :remarks
             WHERE id = :import_id AND lease_token = :token
        """).bindparams(
            sa.bindparam("token", type_=sa.Uuid),
            sa.bindparam("delimiter", type_=sa.Text),
            sa.bindparam("columns", type_=ARRAY(sa.Text)),
            sa.bindparam("mapping", type_=JSONB),
            sa.bindparam("undecided_columns", type_=JSONB),
            sa.bindparam("remarks", type_=ARRAY(sa.Text)),
        ),
        {
            "import_id": import_id,
            "token": token,
            "delimiter": delimiter,
            "columns": list(columns),
            "mapping": mapping,
            "first_record": first_record,
            "undecided_columns": msgspec.to_builtins(undecided),
            "remarks": list(remarks),
        },
    )


async def end_run(
    connection: AsyncConnection, *, import_id: int, token: UUID, status: Status, failure: str | None
) -> bool:
    """False: the caller no longer holds the job, and may not end it."""
    result = await connection.execute(
        sa.text("""
            UPDATE subscriptions.import_job
               SET status = :status, failure = :failure, finished_at = now(), lease_token = NULL, lease_until = NULL
             WHERE id = :import_id AND lease_token = :token
        """).bindparams(sa.bindparam("token", type_=sa.Uuid), sa.bindparam("failure", type_=sa.Text)),
        {"import_id": import_id, "token": token, "status": status, "failure": failure},
    )
    return result.rowcount == 1
