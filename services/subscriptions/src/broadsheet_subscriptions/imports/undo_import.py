"""Undoes an import, one bounded batch per transaction. The worker must have leased the job."""

from collections import Counter
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_subscriptions.growth.interface import take_back_imported
from broadsheet_subscriptions.imports import store, undo_store
from broadsheet_subscriptions.imports.running import lease_store
from broadsheet_subscriptions.imports.running.run_import import LeaseLostError
from broadsheet_subscriptions.subscribers.change_source import name_change_source

PEOPLE_A_BATCH: Final = 5_000

_log = structlog.get_logger()


async def undo_import(
    engine: AsyncEngine, import_id: int, *, token: UUID, lease: timedelta, batch_people: int = PEOPLE_A_BATCH
) -> None:
    """Works to the end. Raises `LeaseLostError`, and the errors of the database; the job can then be continued."""
    while await _undo_batch(engine, import_id, token=token, lease=lease, batch_people=batch_people):
        pass


async def _undo_batch(engine: AsyncEngine, import_id: int, *, token: UUID, lease: timedelta, batch_people: int) -> bool:
    """False: it was the last. Every batch advances the job's place or its step, so the undo ends."""
    async with engine.begin() as connection:
        # Locks the job's row until the batch is stored, so that a worker that has lost its lease cannot store anything.
        if not await lease_store.renew_lease(connection, import_id=import_id, token=token, lease=lease):
            raise LeaseLostError
        job = await store.find_import(connection, import_id)
        assert job is not None
        await name_change_source(connection, "import")
        restores = job.undo_step == "restore"
        take_back = undo_store.restore_people if restores else undo_store.remove_people
        done = await take_back(connection, job, limit=batch_people)
        if done.unsubscribed:
            await take_back_imported(connection, job.newsletter_id, done.unsubscribed)
        if done.last_id is None and not restores:
            await lease_store.end_run(connection, import_id=import_id, token=token, status="undone", failure=None)
            _log.info(
                "import.undone", import_id=import_id, restored=job.undo_restored, removed=job.undo_removed,
                kept=sum(job.undo_kept.values()),
            )  # fmt: skip
            return False
        kept = Counter(job.undo_kept)
        kept.update({reason: people for reason, people in done.kept.items() if people})
        await undo_store.move_undo(
            connection,
            job,
            step="restore" if restores and done.last_id is not None else "remove",
            after_id=done.last_id or 0,
            restored=done.undone if restores else 0,
            removed=0 if restores else done.undone,
            kept=dict(kept),
        )
    return True
