"""A port for a process under test, held against the other tests that run beside it.

It is never a port that the kernel assigned and that was closed again: outgoing connections get those next.
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
