"""The embedded Postgres and Redis: start, stop, survive."""

import os
import signal
import socket
from pathlib import Path

import psycopg
import pytest
import redis as redis_client

from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_local.errors import LaunchError


def ask(url: str, statement: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return "" if row is None else str(row[0])


def change(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_postgres_keeps_its_data_and_its_password_over_a_restart(folder: Path) -> None:
    with EmbeddedPostgres(folder / "pg") as postgres:
        change(postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        first_password = postgres.password
    with EmbeddedPostgres(folder / "pg") as postgres:
        assert ask(postgres.url, "SELECT answer FROM kept") == "42"
        assert postgres.password == first_password
        assert not postgres.stopped_leftover


def test_postgres_is_durable_local_and_asks_for_the_password(folder: Path) -> None:
    with EmbeddedPostgres(folder / "pg") as postgres:
        assert ask(postgres.url, "SHOW fsync") == "on"
        assert ask(postgres.url, "SHOW server_version").startswith("18")
        assert ask(postgres.url, "SHOW listen_addresses") == "127.0.0.1"
        assert (folder / "pg" / "superuser-password").stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.url_for("postgres", "wrong"))


def test_an_immediate_stop_loses_no_committed_row(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg")
    postgres.start()
    change(postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop("immediate")
    with postgres:
        assert ask(postgres.url, "SELECT answer FROM kept") == "42"


def test_a_killed_postmaster_leaves_nothing_that_stops_the_next_start(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg")
    postgres.start()
    os.kill(postgres.child.pid, signal.SIGKILL)
    assert postgres.child.wait(10)
    assert (postgres.cluster / "postmaster.pid").exists()
    postgres.stop()
    with postgres:
        assert ask(postgres.url, "SELECT 1") == "1"


def test_a_pid_file_that_names_a_strangers_process_does_not_stop_the_start(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg")
    with postgres:
        pid_file = (postgres.cluster / "postmaster.pid").read_text().splitlines()
    # The pid of the dead server was given to somebody else: to this test.
    pid_file[0] = str(os.getpid())
    (postgres.cluster / "postmaster.pid").write_text("\n".join(pid_file) + "\n")
    with postgres:
        assert ask(postgres.url, "SELECT 1") == "1"


def test_a_second_owner_of_a_database_folder_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder / "pg"), pytest.raises(LaunchError, match=rf"in use by .* {os.getpid()}"):
        EmbeddedPostgres(folder / "pg").start()


def test_postgres_on_a_taken_port_says_so_with_its_log(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match="did not start on port") as caught:
            EmbeddedPostgres(folder / "pg", port=port).start()
    assert "could not bind" in str(caught.value)
    with EmbeddedPostgres(folder / "pg") as postgres:
        assert ask(postgres.url, "SELECT 1") == "1"


def test_a_cluster_of_another_version_is_refused(folder: Path) -> None:
    (folder / "pg" / "cluster").mkdir(parents=True)
    (folder / "pg" / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(LaunchError, match="made by PostgreSQL 16"):
        EmbeddedPostgres(folder / "pg").start()


def test_redis_keeps_its_data_over_a_restart_and_over_a_kill(folder: Path) -> None:
    redis = EmbeddedRedis(folder / "redis")
    with redis, redis_client.Redis.from_url(redis.url) as client:
        client.set("kept", "42")
        os.kill(redis.child.pid, signal.SIGKILL)
        assert redis.child.wait(10)
    with redis, redis_client.Redis.from_url(redis.url) as client:
        assert client.get("kept") == b"42"


def test_redis_on_a_taken_port_says_so(folder: Path) -> None:
    with EmbeddedRedis(folder / "one") as first, pytest.raises(LaunchError, match="did not start on port"):
        EmbeddedRedis(folder / "two", port=first.port).start()
