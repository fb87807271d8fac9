"""Let the process keep the memory that a batch of mails has used, for the next one.

A batch is some megabytes, built up and let go several times a second. glibc gives such memory back to the kernel each
time and takes it again page by page, which cost a sender 15 µs a mail (docs/benchmarks.md). What is kept is bounded,
and is memory that the process needs again at once.

Source: mallopt(3).
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES_MAX = 96 * 1024 * 1024
_TAKEN_AT_ONCE_BYTES = 8 * 1024 * 1024
_MMAP_FROM_BYTES = 32 * 1024 * 1024
"""The largest that glibc takes; larger blocks go back to the kernel when they are freed."""


def keep_freed_memory() -> bool:
    """Whether the C library could be told; nothing changes where it is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has no such function
        return False
    return all(
        mallopt(parameter, value) == 1
        for parameter, value in (
            (_M_TRIM_THRESHOLD, _KEPT_BYTES_MAX),
            (_M_TOP_PAD, _TAKEN_AT_ONCE_BYTES),
            (_M_MMAP_THRESHOLD, _MMAP_FROM_BYTES),
        )
    )
