"""One owner a folder, held by the kernel: the lock ends with its process, so it can never be stale."""

import fcntl
import os
from pathlib import Path

from broadsheet_local.errors import LaunchError


class FolderLock:
    """An exclusive lock on `folder/lock`; the file holds the owner's pid for the message to the next comer.

    The descriptor is not inherited: children that outlive a killed owner do not keep the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self, *, busy_message: str) -> None:
        """Take the lock or raise LaunchError with `busy_message` (may contain `{pid}`) at once."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise LaunchError(busy_message.format(pid=owner)) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
