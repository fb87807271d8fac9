r"""Cells of CSV files that spreadsheets open, pure.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a CR as a formula, so an export puts an
apostrophe before it, and an import takes that one away. A cell that has apostrophes of its own before such a character
gets one more: what is written is what is read, whatever it was.
"""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRAL = re.compile(r"'+[=+\-@\t\r]")
_SOMEWHERE_NEUTRAL = re.compile(r"'[=+\-@\t\r]")


def may_hold_neutralised(text: str) -> bool:
    """Whether one of the cells that are in this text, in any notation, may be other than `restore` would make it."""
    return _SOMEWHERE_NEUTRAL.search(text) is not None


def neutralise(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """What `neutralise` was given; any other cell as it is."""
    return cell[1:] if _NEUTRAL.match(cell) else cell
