"""Every action that the audit log knows is recorded somewhere: what nobody records, a reader would look for in vain."""

import ast
import re
from pathlib import Path
from typing import Final

from broadsheet_common.contracts.audit import AUDIT_ACTIONS

ROOT = Path(__file__).resolve().parents[2]
RECORDING: Final = frozenset({"record_audit", "NewEntry", "record_step"})
ACTION: Final = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}")
CONTRACT = ROOT / "libs/common/src/broadsheet_common/contracts/audit.py"


def test_every_action_is_recorded_by_a_service() -> None:
    sources = [path for folder in ("services", "libs") for path in (ROOT / folder).glob("*/src/**/*.py")]
    text = "\n".join(path.read_text() for path in sources if path != CONTRACT)
    assert sorted(action for action in AUDIT_ACTIONS if f'"{action}"' not in text) == []


def test_every_action_that_a_service_records_is_one_that_there_is() -> None:
    """So that a page that has words for all that there are (`ACTION_WORDS`) has them for all that is written."""
    unknown = set()
    for folder in ("services", "libs"):
        for path in (ROOT / folder).glob("*/src/**/*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RECORDING:
                    given = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
                    unknown |= {one for one in given if isinstance(one, str) and ACTION.fullmatch(one)} - AUDIT_ACTIONS
    assert unknown == set()
    # The database takes entries from that one function, and nothing else calls it.
    callers = [
        path.name
        for path in ROOT.glob("*/*/src/**/*.*")
        if path.suffix in {".py", ".sql"} and re.search(r"SELECT audit\.record\(", path.read_text())
    ]
    assert callers == [CONTRACT.name]
