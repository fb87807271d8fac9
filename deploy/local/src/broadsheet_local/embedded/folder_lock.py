"""One owner a folder, held by the kernel: the lock ends with its process, so it can never be stale."""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from broadsheet_local.embedded.private_file import write_private
from broadsheet_local.errors import LaunchError


class FolderLock:
    """An exclusive lock on `folder/lock`; `folder/owner` holds the owner's pid for the error message of the next
    process.

    The lock is not inherited: children that outlive a killed owner do not keep it.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / "lock", mode=0o600)
        self._owner = folder / "owner"

    def acquire(self, *, busy_message: str) -> None:
        """Take the lock or raise LaunchError with `busy_message` (may contain `{pid}`) at once."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LaunchError(busy_message.format(pid=self._owner_pid())) from None
        write_private(self._owner, f"{os.getpid()}\n")

    def _owner_pid(self) -> str:
        try:
            return self._owner.read_text(errors="replace").strip() or "unknown"
        except FileNotFoundError:  # the owner has the lock and has not written its pid yet
            return "unknown"

    def release(self) -> None:
        self._lock.release()
