"""A Valkey (or Redis) server as a child process on a loopback port.

    with EmbeddedRedis(Path("data/redis")) as redis:
        connect(redis.url)

Any local user can reach a loopback port, so every connection needs a password, and each of the two users may only do
what it needs (ACL). The server never runs as root: then it runs as the system user that Postgres has too. What was
weighed: docs/decisions/0017-embedded-redis.md.
"""

import hashlib
import os
import secrets
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from broadsheet_local.embedded.account import Account, system_account
from broadsheet_local.embedded.folder_lock import FolderLock
from broadsheet_local.embedded.ports import LOOPBACK, hold_free_port
from broadsheet_local.embedded.private_file import write_private
from broadsheet_local.embedded.redis_server_binary import PROGRAMS, ServerBinary, find_server_binary
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import STAGE_STORE, Child, ProcessSpec
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.leftovers import find_server, stop_process

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 1.0
POLL_S = 0.02


# What the gateway sends, and what its client sends at a connection's start. All else is refused: even with the
# gateway's password nobody can use CONFIG, MODULE, DEBUG, ACL, SAVE or REPLICAOF.
GATEWAY_COMMANDS = (
    *("auth", "hello", "ping", "select", "client|setinfo", "client|setname"),
    *("eval", "evalsha", "script|load", "time"),
    *("get", "set", "del", "exists", "expire", "hmget", "hset", "smembers", "sadd", "srem"),
)
GATEWAY_KEYS = "broadsheet:*"
# For the launcher's readiness check and for tests, which read keys and empty the server.
OWNER_RIGHTS = "~* -@all +@read +@write +@connection -@admin -@dangerous +keys +flushdb +flushall +info"
GATEWAY_USER = "gateway"
OWNER_USER = "owner"


class EmbeddedRedis:
    """A Redis server of our own in `data_dir`, append-only file on; `port=None` takes any free one."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        log_path: Path | None = None,
        guardian: Guardian | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        if port is None:
            self._held_port = hold_free_port()
            port = self._held_port.number
        self.port = port
        self.log_path = log_path or self.data_dir / "redis.log"
        self.stopped_leftover = False
        self.opened_folders: list[Path] = []
        self._guardian = guardian
        self._lock: FolderLock | None = None
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        assert self._child is not None
        return self._child

    @property
    def url(self) -> str:
        """The gateway's address: its commands on its keys, nothing else."""
        return self._url_of(GATEWAY_USER)

    @property
    def owner_url(self) -> str:
        """For inspecting and emptying it; administration (CONFIG and the like) is refused here too."""
        return self._url_of(OWNER_USER)

    @property
    def work_folder(self) -> Path:
        """The server's own folder: its data and its pid, closed to everybody else but root.

        It is the server's working folder and all its paths are relative, so the folders above may stay closed to it.
        """
        return self.data_dir / "server"

    def _url_of(self, user: str) -> str:
        return f"redis://{user}:{self._password(user)}@{LOOPBACK}:{self.port}/0"

    def _password(self, user: str) -> str:
        """Made at the first use and kept in a file of mode 0600."""
        path = self.data_dir / f"{user}-password"
        if not path.exists():
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, secrets.token_hex(24))
        return path.read_text()

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
        """Start and wait until it answers. Raises LaunchError: folder in use, port taken, no start in time."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock(self.data_dir)
        lock.acquire(busy_message=f"the Redis folder {self.data_dir} is in use by the running process {{pid}}")
        try:
            leftover = find_server(self._pid_file, names=PROGRAMS, cwd=self.work_folder)
            if leftover is not None:
                self.stopped_leftover = True
                stop_process(leftover, signal.SIGTERM, timeout_s=STOP_TIMEOUT_S)
            account = system_account("the Redis server")
            binary = find_server_binary(account)
            self.opened_folders = [*binary.opened_folders]
            self._make_work_folder(account)
            self._start_server(binary, account)
        except BaseException:
            # Also after an interrupt: a server left running would block the folder for the next start.
            self._end_child()
            lock.release()
            raise
        self._lock = lock

    def stop(self) -> None:
        try:
            if self._child is not None:
                self._child.stop()
        finally:
            self._end_child()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    @property
    def _configuration_file(self) -> Path:
        return self.data_dir / "server.conf"

    @property
    def _pid_file(self) -> Path:
        return self.work_folder / "redis.pid"

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _make_work_folder(self, account: Account | None) -> None:
        self.work_folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(self.work_folder, account.uid, account.gid)

    def _configuration(self) -> str:
        """Holds the passwords' SHA-256 only. The default user, which a client without a password would get, is off."""
        commands = " ".join(f"+{command}" for command in GATEWAY_COMMANDS)
        rights = {GATEWAY_USER: f"~{GATEWAY_KEYS} -@all {commands}", OWNER_USER: OWNER_RIGHTS}
        users = [
            f"user {user} on #{hashlib.sha256(self._password(user).encode()).hexdigest()} {allowed}"
            for user, allowed in rights.items()
        ]
        return "\n".join(
            [
                f"bind {LOOPBACK}",
                f"port {self.port}",
                "protected-mode yes",
                "appendonly yes",
                'save ""',
                "dir .",
                f"pidfile {self._pid_file.name}",
                "databases 1",
                "user default off",
                *users,
                "",
            ]
        )

    def _start_server(self, binary: ServerBinary, account: Account | None) -> None:
        self._pid_file.unlink(missing_ok=True)
        write_private(self._configuration_file, self._configuration())
        self._child = Child(
            ProcessSpec(
                name="redis",
                command=[str(binary.path), "-"],
                environment={"PATH": os.defpath, "LC_ALL": "C"},
                log_path=self.log_path,
                folder=self.work_folder,
                stop_timeout_s=STOP_TIMEOUT_S,
                stage=STAGE_STORE,
                account=account,
                input_path=self._configuration_file,
            ),
            self._guardian,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._child.exit_code() is not None:
                raise LaunchError(
                    f"Redis did not start on port {self.port}: it {self._child.describe_end()}",
                    log_path=self.log_path,
                )
            if time.monotonic() > deadline:
                raise LaunchError(f"Redis was not ready within {START_TIMEOUT_S:.0f} s", log_path=self.log_path)
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        """A PING answered by our own server (another process may hold the port); -LOADING does not count as an
        answer.
        """
        try:
            if self._pid_file.read_text().strip() != str(self.child.pid):
                return False
            with socket.create_connection((LOOPBACK, self.port), timeout=PING_TIMEOUT_S) as connection:
                greeting = f"AUTH {OWNER_USER} {self._password(OWNER_USER)}\r\nPING\r\n"
                connection.sendall(greeting.encode())
                with connection.makefile("rb") as answer:
                    return answer.readline() == b"+OK\r\n" and answer.readline() == b"+PONG\r\n"
        except OSError:  # not listening yet, or no pid file yet
            return False
