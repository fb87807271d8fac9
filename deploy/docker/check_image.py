# ruff: noqa: INP001  # a script, not a package
"""Run by the image build: the image of a part holds that part, and of the rest of Broadsheet only what it may.

Usage: check_image.py SERVICE. Exit status 1, with the reason, when something is missing, too much, or at odds.
"""

import importlib
import pkgutil
import subprocess
import sys
from importlib import metadata

ALONE = frozenset({"migrations", "postmark-sandbox"})
PREFIX = "broadsheet-"


def allowed_parts(service: str) -> set[str]:
    """The distributions of ours that the image of `service` holds, no more and no fewer."""
    return {PREFIX + service} if service in ALONE else {PREFIX + service, f"{PREFIX}common"}


def module_name(distribution: str) -> str:
    return distribution.replace("-", "_")


def main(service: str) -> None:
    allowed = allowed_parts(service)
    installed = {name for found in metadata.distributions() if (name := found.metadata["Name"]).startswith(PREFIX)}
    importable = {module.name for module in pkgutil.iter_modules() if module.name.startswith(module_name(PREFIX))}
    if installed != allowed:
        sys.exit(f"check_image: installed are {sorted(installed)}, not {sorted(allowed)}")
    if importable != {module_name(name) for name in allowed}:
        sys.exit(f"check_image: importable are {sorted(importable)}, where only {sorted(allowed)} may be")
    # The lock is complete: the part's entry module and all that it imports load.
    importlib.import_module(f"{module_name(PREFIX + service)}.__main__")
    if service in ALONE:
        return
    # It starts, as far as it can without settings: status 2, and the first missing variable is named.
    done = subprocess.run(  # noqa: S603  # the part itself
        [sys.executable, "-m", module_name(PREFIX + service)],
        env={},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 2 or "DATABASE_URL is not set" not in done.stderr:  # noqa: PLR2004  # the documented status
        sys.exit(f"check_image: without settings it ended with {done.returncode}: {done.stderr}")


if __name__ == "__main__":
    main(sys.argv[1])
