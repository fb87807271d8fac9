"""The plain text of an HTML mail; pure."""

import re
from functools import cache
from typing import Final

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from broadsheet_publishing.compiling.liquid_shield import Shield
from broadsheet_publishing.compiling.markup import VOID, pieces_of

_TRAILING: Final = re.compile(r"[ \t\xa0]+$", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_INVISIBLE: Final = re.compile("[\u034f\u00ad\u200b\u200c\ufeff]+")
_BETWEEN_ROWS: Final = frozenset({"table", "tbody", "thead", "tfoot"})


def text_of_html(source: str, shield: Shield) -> str:
    """Words stand in the place of Liquid, as in `source`, in texts or alone in comments. Empty if there is
    nothing to see.
    """
    visible = _with_words_in_cells(source, shield)
    if not visible.strip():
        return ""
    text = get_text(visible, _config())
    return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", _INVISIBLE.sub("", text))).strip("\n")


def _with_words_in_cells(source: str, shield: Shield) -> str:
    """Between the rows and the cells of a table, text is no place: there, the words get a row or a cell."""
    if shield.word.search(source) is None:
        return source
    parts: list[str] = []
    stack: list[str] = []
    for piece in pieces_of(source):
        text = source[piece.start : piece.end]
        parent = stack[-1] if stack else ""
        if piece.kind == "comment":
            inner = source[piece.inner_start : piece.inner_end]
            if not shield.word.fullmatch(inner):
                continue
            text = inner
        if piece.kind == "start" and piece.name not in VOID:
            stack.append(piece.name)
        elif piece.kind == "end" and piece.name in stack:
            while stack.pop() != piece.name:
                pass
        elif piece.kind in {"comment", "text"} and shield.word.search(text):
            text = _in_cell(text, parent)
        parts.append(text)
    return "".join(parts)


def _in_cell(text: str, parent: str) -> str:
    if parent in _BETWEEN_ROWS:
        return f"<tr><td>{text}</td></tr>"
    return f"<td>{text}</td>" if parent == "tr" else text


@cache
def _config() -> ParserConfig:
    return ParserConfig(css=CSS_PROFILES["strict"], display_links=True, display_images=True)
