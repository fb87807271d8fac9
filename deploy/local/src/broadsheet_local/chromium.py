"""`python -m broadsheet_local.chromium [pytest arguments]`: a browser for the browser tests, installed if it is
missing and we have the rights; nothing is done when the arguments leave those tests out.

Exit: 0 with the program's path on standard output, 1 with what to do on standard error.
"""

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from broadsheet_local.errors import LaunchError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# The font package too: without any font a page renders as empty boxes.
PACKAGES = ("chromium", "fonts-dejavu-core")
DRIVER_PACKAGE = "libatomic1"
INSTALL_TIMEOUT_S = 600
WITHOUT = 'the browser tests need Chromium or Chrome; to leave them out: ./run test -m "not browser"'


def find() -> Path | None:
    """The program that CHROMIUM names, else the first known one; None when there is none.

    Raises LaunchError when CHROMIUM is set to something that is not a program.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        program = shutil.which(named)
        if program is None:
            raise LaunchError(f"CHROMIUM is set to {named}, which is not a program")
        return Path(program)
    for candidate in (*NAMES, *MAC_APPLICATIONS):
        program = shutil.which(candidate)
        if program is not None:
            return Path(program)
    return None


def find_or_install() -> Path:
    """The browser, and what the program that drives it is linked against.

    Raises LaunchError that says what to do when something is missing and cannot be installed.
    """
    program = find()
    if program is not None and not _lacks_driver_library():
        return program
    missing = "Chromium" if program is None else "libatomic"
    apt_get = shutil.which("apt-get")
    if apt_get is None or os.geteuid() != 0:
        raise LaunchError(
            f"no {missing} here; {WITHOUT}\n"
            "(to have them: install chromium and libatomic with the system's package manager, or set CHROMIUM to the "
            "browser's path)"
        )
    packages = (*(PACKAGES if program is None else ()), *((DRIVER_PACKAGE,) if _lacks_driver_library() else ()))
    sys.stderr.write(f"broadsheet: no {missing} here, installing {' '.join(packages)} with apt-get\n")
    apt([apt_get, "update"])
    apt([apt_get, "install", "--yes", "--no-install-recommends", *packages])
    program = find()
    if program is None:
        raise LaunchError(f"apt-get installed chromium, but there is no such program; {WITHOUT}")
    return program


def _lacks_driver_library() -> bool:
    """Playwright's Node is linked against libatomic, which a bare Debian has not."""
    return sys.platform == "linux" and ctypes.util.find_library("atomic") is None


def apt(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{' '.join(command)} did not end within {INSTALL_TIMEOUT_S} s; {WITHOUT}") from None
    if done.returncode != 0:
        raise LaunchError(f"{' '.join(command)} failed; {WITHOUT}\n{done.stdout[-2000:]}")


def main() -> None:
    if any("not browser" in argument for argument in sys.argv[1:]):
        return
    try:
        sys.stdout.write(f"{find_or_install()}\n")
    except LaunchError as error:
        sys.stderr.write(f"broadsheet: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
