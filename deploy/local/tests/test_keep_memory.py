"""A sender keeps the memory that a batch has used, because of the environment that the launcher and the image set."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from broadsheet_local.environment import KEEP_FREED_MEMORY

DOCKERFILE = Path(__file__).parents[2] / "docker" / "Dockerfile"

# Allocates and frees a batch repeatedly, and prints how many page faults that took.
_SCRIPT = """
import resource
[b"x" * 10_000 for _ in range(2_000)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    [b"x" * 10_000 for _ in range(2_000)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**malloc: str) -> int:
    others = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=others | malloc, check=True, capture_output=True, text=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.process
@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="the C library is not glibc")
def test_a_batch_that_was_let_go_is_not_taken_from_the_kernel_anew() -> None:
    assert page_faults(**KEEP_FREED_MEMORY) * 10 < page_faults()


def test_the_image_of_delivery_says_the_same_as_the_launcher() -> None:
    _, _, stage = DOCKERFILE.read_text().partition("FROM serving AS delivery\n")
    said = dict(re.findall(r"(MALLOC_\w+)=(\d+)", stage.partition("\nFROM ")[0]))
    assert said == KEEP_FREED_MEMORY
