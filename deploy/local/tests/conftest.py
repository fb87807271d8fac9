"""Folders that the database may use."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def temporary_folder() -> Iterator[Path]:
    """A temporary folder that the database's account can walk into; pytest's own is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="broadsheet-test-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from temporary_folder()


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """One for the whole module, where a new database for each test would only cost time."""
    yield from temporary_folder()
