"""docs/access.md shows the roles as they are."""

import re
from pathlib import Path
from typing import get_args

from broadsheet_common.contracts.permissions import GRANTABLE, Permission
from broadsheet_gateway.access.roles import ROLE_PERMISSIONS
from broadsheet_gateway.api_keys.api_key import ApiKeyText

DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"


def _rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_matrix_shows_every_permission_of_every_role_as_it_is() -> None:
    header, _, *rows = _rows()
    assert header == ["permission", *ROLE_PERMISSIONS]
    shown = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}
    assert list(shown) == [name for name in get_args(Permission) if name in GRANTABLE]
    for role, permissions in ROLE_PERMISSIONS.items():
        assert {name for name, cells in shown.items() if cells[role] == "yes"} == permissions


def test_the_pattern_for_scanners_finds_every_key() -> None:
    [pattern] = set(re.findall(r"\\bbs_\S+\{43\}", DOCUMENT.read_text(encoding="utf-8")))
    for _ in range(200):
        key = ApiKeyText.generate().text
        found = re.search(pattern, f"token={key} ")
        assert found is not None
        assert found[0] == key
