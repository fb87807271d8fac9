"""Every action that the audit log knows is recorded somewhere: what nobody records, a reader would look for in vain."""

from pathlib import Path

from broadsheet_common.contracts.audit import AUDIT_ACTIONS

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "libs/common/src/broadsheet_common/contracts/audit.py"


def test_every_action_is_recorded_by_a_service() -> None:
    sources = [path for folder in ("services", "libs") for path in (ROOT / folder).glob("*/src/**/*.py")]
    text = "\n".join(path.read_text() for path in sources if path != CONTRACT)
    assert sorted(action for action in AUDIT_ACTIONS if f'"{action}"' not in text) == []
