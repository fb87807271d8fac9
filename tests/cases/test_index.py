"""README.md names the test of each case: one that is renamed or removed must be noticed."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| (?P<case>[^|]+) \|(?: [^|]+ \|)? `(?P<file>[\w/]+\.py)::(?P<test>test_\w+)` \|$", re.MULTILINE)
CASES = {str(number) for number in range(1, 26)}
AUTHOR_CASES = {f"author-{number}" for number in range(1, 34) if number not in {6, 7, 9}}
"""All but those that are about pages of the editor."""
_QUEUE_CASES_MIN = 11


def _rows() -> list[tuple[str, str, str]]:
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    return [(row["case"], row["file"], row["test"]) for row in _ROW.finditer(text)]


def _tests_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_case_has_its_tests_and_they_are_there() -> None:
    rows = _rows()
    missing = [f"{file}::{test}" for _, file, test in rows if test not in _tests_in(ROOT / file)]
    assert missing == []
    named = {case for case, _, _ in rows}
    assert named >= CASES | AUTHOR_CASES
    assert len(named - CASES - AUTHOR_CASES) >= _QUEUE_CASES_MIN


def test_every_row_of_the_tables_names_a_test() -> None:
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| case", "| ---"))]
    assert len(rows) == len(_rows())


def test_no_test_of_a_case_is_left_out() -> None:
    here = {
        "services/publishing/tests/checks/test_authoring_cases.py",
        "tests/cases/test_archive.py",
        "tests/cases/test_arriving.py",
        "tests/cases/test_cases.py",
        "tests/cases/test_files_of_people.py",
        "tests/cases/test_mails_from_outside.py",
        "tests/cases/test_pages.py",
        "tests/queue/test_queue_cases.py",
    }
    named = {(file, test) for _, file, test in _rows()}
    found = {(file, test) for file in here for test in _tests_in(ROOT / file) if test.startswith("test_")}
    assert found - named == set()
