"""A port for a process under test, held against the other tests that run beside it.

Never one that the kernel gave and that was closed again: those are the ones outgoing connections get next.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from broadsheet_local.embedded.ports import hold_free_port


@contextmanager
def held_port() -> Iterator[int]:
    held = hold_free_port()
    try:
        yield held.number
    finally:
        held.release()
