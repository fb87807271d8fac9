"""A problem type that every service shares is declared once, in common: a second declaration could drift."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_DECLARED = re.compile(r"^    slug(?:, \w+)* = \"([a-z-]+)\"", re.MULTILINE)


def declared_in(folder: str) -> dict[str, list[str]]:
    """Files by the problem type that they declare."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "tests" not in path.parts:
            for slug in _DECLARED.findall(path.read_text(encoding="utf-8")):
                found.setdefault(slug, []).append(str(path.relative_to(ROOT)))
    return found


def test_no_service_declares_a_type_that_common_has() -> None:
    common = declared_in("libs/common/src")
    assert {"not-found", "method-not-allowed", "too-many-requests"} <= set(common)
    assert {slug: files for slug, files in declared_in("services").items() if slug in common} == {}


def test_common_declares_each_type_once() -> None:
    assert {slug: files for slug, files in declared_in("libs/common/src").items() if len(files) > 1} == {}
