"""The documents name what is there: a file that moves must be moved in them too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_FILE_NAME = re.compile(r"`([^`\s]*[A-Za-z0-9_-]\.(?:py|sql|html|css|js|yml|toml))`")
_FOLDER_NAME = re.compile(r"`([a-z_.-]+/[^`\s…*{}<>$]*/)`")
_LINK = re.compile(r"\]\(([^)#:]+)\)")
# A path in a document begins at the root of the repository, or with the name of a part.
PARTS = {
    "delivery": "services/delivery/src/broadsheet_delivery",
    "gateway": "services/gateway/src/broadsheet_gateway",
    "publishing": "services/publishing/src/broadsheet_publishing",
    "subscriptions": "services/subscriptions/src/broadsheet_subscriptions",
    "common": "libs/common/src/broadsheet_common",
    "sandbox": "libs/postmark_sandbox/src/broadsheet_postmark_sandbox",
    "migrations": "deploy/migrations/src/broadsheet_migrations",
    "local": "deploy/local/src/broadsheet_local",
}
_PAGE_VIEW = re.compile(r"^class (\w+)\((?:PageView|AdminPageView|ReaderPageView|NewsletterPageView)\b", re.MULTILINE)
BASES_OF_PAGES = {"AdminPageView", "ReaderPageView", "NewsletterPageView"}
_TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
_NAMED_TEST = re.compile(r"`(test_\w+)`")
# Names of a kind of file, not of one: the words of ARCHITECTURE about how a room is laid out.
KINDS = {"api.py", "app.py", "settings.py", "store.py", "tables.py", "routes.py"}


def in_the_tree(named: str) -> bool:
    part, _, rest = named.partition("/")
    return (ROOT / named).exists() or (part in PARTS and (ROOT / PARTS[part] / rest).exists())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = {*_FILE_NAME.findall(text), *_FOLDER_NAME.findall(text)} - KINDS
    assert [path for path in sorted(named) if not in_the_tree(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_table_of_pages_has_every_page_and_tests_that_are_there() -> None:
    text = (ROOT / "docs/pages.md").read_text(encoding="utf-8")
    views = {
        found
        for path in (ROOT / PARTS["gateway"]).rglob("*.py")
        for found in _PAGE_VIEW.findall(path.read_text(encoding="utf-8"))
        if found not in BASES_OF_PAGES
    }
    assert len(views) > 50, "pages are found"
    assert {view for view in views if f"`{view}`" not in text} == set()
    known = {
        name
        for path in ROOT.glob("**/tests/**/test_*.py")
        if ".venv" not in path.parts
        for name in _TEST.findall(path.read_text(encoding="utf-8"))
    }
    assert [name for name in _NAMED_TEST.findall(text) if name not in known] == []
