"""The folders of a service: SQL stands in its stores, a store belongs to its folder, and no folder grows too large.

The folders of tests neither, and they have the names of the folders that they test.
"""

import ast
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
    "services/subscriptions/tests/fuzz": "asks every route of the service's document",
}
"""Folders of a part's tests that are about no one room."""
MODULES_MAX = 16
"""Modules of one folder beside its `__init__`: "about fifteen"."""
MAY_USE = {
    # A use case that touches two folders' rows in one transaction uses the other's store; each pair is named here.
    "delivery": {
        ("erasure", "events"): "an erasure takes the person out of recorded events",
        ("events", "erasure"): "an event about an erased address is kept under its hash",
        ("events", "queue"): "an event settles the delivery it is about",
        ("events", "suppressions"): "a bounce or a complaint suppresses in the event's transaction",
        ("preflight", "suppressions"): "a new stream takes over what is suppressed on all streams",
        ("preflight", "throttle"): "a stream that does not fit pauses its issue",
        ("queue", "throttle"): "a claim takes its permit in the same transaction",
        ("reporting", "retention"): "a list says that what it would show was removed",
        ("reporting", "settling"): "a delivery's page shows what was decided about it",
        ("retention", "erasure"): "hashes of erased addresses are removed when they are old",
        ("senders", "preflight"): "the senders' page lists issues that wait for their preflight",
        ("senders", "throttle"): "the senders' page shows and sets the sending state",
        ("sending", "queue"): "sending starts, ends and splits chunks and mails",
        ("sending", "throttle"): "a call's end is noted for all replicas with its result",
        ("settling", "queue"): "settling changes chunks, mails and attempts",
        ("settling", "retention"): "a retry refuses what was removed",
        ("settling", "throttle"): "resuming and sending again wake the replicas",
        ("suppressions", "erasure"): "an erased address is suppressed under its hash",
        ("suppressions", "events"): "lifting a suppression asks for the backstop's next turn",
        ("throttle", "preflight"): "the gauges count issues that wait for their preflight",
    },
    "gateway": {
        ("api_keys", "accounts"): "a key belongs to a user",
        ("author", "accounts"): "an issue's page names its author",
        ("author", "api_keys"): "an issue's page names the key that wrote it",
    },
    "publishing": {
        ("issues", "fan_out"): "publishing looks whether there is an audience",
        ("issues", "newsletters"): "an issue belongs to a newsletter",
        ("schedule", "issues"): "a schedule is part of an issue's row",
    },
    "subscriptions": {
        ("background", "preferences"): "pruning removes links that have expired",
        ("consent", "subscribers"): "the record of one subscriber",
        ("exports", "attributes"): "columns of an export",
        ("imports", "attributes"): "columns of an import",
        ("imports", "sign_up"): "imported people are asked to confirm as a sign-up is",
        ("leaving", "subscribers"): "an operator unsubscribes a subscriber by id",
        ("personal_data", "imports"): "an erasure looks through waiting files",
        ("personal_data", "sign_up"): "an erasure removes the mailbox's quota",
        ("preferences", "leaving"): "the preference page unsubscribes",
        ("segments", "attributes"): "a filter is checked against the types of attributes",
        ("sign_up", "consent"): "a sign-up writes its consent entry",
        ("sign_up", "subscribers"): "a sign-up makes the subscriber",
        ("subscribers", "attributes"): "a subscriber's attributes",
    },
}
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


def stores_of_others(package: str, path: Path) -> list[str]:
    """The stores of other folders of the same service that a module imports. Texts in `…_sql` may be shared."""
    room = path.relative_to(PACKAGES[package]).parts[0]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                imported = [module, *(f"{module}.{alias.name}" for alias in names)]
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case _:
                continue
        for name in imported:
            parts = name.split(".")
            if parts[0] != package or len(parts) < 3:  # package, room, module
                continue
            stem = next((part for part in parts[2:] if part == "store" or part.endswith("_store")), None)
            if stem is not None and parts[1] != room and name.endswith(stem):
                found.append(name)
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_store_is_used_in_its_own_folder_or_by_a_named_one(service: str) -> None:
    package = f"broadsheet_{service}"
    reached = {
        (path.relative_to(PACKAGES[package]).parts[0], name.split(".")[1])
        for path in modules_of(package)
        if len(path.relative_to(PACKAGES[package]).parts) > 1
        for name in stores_of_others(package, path)
    }
    assert reached == set(MAY_USE[service])
