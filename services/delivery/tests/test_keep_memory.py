"""Freed memory stays with the process, up to a bound; elsewhere than on glibc nothing happens."""

import subprocess
import sys

import pytest

from broadsheet_delivery import keep_memory

# A batch is built up and let go again and again; how many pages the kernel had to hand over meanwhile.
_SCRIPT = """
import resource
from broadsheet_delivery.keep_memory import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
[b"x" * 10_000 for _ in range(2_000)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    [b"x" * 10_000 for _ in range(2_000)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, kept: bool) -> int:
    command = [sys.executable, "-c", _SCRIPT.format(kept=kept)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.mark.process
@pytest.mark.skipif(not keep_memory.keep_freed_memory(), reason="the C library is not glibc")
def test_a_batch_that_was_let_go_is_not_taken_from_the_kernel_anew() -> None:
    assert faults(kept=True) * 10 < faults(kept=False)


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory.keep_freed_memory() is False
