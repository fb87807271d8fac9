"""A disk for Postgres, or for logs, that can be filled: a size-capped tmpfs where we may mount one (root on Linux),
else a limit on the size of the files that the process may write (RLIMIT_FSIZE by prlimit, Linux), which fails its
writes in the same places. `way` says which.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]

from broadsheet_local.errors import LaunchError

MOUNT_TIMEOUT_S = 20.0
_PIECE_BYTES = 1024 * 1024
_LIMIT_BYTES = 8192


class SmallDisk:
    """`prepare` before the server's first start, `remove` after its last end."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.folder = folder
        self._size_mb = size_mb
        self._mounted = False
        self.way: Literal["tmpfs", "file size limit"] = "file size limit"

    @property
    def postgres_settings(self) -> Mapping[str, str]:
        """Small segments of the write-ahead log, so that they fit on a small disk and a full disk shows soon."""
        return {"min_wal_size": "32MB", "max_wal_size": "48MB", "shared_buffers": "16MB"}

    def prepare(self) -> None:
        if sys.platform != "linux":
            raise LaunchError("filling a disk needs Linux (a tmpfs, or prlimit)")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() != 0:
            return
        done = self._run("mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m,mode=0700", "tmpfs", str(self.folder))
        if done.returncode == 0:
            self._mounted = True
            self.way = "tmpfs"

    def fill(self, server_pid: int) -> None:
        """From now on the server's writes fail."""
        if self._mounted:
            with self._ballast.open("wb", buffering=0) as file:
                piece = b"\0" * _PIECE_BYTES
                while piece:
                    try:
                        file.write(piece)
                    except OSError:
                        piece = piece[: len(piece) // 2]
        else:
            self._limit(server_pid, _LIMIT_BYTES)

    def make_room(self, server_pid: int | None = None) -> None:
        if self._mounted:
            self._ballast.unlink(missing_ok=True)
        elif server_pid is not None:
            self._limit(server_pid, resource.RLIM_INFINITY)

    def remove(self) -> None:
        if self._mounted and self._run("umount", str(self.folder)).returncode != 0:
            self._run("umount", "-l", str(self.folder))
        self._mounted = False

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def _limit(self, server_pid: int, size_bytes: int) -> None:
        """Set the limit on the postmaster, from which new sessions inherit it, and on the sessions that exist."""
        try:
            server = psutil.Process(server_pid)
            pids = [server_pid, *(child.pid for child in server.children(recursive=True))]
        except psutil.NoSuchProcess:
            return
        for pid in pids:
            try:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
            except ProcessLookupError:
                continue

    @staticmethod
    def _run(*command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, check=False, capture_output=True, timeout=MOUNT_TIMEOUT_S)  # noqa: S603
