"""What the source tree keeps to: who imports whom, what modules say of themselves, what must not stand anywhere."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["subscriptions", "publishing", "delivery", "gateway"]
# Put together here, so that this file does not hold what it looks for.
_FORBIDDEN_TEXTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.",
    "deb." + "debian.org",
    "archive." + "ubuntu.com",
    "cdn." + "jsdelivr",
    "unpkg" + ".com",
    "fonts.google" + "apis",
    "/" + "work/",
    "/" + "home/",
]


@cache
def _tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30)
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def _modules(*folders: str) -> Iterator[Path]:
    for path in _tracked():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders:
            yield path


def _imported(path: Path) -> set[str]:
    """Top-level packages."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_of_ours_only_itself_and_common(service: str) -> None:
    source = ROOT / "services" / service / "src"
    modules = [path for path in _modules("services") if path.is_relative_to(source)]
    assert len(modules) > 10
    for path in modules:
        ours = {name for name in _imported(path) if name.startswith("broadsheet_")}
        assert ours <= {f"broadsheet_{service}", "broadsheet_common"}, path


def test_common_and_the_sandbox_know_no_service() -> None:
    for library in ("common", "postmark_sandbox"):
        source = ROOT / "libs" / library / "src"
        for path in _modules("libs"):
            if path.is_relative_to(source):
                ours = {name for name in _imported(path) if name.startswith("broadsheet_")}
                assert ours <= {f"broadsheet_{library}"}, path


def test_the_contracts_of_import_linter_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["libs", "services", "deploy", "tests"])
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = []
    for path in _modules(folder):
        tree = ast.parse(path.read_text())
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
    assert silent == []


def test_nothing_in_the_tree_names_a_registry_or_a_path_of_one_machine() -> None:
    found = []
    for path in _tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {one}" for one in _FORBIDDEN_TEXTS if one in text]
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_module_is_longer_than_it_can_be_read(service: str) -> None:
    long = [
        (str(path.relative_to(ROOT)), lines)
        for path in _modules("services", "libs")
        if (ROOT / "services" / service in path.parents or "libs" in path.parts)
        and "src" in path.parts
        and (lines := len(path.read_text().splitlines())) > 450
    ]
    assert long == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_builds_nothing_when_it_is_imported(service: str) -> None:
    """No engine, client or app at import: only `create_app` makes them."""
    script = (
        "import sys, importlib, pkgutil\n"
        "import sqlalchemy.ext.asyncio as sa, httpx, litestar, redis.asyncio\n"
        "def fail(*a, **k): raise AssertionError('made at import')\n"
        "sa.create_async_engine = fail\n"
        "httpx.AsyncClient.__init__ = fail\n"
        "litestar.Litestar.__init__ = fail\n"
        "redis.asyncio.Redis.__init__ = fail\n"
        f"package = importlib.import_module('broadsheet_{service}')\n"
        "names = [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + '.')]\n"
        "[importlib.import_module(name) for name in names if not name.endswith('__main__')]\n"
        "print(len(names))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(re.findall(r"\d+", done.stdout)[-1]) > 10


def test_no_answer_names_its_charset_twice() -> None:
    """Litestar adds it to every type of text, also to one that has it."""
    sources = [path for place in ("services", "libs") for path in (ROOT / place).glob("*/src/**/*.py")]
    assert len(sources) > 100
    twice = [str(path) for path in sources if re.search(r"media_type=\"text/[^\"]*charset", path.read_text())]
    assert twice == []


def test_tests_read_the_audit_log_whole() -> None:
    """A gateway may chain an entry at any moment: who looks among those that wait finds it only now and then."""
    of_the_chain = {ROOT / "services/gateway/tests/audit", ROOT / "tests/architecture"}
    for path in _modules("services", "tests"):
        is_beside_a_gateway = path.is_relative_to(ROOT / "services/gateway/tests") or path.is_relative_to(
            ROOT / "tests"
        )
        if is_beside_a_gateway and not of_the_chain & {*path.parents} and path.name != "owner.py":
            assert "FROM audit." + "waiting" not in path.read_text(), f"{path}: select from harness.owner.AUDIT_LOG"
