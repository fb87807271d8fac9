"""The plain text of a Markdown issue, from the parser's tokens; pure."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from markdown_it.token import Token

from broadsheet_publishing.compiling.html_text import text_of_html
from broadsheet_publishing.compiling.liquid_shield import Shield
from broadsheet_publishing.compiling.markdown_html import LIQUID_BLOCK
from broadsheet_publishing.compiling.markup import attributes_of, pieces_of

_RULE: Final = "* * *"
_UNDERLINES: Final = {"h1": "=", "h2": "-"}
_UNDERLINE_CHARS_MAX: Final = 60
_FIELD_CHARS: Final = 10
"""How long a merge field is taken to be, where the length of a line matters."""
_COLUMN_CHARS_MAX: Final = 30
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def text_of_markdown(tokens: Sequence[Token], shield: Shield) -> str:
    """Words stand in the place of Liquid, as in the tokens."""
    return _BLANK_LINES.sub("\n\n", "\n\n".join(_Writer(tokens, shield).blocks())).strip()


class _Writer:
    def __init__(self, tokens: Sequence[Token], shield: Shield) -> None:
        self._tokens = tokens
        self._shield = shield
        self._at = 0

    def blocks(self, closing: str | None = None) -> list[str]:
        """The blocks up to the token `closing`, which is passed. Liquid tags between blocks begin the next one, so that
        a branch that is not taken leaves no blank lines.
        """
        found: list[str] = []
        tags = ""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.type == closing:
                break
            if token.type == LIQUID_BLOCK:
                tags += token.content
            elif block := self._block(token):
                found.append(f"{tags}{block}")
                tags = ""
        return [*found, tags] if tags else found

    def _block(self, token: Token) -> str:
        match token.type:
            case "inline":
                return self._inline(token)
            case "heading_open":
                text = "\n".join(self.blocks("heading_close"))
                underline = _UNDERLINES.get(token.tag)
                return f"{text}\n{underline * min(self._length(text), _UNDERLINE_CHARS_MAX)}" if underline else text
            case "fence" | "code_block":
                return _prefixed(token.content.rstrip("\n"), "    ", "    ")
            case "hr":
                return _RULE
            case "html_block":
                return text_of_html(token.content, self._shield)
            case "table_open":
                return self._table()
            case _:
                return self._holder(token)

    def _holder(self, token: Token) -> str:
        """A block that holds others. Paragraphs and the like are nothing of their own: their text follows."""
        match token.type:
            case "blockquote_open":
                return _prefixed("\n\n".join(self.blocks("blockquote_close")), "> ", "> ")
            case "bullet_list_open":
                return self._list("bullet_list_close", lambda _: "- ")
            case "ordered_list_open":
                first = int(token.attrGet("start") or 1)
                return self._list("ordered_list_close", lambda number: f"{first + number}. ")
            case "footnote_block_open":
                return "\n\n".join([_RULE, *self.blocks("footnote_block_close")])
            case "footnote_open":
                number = int(token.meta.get("id", 0)) + 1
                return _prefixed("\n\n".join(self.blocks("footnote_close")), f"[{number}] ", "    ")
            case _:
                return ""

    def _list(self, closing: str, bullet: Callable[[int], str]) -> str:
        items: list[str] = []
        is_loose = False
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.type == closing:
                break
            if token.type == "list_item_open":
                is_loose = is_loose or any(
                    one.type == "paragraph_open" and not one.hidden for one in self._tokens[self._at : self._at + 1]
                )
                mark = bullet(len(items))
                items.append(_prefixed("\n".join(self.blocks("list_item_close")), mark, " " * len(mark)))
        return ("\n\n" if is_loose else "\n").join(items)

    def _table(self) -> str:
        rows: list[tuple[str, list[str]]] = []
        tags = ""
        heads = 0
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append((tags, []))
                tags = ""
            elif token.type == "thead_close":
                heads = len(rows)
            elif token.type == "inline" and rows:
                rows[-1][1].append(self._inline(token).replace("\n", " "))
            elif token.type == LIQUID_BLOCK:
                tags += token.content
        columns = max((len(row) for _, row in rows), default=0)
        widths = [
            min(_COLUMN_CHARS_MAX, max(self._length(row[column]) for _, row in rows if column < len(row)))
            for column in range(columns)
        ]
        lines: list[str] = []
        for number, (before, row) in enumerate(rows, start=1):
            padded = [cell + " " * (width - self._length(cell)) for cell, width in zip(row, widths, strict=False)]
            # A branch begins with the line's break, so that one that is not taken leaves no blank line.
            if lines:
                lines[-1] += before
            lines.append(" | ".join(padded).rstrip())
            if number == heads:
                lines.append("-+-".join("-" * width for width in widths))
        return "\n".join(lines) + tags

    def _inline(self, token: Token) -> str:
        parts: list[str] = []
        links: list[tuple[int, str]] = []
        for child in token.children or ():
            match child.type:
                case "text" | "code_inline" | "text_special":
                    parts.append(child.content)
                case "softbreak" | "hardbreak":
                    parts.append("\n")
                case "image":
                    alt = "".join(one.content for one in child.children or ())
                    parts.append(f"[{alt}]" if alt else "")
                case "link_open":
                    links.append((len(parts), str(child.attrGet("href") or "")))
                case "link_close" if links:
                    parts.append(_address(parts, *links.pop()))
                case "footnote_ref":
                    parts.append(f"[{int(child.meta.get('id', 0)) + 1}]")
                case "html_inline":
                    self._html_inline(child.content, parts, links)
                case _:
                    # Emphasis has no sign in plain text.
                    pass
        return "".join(parts).strip()

    def _html_inline(self, markup: str, parts: list[str], links: list[tuple[int, str]]) -> None:
        for piece in pieces_of(markup):
            if piece.kind == "start" and piece.name == "br":
                parts.append("\n")
            elif piece.kind == "start" and piece.name == "img":
                alt = next((one.text for one in attributes_of(markup, piece) if one.name == "alt"), "")
                parts.append(f"[{alt}]" if alt else "")
            elif piece.kind == "start" and piece.name == "a":
                href = next((one.text for one in attributes_of(markup, piece) if one.name == "href"), "")
                links.append((len(parts), href))
            elif piece.kind == "end" and piece.name == "a" and links:
                parts.append(_address(parts, *links.pop()))

    def _length(self, text: str) -> int:
        return len(self._shield.word.sub(" " * _FIELD_CHARS, text))


def _address(parts: list[str], start: int, href: str) -> str:
    """What follows a link's words: its address, unless they are it already."""
    words = "".join(parts[start:]).strip()
    shown = href.removeprefix("mailto:")
    if not href or href.startswith("#") or words in {href, shown, shown.removeprefix("http://")}:
        return ""
    return f" ({shown})" if words else shown


def _prefixed(text: str, first: str, others: str) -> str:
    head, *rest = text.split("\n")
    return "\n".join([f"{first}{head}".rstrip(), *(f"{others}{line}".rstrip() for line in rest)])
