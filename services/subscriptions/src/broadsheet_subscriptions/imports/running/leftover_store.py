"""The SQL that removes what imports leave behind: files, rejects and hashes that are not needed any more."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def remove_pieces(connection: AsyncConnection, *, limit: int, upload_max: timedelta, kept: timedelta) -> int:
    """Removes some pieces of files that will not be read again, and their first rows; returns how many pieces.

    A file is removed when its import is over. The file of an import that may be started again is kept for a
    while, and a partial upload for as long as an upload may take.
    """
    result = await connection.execute(
        sa.text("""
            WITH over AS MATERIALIZED (
                SELECT id FROM subscriptions.import_job
                 WHERE file_removed_at IS NULL
                   AND (status IN ('done', 'cancelled', 'undoing', 'undone')
                        OR (status IN ('checked', 'failed') AND finished_at < now() - :kept)
                        OR (status = 'uploading' AND created_at < now() - :upload_max))
                 ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
            ), unseen AS (
                DELETE FROM subscriptions.import_sample WHERE import_id = (SELECT id FROM over)
            ), gone AS (
                DELETE FROM subscriptions.import_piece AS piece
                 USING (SELECT import_id, position FROM subscriptions.import_piece
                         WHERE import_id = (SELECT id FROM over) ORDER BY position LIMIT :limit) AS picked
                 WHERE piece.import_id = picked.import_id AND piece.position = picked.position
                RETURNING 1
            ), counted AS (
                SELECT count(*) AS pieces FROM gone
            ), emptied AS (
                UPDATE subscriptions.import_job
                   SET file_removed_at = now(),
                       status = CASE status WHEN 'uploading' THEN 'failed' ELSE status END,
                       failure = CASE status WHEN 'uploading' THEN 'The upload broke off.' ELSE failure END,
                       finished_at = coalesce(finished_at, now())
                 WHERE id = (SELECT id FROM over) AND (SELECT pieces FROM counted) < :limit
                RETURNING 1
            )
            SELECT (SELECT pieces FROM counted) + (SELECT count(*) FROM emptied)
        """).bindparams(sa.bindparam("upload_max", type_=sa.Interval), sa.bindparam("kept", type_=sa.Interval)),
        {"limit": limit, "upload_max": upload_max, "kept": kept},
    )
    removed: int = result.scalar_one()
    return removed


async def remove_leftovers(connection: AsyncConnection, *, limit: int, kept: timedelta) -> int:
    """Removes some rejects, notes and hashes of runs that are over or were replaced by another run; returns how
    many.
    """
    rejects = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.import_reject AS reject
             USING (SELECT reject.import_id, reject.run_number, reject.record_number
                      FROM subscriptions.import_job AS job
                      JOIN subscriptions.import_reject AS reject ON reject.import_id = job.id
                       AND (reject.run_number < job.run_number OR job.finished_at < now() - :kept)
                     LIMIT :limit) AS picked
             WHERE reject.import_id = picked.import_id AND reject.run_number = picked.run_number
               AND reject.record_number = picked.record_number
        """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"limit": limit, "kept": kept},
    )
    hashes = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.import_seen AS seen
             USING (SELECT seen.import_id, seen.run_number, seen.address_hash
                      FROM subscriptions.import_job AS job
                      JOIN subscriptions.import_seen AS seen ON seen.import_id = job.id
                     WHERE seen.run_number < job.run_number OR job.finished_at IS NOT NULL
                     LIMIT :limit) AS picked
             WHERE seen.import_id = picked.import_id AND seen.run_number = picked.run_number
               AND seen.address_hash = picked.address_hash
        """),
        {"limit": limit},
    )
    notes = await connection.execute(
        sa.text("""
            DELETE FROM subscriptions.import_note AS note
             USING (SELECT note.import_id, note.run_number, note.column_title, note.reason
                      FROM subscriptions.import_job AS job
                      JOIN subscriptions.import_note AS note ON note.import_id = job.id
                       AND (note.run_number < job.run_number OR job.finished_at < now() - :kept)
                     LIMIT :limit) AS picked
             WHERE note.import_id = picked.import_id AND note.run_number = picked.run_number
               AND note.column_title = picked.column_title AND note.reason = picked.reason
        """).bindparams(sa.bindparam("kept", type_=sa.Interval)),
        {"limit": limit, "kept": kept},
    )
    return rejects.rowcount + hashes.rowcount + notes.rowcount
