"""The background task that runs imports, undoes them, asks pending people to confirm, and removes leftovers.

A process works on one import at a time; any number of replicas may run. An upload in the same process wakes the
worker at once. But it relies on a poll every one to two seconds, which also finds imports that another process
received or left unfinished.
"""

import asyncio
import contextlib
import uuid
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.background.loop import Loop, Next
from broadsheet_common.background.set_aside import SetAside
from broadsheet_common.process.database import is_database_unavailable
from broadsheet_subscriptions.imports import ask_for_confirmation
from broadsheet_subscriptions.imports.running import lease_store, leftover_store
from broadsheet_subscriptions.imports.running.run_import import LeaseLostError, run_import
from broadsheet_subscriptions.imports.store import ImportRow
from broadsheet_subscriptions.imports.undo_import import undo_import
from broadsheet_subscriptions.sign_up.subscribe import ConfirmationPolicy

POLL_S: Final = 1.5
BOUND_S: Final = 60.0
JOB_BOUND_S: Final = 600.0
"""A job that keeps its lease reports progress, and may run longer."""
FAILURE_WAIT_S: Final = 2.0
FAILURES_MAX: Final = 5
TIDY_INTERVAL_S: Final = 60.0
TIDY_BOUND_S: Final = 600.0
TIDY_BATCHES_MAX: Final = 200
PIECES_A_BATCH: Final = 64
LEFTOVERS_A_BATCH: Final = 5_000

_log = structlog.get_logger()


class ImportPolicy(msgspec.Struct, frozen=True):
    """`lease`: how soon a job is taken over from a dead worker; `kept`: how long rejects and unused files stay."""

    csv_bytes_max: int
    xlsx_bytes_max: int
    upload_max: timedelta
    lease: timedelta
    kept: timedelta
    confirmations_per_minute: int
    timeout_s: float


class ImportWorker:
    """One per process: its `loops`, and `wake` after an upload. A job may take minutes; the other loops go on
    meanwhile.
    """

    def __init__(self, engine: AsyncEngine, policy: ImportPolicy, confirmation_policy: ConfirmationPolicy) -> None:
        self._engine = engine
        self._policy = policy
        self._confirmation_policy = confirmation_policy
        self._not_asked: SetAside[int] = SetAside(ask_for_confirmation.LOOP)
        self._jobs = Loop("imports.jobs", self._work, interval_s=POLL_S, bound_s=JOB_BOUND_S, cancel_on_stop=True)
        self.loops = (
            self._jobs,
            Loop(
                ask_for_confirmation.LOOP,
                self._ask,
                interval_s=POLL_S,
                bound_s=BOUND_S,
                cancel_on_stop=True,
                set_aside=self._not_asked,
            ),
            Loop("imports.tidy", self.tidy, interval_s=TIDY_INTERVAL_S, bound_s=TIDY_BOUND_S, cancel_on_stop=True),
        )

    def wake(self) -> None:
        self._jobs.wake()

    async def _work(self) -> Next | None:
        return Next(0) if await self.work_once() else None

    async def work_once(self) -> bool:
        """Leases one job and works on it until it ends or fails. False: there was no job."""
        token = uuid.uuid4()
        async with self._engine.begin() as connection:
            job = await lease_store.lease_import(connection, token=token, lease=self._policy.lease)
        if job is None:
            return False
        try:
            await self._work_on(job, token)
        except LeaseLostError:
            _log.info("import.lease_lost", import_id=job.id)
        except asyncio.CancelledError:
            # The service stops. Giving up the lease lets another replica continue at once.
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                await self._give_up(job.id, token, counts_as_failure=False)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the job must be neither lost nor tried for ever
            away = is_database_unavailable(error)
            _log.warning("import.broke_off", import_id=job.id, error=type(error).__name__, exc_info=not away)
            await asyncio.sleep(FAILURE_WAIT_S)
            await self._give_up(job.id, token, counts_as_failure=not away)
        return True

    async def _work_on(self, job: ImportRow, token: UUID) -> None:
        lease, timeout_s = self._policy.lease, self._policy.timeout_s
        if job.status == "undoing":
            await undo_import(self._engine, job.id, token=token, lease=lease)
        else:
            hasher = self._confirmation_policy.address_hasher
            await run_import(
                self._engine,
                job,
                hasher=hasher,
                token=token,
                lease=lease,
                timeout_s=timeout_s,
                progress=self._jobs.progress,
            )

    async def _give_up(self, import_id: int, token: UUID, *, counts_as_failure: bool) -> None:
        async with self._engine.begin() as connection:
            await lease_store.give_up_lease(
                connection,
                import_id=import_id,
                token=token,
                counts_as_failure=counts_as_failure,
                failures_max=FAILURES_MAX,
            )

    async def _ask(self) -> None:
        asked = await ask_for_confirmation.ask_for_confirmation(
            self._engine,
            self._confirmation_policy,
            mails_per_minute=self._policy.confirmations_per_minute,
            set_aside=self._not_asked,
        )
        if asked:
            _log.info("import.confirmations_queued", mails=asked)

    async def tidy(self) -> int:
        """One bounded round, one transaction per batch; returns how many rows were removed."""
        removed = 0
        for _ in range(TIDY_BATCHES_MAX):
            async with self._engine.begin() as connection:
                pieces = await leftover_store.remove_pieces(
                    connection, limit=PIECES_A_BATCH, upload_max=self._policy.upload_max, kept=self._policy.kept
                )
                rows = await leftover_store.remove_leftovers(
                    connection, limit=LEFTOVERS_A_BATCH, kept=self._policy.kept
                )
            removed += pieces + rows
            if pieces + rows == 0:
                break
        return removed
