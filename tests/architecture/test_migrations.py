"""The schema that the migrations make is the one that the services' tables declare."""

import os
import subprocess
import sys

import psycopg

from harness.cluster import Database


def _migrate(database: Database, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broadsheet_migrations", command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "MIGRATION_DATABASE_URL": database.owner_url},
        timeout=120,
    )


def test_the_check_finds_no_difference_between_schema_and_tables(database: Database) -> None:
    done = _migrate(database, "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_would_find_one(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("ALTER TABLE subscriptions.subscriber ADD COLUMN more text")
    assert _migrate(database, "check").returncode == 1


def test_upgrading_what_is_up_to_date_changes_nothing(database: Database) -> None:
    def catalogue() -> list[tuple[object, ...]]:
        with psycopg.connect(database.owner_url) as connection:
            return connection.execute(
                "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3"
            ).fetchall()

    before = catalogue()
    done = _migrate(database, "upgrade")
    assert done.returncode == 0, done.stderr
    assert catalogue() == before
