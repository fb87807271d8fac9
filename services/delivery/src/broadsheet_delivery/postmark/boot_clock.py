"""The clock that a call and its lease are measured by inside one process.

`time.monotonic` stands still while a machine is suspended (Linux: `CLOCK_MONOTONIC`, macOS: `mach_absolute_time`), and
the database's clock, by which leases run out, does not. Linux has `CLOCK_BOOTTIME` for this (clock_gettime(2)); on
macOS `CLOCK_MONOTONIC` itself counts sleep (clock_gettime(3) there).
"""

import sys
import time
from typing import Final

_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC if sys.platform == "darwin" else None)


def boot_time_s() -> float:
    """Seconds, never decreasing; includes the time that the machine was suspended, where the system counts it."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
