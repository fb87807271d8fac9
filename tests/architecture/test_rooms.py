"""The folders of a service: SQL stands in its stores, a store is imported in its own folder only, and no folder grows
too large. What others may use of a folder's stores is named in its `interface`.

The folders of tests neither, and they have the names of the folders that they test.
"""

import ast
import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("delivery", "gateway", "publishing", "subscriptions")
PACKAGES = {
    **{f"broadsheet_{service}": ROOT / "services" / service / "src" / f"broadsheet_{service}" for service in SERVICES},
    "broadsheet_common": ROOT / "libs/common/src/broadsheet_common",
    "broadsheet_postmark_sandbox": ROOT / "libs/postmark_sandbox/src/broadsheet_postmark_sandbox",
    "broadsheet_local": ROOT / "deploy/local/src/broadsheet_local",
}
TESTS = sorted(path for path in (*ROOT.glob("*/*/tests"), ROOT / "tests") if path.is_dir())
TESTS_OF_ALL_ROOMS = {
    "services/publishing/tests/fuzz": "asks every route of the service's document",
    "services/subscriptions/tests/fuzz": "asks every route of the service's document",
}
"""Folders of a part's tests that are about no one room."""
MODULES_MAX = 16
"""Modules of one folder beside its `__init__`: "about fifteen"."""
SQL_ELSEWHERE = {
    "delivery": {},
    "gateway": {},
    "publishing": {},
    "subscriptions": {
        "segments/compile_filter.py": "turns a filter into SQL: that is its purpose",
        "subscribers/change_source.py": "one setting of the transaction, which triggers read",
        "subscribers/list_subscribers.py": "puts a compiled filter into the list's query",
        "personal_data/waiting_files.py": "reads and rewrites large objects piece by piece",
    },
}
_STATEMENTS = {"text", "select", "insert", "update", "delete"}
_WIRING = {"tables", "app"}
"""`tables` declares constraints in SQL; `app` makes the engine."""


def modules_of(package: str) -> Iterator[Path]:
    return (path for path in sorted(PACKAGES[package].rglob("*.py")) if path.stem != "__init__")


def is_store(stem: str) -> bool:
    return stem == "store" or stem.endswith(("_store", "_sql"))


def sql_in(source: str) -> list[int]:
    """The lines that make a statement of SQLAlchemy's: `sa.text(…)`, `text(…)` and their like."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
        if alias.name in _STATEMENTS
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="sa" | "sqlalchemy"), attr=attr) if attr in _STATEMENTS:
                found.append(node.lineno)
            case ast.Name(id=name) if name in names:
                found.append(node.lineno)
    return found


def test_sql_in_is_found_however_it_is_written() -> None:
    assert sql_in("import sqlalchemy as sa\nsa.text('SELECT 1')\n") == [2]
    assert sql_in("from sqlalchemy import text as t\n\nt('SELECT 1')\n") == [3]
    assert sql_in("from html import text\ntext('hello')\n") == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_holds_more_modules_than_a_reader_takes_in(package: str) -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules_of(package))
    assert {folder: count for folder, count in counts.items() if count > MODULES_MAX} == {}


@pytest.mark.parametrize("tests", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_folder_of_tests_holds_more_modules_than_a_reader_takes_in(tests: Path) -> None:
    counts = Counter(
        path.parent.relative_to(ROOT).as_posix() for path in tests.rglob("*.py") if path.stem != "__init__"
    )
    assert counts
    assert {folder: count for folder, count in counts.items() if count > MODULES_MAX} == {}


def test_a_folder_of_tests_has_the_name_of_the_room_that_it_tests() -> None:
    nameless = []
    for package in PACKAGES.values():
        tests = package.parents[1] / "tests"
        nameless += [
            folder.relative_to(ROOT).as_posix()
            for folder in sorted({path.parent for path in tests.rglob("*.py")} - {tests})
            if not (package / folder.relative_to(tests)).is_dir()
        ]
    assert nameless == sorted(TESTS_OF_ALL_ROOMS)


@pytest.mark.parametrize("service", SERVICES)
def test_sql_stands_in_stores(service: str) -> None:
    package = f"broadsheet_{service}"
    elsewhere = {
        path.relative_to(PACKAGES[package]).as_posix()
        for path in modules_of(package)
        if not is_store(path.stem)
        and path.stem not in _WIRING
        and "tables" not in path.relative_to(PACKAGES[package]).parts
        and sql_in(path.read_text(encoding="utf-8"))
    }
    assert elsewhere == set(SQL_ELSEWHERE[service])


def imports_of(source: str) -> set[str]:
    """Whatever a module imports, as dotted names: `a.b` and, of `from a import b`, `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                found |= {module, *(f"{module}.{alias.name}" for alias in names)}
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case _:
                pass
    return found


def stores_of_others(package: str, room: str | None, source: str) -> list[str]:
    """The stores of other folders that a module imports. Texts in `…_sql` may be shared. `room`: None for the root."""
    found = []
    for name in imports_of(source):
        parts = name.split(".")
        of_another = parts[0] == package and len(parts) > 2 and parts[1] != room
        if of_another and any(part == "store" or part.endswith("_store") for part in parts[2:]):
            found.append(name)
    return sorted(found)


def test_a_store_of_another_folder_is_found_however_it_is_imported() -> None:
    for line in (
        "from broadsheet_x.queue.chunk_store import lease",
        "from broadsheet_x.queue import chunk_store",
        "from broadsheet_x.queue import chunk_store as queue",
        "import broadsheet_x.queue.chunk_store",
        "def f():\n    from broadsheet_x.queue.deeper.store import lease",
    ):
        assert stores_of_others("broadsheet_x", "sending", line), line
        assert stores_of_others("broadsheet_x", None, line), line
        assert stores_of_others("broadsheet_x", "queue", line) == [], line
    assert stores_of_others("broadsheet_x", "sending", "from broadsheet_x.queue.interface import lease") == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_store_is_imported_in_its_own_folder_only(service: str) -> None:
    package = f"broadsheet_{service}"
    reached = {
        path.relative_to(ROOT).as_posix(): stores
        for path in modules_of(package)
        if (stores := stores_of_others(package, room_of(package, path), path.read_text(encoding="utf-8")))
    }
    assert reached == {}


@pytest.mark.parametrize("service", SERVICES)
def test_an_interface_names_what_others_use_and_nothing_else(service: str) -> None:
    package = f"broadsheet_{service}"
    offered, used = set(), set()
    for path in modules_of(package):
        room = room_of(package, path)
        source = path.read_text(encoding="utf-8")
        if path.stem == "interface":
            module = importlib.import_module(f"{package}.{room}.interface")
            offered |= {f"{package}.{room}.interface.{name}" for name in module.__all__}
        # A module taken whole, as `from …attributes import interface`, shows its names where they are used.
        whole = {name.removesuffix(".interface") for name in imports_of(source) if name.endswith(".interface")}
        names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        used |= {
            name
            for name in (*imports_of(source), *(f"{one}.interface.{attr}" for one in whole for attr in names))
            if f"{package}.{room}.interface" not in name
        }
    assert offered
    assert offered - used == set()


def room_of(package: str, path: Path) -> str | None:
    parts = path.relative_to(PACKAGES[package]).parts
    return parts[0] if len(parts) > 1 else None
