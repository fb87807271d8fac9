"""docs/security.md names tests that exist."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security.md"
CHAPTERS = 17


@cache
def _test_names() -> frozenset[str]:
    folders = [ROOT / "tests", *ROOT.glob("services/*/tests"), *ROOT.glob("libs/*/tests"), *ROOT.glob("deploy/*/tests")]
    files = [file for folder in folders for file in folder.rglob("test_*.py")]
    names = {name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))}
    return frozenset(names | {file.name for file in files})


def _rows() -> list[list[str]]:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| V")]


def test_every_chapter_of_the_standard_has_its_row() -> None:
    assert [row[0].split()[0] for row in _rows()] == [f"V{number}" for number in range(1, CHAPTERS + 1)]
    assert all(len(row) == 4 for row in _rows())


def test_every_test_that_it_names_exists() -> None:
    named = re.findall(r"`(test_\w+(?:\.py)?)`", DOCUMENT.read_text(encoding="utf-8"))
    assert len(named) > 20
    assert set(named) - _test_names() == set()
