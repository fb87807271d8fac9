"""The documents name what is there: a file that moves must be moved in them too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FILE_NAME = re.compile(r"`[^`\s]*?([A-Za-z0-9_.-]+\.(?:py|sql|html|yml|toml))`")
_LINK = re.compile(r"\]\(([^)#:]+)\)")


def names_of_files_in_the_tree() -> set[str]:
    skipped = {".venv", ".tools", ".git", ".data"}
    return {path.name for path in ROOT.rglob("*") if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = set(_FILE_NAME.findall(document.read_text(encoding="utf-8")))
    assert named - names_of_files_in_the_tree() == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target
