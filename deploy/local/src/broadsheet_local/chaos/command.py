"""The command line of chaos, checked."""

import argparse
import os
import sys

from broadsheet_local.chaos.catalogue import FAULTS
from broadsheet_local.chaos.run import ChaosOptions
from broadsheet_local.errors import LaunchError

JOBS_A_CORE = 2
JOBS_DEFAULT_MAX = 8


def chosen_options(parsed: argparse.Namespace) -> ChaosOptions:
    """Raises LaunchError for a fault that is not known. `--fault list` prints the names and ends the process."""
    names = {fault.name: fault for fault in FAULTS}
    wanted: list[str] = parsed.fault or list(names)
    if "list" in wanted:
        sys.stdout.write("".join(f"{name}\n" for name in names))
        raise SystemExit(0)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise LaunchError(f"no such fault: {', '.join(unknown)} (`--fault list` shows them all)")
    jobs = parsed.jobs or min(JOBS_DEFAULT_MAX, JOBS_A_CORE * (os.cpu_count() or 1))
    return ChaosOptions(
        faults=[names[name] for name in dict.fromkeys(wanted)],
        seeds=parsed.seeds,
        seed_from=parsed.seed_from,
        jobs=jobs,
        as_json=parsed.json,
        keep=parsed.keep,
    )
