"""The unprivileged system account that Postgres and Redis run under when we are root.

Postgres refuses to run as root, and a fault in Redis must not give a local user root's rights. As anybody else there
is nothing to do and `system_account()` is None.
The account has the name that the Postgres wheel's own helper uses. That helper is not called because it opens
every ancestor folder for reading and listing by everyone; here each gets the search bit alone.
"""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import msgspec

from broadsheet_local.errors import LaunchError

ACCOUNT_NAME = "pgserver"
FALLBACK_NAME = "nobody"
USERADD_TIMEOUT_S = 20


class Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int


def system_account(program: str) -> Account | None:
    """The account that `program` (as in "Postgres") runs under, made if it is missing; None when we are not root.

    Raises LaunchError when neither the account nor the fallback exists.
    """
    if os.geteuid() != 0:
        return None
    entry = _lookup(ACCOUNT_NAME) or _create() or _lookup(FALLBACK_NAME)
    if entry is None:
        raise LaunchError(
            f"{program} does not run as root and no account could be made for it: "
            f"create a system user named {ACCOUNT_NAME}, or run as an ordinary user"
        )
    return entry


def _lookup(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def _create() -> Account | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    # A failure may be harmless: another start may have made the account at the same moment.
    subprocess.run(  # noqa: S603 - a fixed command
        [useradd, "--system", "--no-create-home", ACCOUNT_NAME],
        check=False,
        capture_output=True,
        timeout=USERADD_TIMEOUT_S,
    )
    return _lookup(ACCOUNT_NAME)


def open_path_to(path: Path, account: Account) -> list[Path]:
    """Let the account walk down to `path` (itself included); returns the folders that were changed.

    Only the search bit for others is added, so that nobody can list a folder who could not before.
    """
    changed: list[Path] = []
    resolved = path.resolve()
    for folder in [*reversed(resolved.parents), resolved]:
        state = folder.stat()
        if state.st_uid == account.uid and state.st_mode & stat.S_IXUSR:
            continue
        if state.st_mode & stat.S_IXOTH:
            continue
        try:
            folder.chmod(stat.S_IMODE(state.st_mode) | stat.S_IXOTH)
        except OSError as error:
            raise LaunchError(
                f"the stores run as the user {account.name}, who cannot pass through {folder} ({error.strerror}): "
                "choose a --data-dir and a project folder that this user can reach"
            ) from error
        changed.append(folder)
    return changed


def open_for_reading(root: Path) -> None:
    """Let everyone read and run an installed folder (a strict umask may have closed it)."""
    for folder, _, names in os.walk(root):
        base = Path(folder)
        _add_bits(base, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
        for name in names:
            file = base / name
            runnable = file.stat().st_mode & stat.S_IXUSR
            execute = stat.S_IXGRP | stat.S_IXOTH if runnable else 0
            _add_bits(file, stat.S_IRGRP | stat.S_IROTH | execute)


def _add_bits(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)
