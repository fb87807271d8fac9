"""The folder a local set-up lives in: one owner, private, with the record of what runs for it."""

import errno
import os
import signal
from pathlib import Path

import msgspec

from broadsheet_local.embedded.folder_lock import FolderLock
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import Child
from broadsheet_local.supervision.leftovers import find_process, stop_process

LEFTOVER_TIMEOUT_S = 10.0
DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class ProcessRecord(msgspec.Struct, frozen=True):
    """One child as the next start can recognise it; `created_at` in epoch seconds."""

    name: str
    pid: int
    created_at: float
    stop_signal: int


class DataFolder:
    """Paths and ownership. `acquire` comes first; nothing below the folder is touched before it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._lock: FolderLock | None = None

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def sandbox(self) -> Path:
        return self.root / "sandbox"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log_path(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def acquire(self) -> None:
        """Own the folder or raise LaunchError: it cannot be used, or another process (named) has it."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LaunchError(self._why_not_made(error)) from error
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise LaunchError(f"the data folder {self.root} is not writable: choose another --data-dir")
        lock = FolderLock(self.root)
        try:
            lock.acquire(
                busy_message=f"the data folder {self.root} is in use by the running process {{pid}}: "
                "stop that one (Ctrl-C, or `kill {pid}`) or choose another --data-dir"
            )
            self._lock = lock
            for folder in (self.secrets, self.logs, self.sandbox):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            lock.release()
            self._lock = None
            raise LaunchError(self.why_not_written(error)) from error

    def _why_not_made(self, error: OSError) -> str:
        if error.errno == errno.ENAMETOOLONG:
            return self.why_not_written(error)
        in_the_way = next((path for path in (self.root, *self.root.parents) if path.exists()), self.root)
        if not in_the_way.is_dir():
            return f"the data folder cannot be {self.root}: {in_the_way} is a file; choose another --data-dir"
        return self.why_not_written(error)

    def why_not_written(self, error: OSError) -> str:
        """What a person is told when something of ours could not be written."""
        match error.errno:
            case number if number in DISK_IS_FULL:
                return f"the disk of {self.root} is full: make room, or choose another --data-dir"
            case errno.ENAMETOOLONG:
                return (
                    f"the path of the data folder is too long for this system: {self.root}; choose another --data-dir"
                )
            case errno.EACCES | errno.EPERM | errno.EROFS:
                return (
                    f"not allowed to write {error.filename or self.root} ({error.strerror}): choose another --data-dir"
                )
            case _:
                return f"cannot use {self.root} as the data folder: {error.strerror}"

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def _record_path(self) -> Path:
        return self.root / "processes.json"

    def record(self, children: list[Child]) -> None:
        """Record the running children, atomically."""
        records = [
            ProcessRecord(
                name=child.name,
                pid=child.pid,
                created_at=child.created_at,
                stop_signal=int(child.spec.stop_signal),
            )
            for child in children
        ]
        fresh = self._record_path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(records))
        fresh.replace(self._record_path)

    def stop_leftovers(self) -> list[str]:
        """Stop what a killed run left; returns the names. Postgres and Redis handle their own leftovers."""
        try:
            raw = self._record_path.read_bytes()
        except FileNotFoundError:
            return []
        try:
            records = msgspec.json.decode(raw, type=list[ProcessRecord])
        except msgspec.DecodeError:
            # A power cut may leave the renamed file empty; then no process is left either.
            records = []
        stopped = []
        for record in records:
            process = find_process(record.pid, record.created_at)
            if process is not None:
                stop_process(process, signal.Signals(record.stop_signal), timeout_s=LEFTOVER_TIMEOUT_S)
                stopped.append(record.name)
        self._record_path.unlink()
        return stopped
