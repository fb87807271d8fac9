"""The embedded Postgres and Redis: start, stop, survive."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
import redis as redis_client
from redis.backoff import NoBackoff
from redis.retry import Retry

from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_local.embedded.redis_server_binary import VERSION_MIN, find_server_binary
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
    # The pid of the dead server now belongs to another process: this test.
    pid_file[0] = str(os.getpid())
    (postgres.cluster / "postmaster.pid").write_text("\n".join(pid_file) + "\n")
    with postgres:
        assert ask(postgres.url, "SELECT 1") == "1"


def test_a_pid_file_that_names_a_process_nobody_has_reaped_does_not_stop_the_start(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg")
    with postgres:
        pid_file = (postgres.cluster / "postmaster.pid").read_text().splitlines()
    # As after `kill -9` of everything where the parent reaps nobody: in a container without an init.
    ended = subprocess.Popen([sys.executable, "-c", ""])
    zombie = psutil.Process(ended.pid)
    while zombie.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    pid_file[0] = str(ended.pid)
    (postgres.cluster / "postmaster.pid").write_text("\n".join(pid_file) + "\n")
    try:
        with postgres:
            assert ask(postgres.url, "SELECT 1") == "1"
    finally:
        ended.wait()


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
        client.set("broadsheet:kept", "42")
        os.kill(redis.child.pid, signal.SIGKILL)
        assert redis.child.wait(10)
    with redis, redis_client.Redis.from_url(redis.url) as client:
        assert client.get("broadsheet:kept") == b"42"


def test_redis_on_a_taken_port_says_so(folder: Path) -> None:
    with EmbeddedRedis(folder / "one") as first, pytest.raises(LaunchError, match="did not start on port"):
        EmbeddedRedis(folder / "two", port=first.port).start()


def refused(client: redis_client.Redis, *command: str) -> bool:
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except (redis_client.exceptions.NoPermissionError, redis_client.exceptions.AuthenticationError):
        return True
    except redis_client.exceptions.ResponseError as error:
        # MODULE and DEBUG are closed by the server's configuration, before it looks at rights.
        return "command not allowed" in str(error)
    return False


DANGEROUS = (
    ("CONFIG", "GET", "dir"),
    ("CONFIG", "SET", "dir", "/tmp"),
    ("MODULE", "LOAD", "/tmp/module.so"),
    ("DEBUG", "SLEEP", "0"),
    ("ACL", "LIST"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("SHUTDOWN",),
    ("SAVE",),
    ("BGREWRITEAOF",),
    ("MONITOR",),
    ("CLIENT", "LIST"),
    ("FUNCTION", "LIST"),
)


def test_redis_is_new_enough_and_its_dangerous_commands_are_closed_to_everybody(folder: Path) -> None:
    with EmbeddedRedis(folder / "redis") as redis:
        with redis_client.Redis.from_url(redis.owner_url) as owner:
            information = owner.info("server")
            version = str(information.get("valkey_version") or information["redis_version"])
            assert tuple(int(part) for part in version.split(".")[:2]) >= VERSION_MIN
            assert [command for command in DANGEROUS if not refused(owner, *command)] == []
        with redis_client.Redis.from_url(redis.url) as gateway:
            more = [*DANGEROUS, ("KEYS", "*"), ("FLUSHALL",), ("GET", "another:key"), ("INFO",), ("SCAN", "0")]
            assert [command for command in more if not refused(gateway, *command)] == []
            outside = "return redis.call('GET', 'another:key')"
            with pytest.raises(redis_client.exceptions.ResponseError, match="permission"):
                gateway.eval(outside, 0)


def test_redis_answers_nobody_without_a_password(folder: Path) -> None:
    with EmbeddedRedis(folder / "redis") as redis:
        once = Retry(NoBackoff(), 0)
        with redis_client.Redis(port=redis.port, retry=once) as stranger:
            assert refused(stranger, "PING")
            assert refused(stranger, "GET", "broadsheet:limit")
        with redis_client.Redis(port=redis.port, username="gateway", password="wrong", retry=once) as stranger:
            assert refused(stranger, "PING")


def test_the_stores_passwords_are_in_no_command_line_and_in_no_file_that_others_may_read(folder: Path) -> None:
    with EmbeddedRedis(folder / "redis") as redis, EmbeddedPostgres(folder / "pg") as postgres:
        secrets = {postgres.password, *(urlsplit(url).password or "" for url in (redis.url, redis.owner_url))}
        assert all(secrets)
        for child in (redis.child, postgres.child):
            shown = " ".join(psutil.Process(child.pid).cmdline())
            assert not [secret for secret in secrets if secret in shown]
        open_files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
        assert not [path for path in open_files if any(secret.encode() in path.read_bytes() for secret in secrets)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")
def test_as_root_both_stores_run_as_an_ordinary_user(folder: Path) -> None:
    with EmbeddedRedis(folder / "redis") as redis, EmbeddedPostgres(folder / "pg") as postgres:
        for child in (redis.child, postgres.child):
            process = psutil.Process(child.pid)
            assert 0 not in process.uids()
            assert 0 not in process.gids()


def server_program(path: Path, version_line: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{version_line}'\n")
    path.chmod(0o755)


def test_an_old_server_on_the_machine_is_passed_over_and_a_new_one_is_taken(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    folder.chmod(0o755)
    server_program(programs / "redis-server", "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=1")
    assert find_server_binary(search_path=str(programs)).path.name == "valkey-server"
    server_program(programs / "redis-server", "Redis server v=7.2.11 sha=00000000:0 malloc=libc bits=64 build=1")
    found = find_server_binary(search_path=str(programs))
    assert (found.path, found.version) == (programs / "redis-server", (7, 2, 11))
    server_program(programs / "redis-server", "a program that says nothing of use")
    assert find_server_binary(search_path=str(programs)).path.parent != programs


def test_without_any_server_it_is_said_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = folder / "bin"
    programs.mkdir()
    server_program(programs / "redis-server", "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(LaunchError, match=r"redis-server \(6\.2\.14\)\): install valkey-server or redis-server 7\.2"):
        find_server_binary(search_path=str(programs))
