"""A migrated Postgres for one measurement: it and its folder are removed at the end."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from broadsheet_local.check_migrations import migrations
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.environment import inherited
from broadsheet_local.supervision.concurrency import in_thread
from broadsheet_local.supervision.guardian import Guardian


@asynccontextmanager
async def own_postgres(**passwords: str) -> AsyncIterator[EmbeddedPostgres]:
    """`passwords`: of services' roles, by setting (`DELIVERY_DB_PASSWORD`). Raises LaunchError."""
    folder = Path(tempfile.mkdtemp(prefix="broadsheet-bench-"))
    guardian = Guardian()
    guardian.start()
    try:
        postgres = EmbeddedPostgres(folder / "postgres", guardian=guardian)
        await in_thread(postgres.start)
        try:
            environment = inherited(os.environ) | {"MIGRATION_DATABASE_URL": postgres.url} | passwords
            await in_thread(
                lambda: migrations("upgrade", environment, "the migrations do not run on an empty database")
            )
            yield postgres
        finally:
            await in_thread(postgres.stop)
    finally:
        await in_thread(guardian.close)
        await in_thread(lambda: shutil.rmtree(folder))
