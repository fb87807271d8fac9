r"""Cells of CSV files that are opened in spreadsheets, pure.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or a CR as a formula. So an export puts an
apostrophe before it, and an import removes that apostrophe. A cell that already has apostrophes before such a
character gets one more, so that every cell is read back as it was written.
"""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRAL = re.compile(r"'+[=+\-@\t\r]")
_SOMEWHERE_NEUTRAL = re.compile(r"'[=+\-@\t\r]")


def may_hold_neutralised(text: str) -> bool:
    """Whether `restore` may change some cell of this text, however the file quotes or separates its cells."""
    return _SOMEWHERE_NEUTRAL.search(text) is not None


def neutralise(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """The cell that was given to `neutralise`; any other cell unchanged."""
    return cell[1:] if _NEUTRAL.match(cell) else cell
