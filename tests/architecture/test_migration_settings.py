"""The migration step takes its settings as the services do: from the environment, or from files."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql

from broadsheet_migrations.connecting import connect_timeout_s
from broadsheet_migrations.history import alembic_config
from broadsheet_migrations.roles import set_role_passwords
from harness.cluster import ROLE_PASSWORD, Database


def migrate(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MIGRATION_")}
    return subprocess.run(
        [sys.executable, "-m", "broadsheet_migrations", command],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_database_it_exits_2_and_names_the_setting() -> None:
    finished = migrate("upgrade")
    assert finished.returncode == 2
    assert "MIGRATION_DATABASE_URL is not set" in finished.stderr


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    finished = migrate("upgrade", MIGRATION_DATABASE_URL_FILE=str(tmp_path / "none"))
    assert finished.returncode == 2
    assert "MIGRATION_DATABASE_URL_FILE" in finished.stderr


def test_a_database_that_says_nothing_ends_the_step_in_time_and_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://owner:a-secret@127.0.0.1:{port}/broadsheet"
        finished = migrate("upgrade", MIGRATION_DATABASE_URL=f"{url}?connect_timeout=2")
    assert finished.returncode == 1
    [line] = finished.stderr.splitlines()
    assert line.startswith(
        "broadsheet-migrate: the database at MIGRATION_DATABASE_URL fails: connection timeout expired"
    )
    assert "a-secret" not in line


def test_a_database_that_is_away_or_whose_address_is_malformed_is_one_line_too() -> None:
    finished = migrate("current", MIGRATION_DATABASE_URL="postgresql://owner:a-secret@127.0.0.1:1/broadsheet")
    assert (finished.returncode, len(finished.stderr.splitlines())) == (1, 1)
    assert "refused" in finished.stderr
    finished = migrate("current", MIGRATION_DATABASE_URL="postgresql://owner:a-secret@h:port/broadsheet")
    assert (finished.returncode, len(finished.stderr.splitlines())) == (2, 1)
    assert "is not postgresql://" in finished.stderr
    assert "a-secret" not in finished.stderr


def test_connecting_is_bounded_unless_the_address_says_otherwise() -> None:
    assert connect_timeout_s("postgresql://owner@host/database") == 10
    assert connect_timeout_s("postgresql://owner@host/database?connect_timeout=60") is None


def test_settings_come_from_files_and_it_may_run_again(database: Database, tmp_path: Path) -> None:
    url, password = tmp_path / "url", tmp_path / "password"
    url.write_text(database.owner_url + "\n")
    password.write_text(f"{ROLE_PASSWORD}\n")
    for _ in range(2):
        finished = migrate("upgrade", MIGRATION_DATABASE_URL_FILE=str(url), GATEWAY_DB_PASSWORD_FILE=str(password))
        assert finished.returncode == 0, finished.stderr
    with psycopg.connect(database.url_for("gateway")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("broadsheet_gateway",)


def test_a_roles_password_is_set_whatever_is_in_it(database: Database) -> None:
    role, password = f"test_role_{secrets.token_hex(4)}", "a 'quote', 100% and a \\"
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            set_role_passwords(database.owner_url, {role: password})
            parts = urlsplit(database.owner_url)
            host = parts.netloc.rpartition("@")[2]
            with psycopg.connect(
                urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{host}"))
            ) as connection:
                assert connection.execute("SELECT current_user").fetchone() == (role,)
        finally:
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.parametrize("command", ["sql", "current"])
def test_the_other_commands_answer(database: Database, command: str) -> None:
    finished = migrate(command, MIGRATION_DATABASE_URL=database.owner_url)
    assert finished.returncode == 0, finished.stderr
    newest = ScriptDirectory.from_config(alembic_config(database.owner_url)).get_current_head()
    assert str(newest) in finished.stdout
