"""What only the Markdown itself tells, and the HTML made of it does not: links that became none, and pictures that
nobody described; pure.
"""

import re
from collections.abc import Sequence
from typing import Final

from markdown_it.token import Token

from broadsheet_publishing.compiling.liquid_shield import Shield
from broadsheet_publishing.compiling.markdown_html import read_markdown

_LIKE_A_LINK: Final = re.compile(r"!?\[([^\[\]\0]{1,300})\]\(([^()\0]{1,300})\)")
_NO_TEXT: Final = "\0"
"""In the place of code, links and pictures: what looks like a link does not reach over them."""


def links_that_are_none(text: str) -> list[str]:
    """What looks like `[words](address)` and is shown as it was typed, because the address is none; each once. What
    its author escaped is meant as text.
    """
    found: dict[str, None] = {}
    for inline in _inlines(text):
        for like in _LIKE_A_LINK.finditer("".join(map(_shown, inline.children or ()))):
            at = text.find(like[0])
            if at >= 0 and f"\\{like[0]}" not in text:
                found[like[0]] = None
    return list(found)


def pictures_without_words(text: str) -> list[str]:
    """The addresses of pictures that nothing stands for between the brackets, each once."""
    pictures = (one for inline in _inlines(text) for one in inline.children or () if one.type == "image")
    return list(dict.fromkeys(str(one.attrGet("src") or "") for one in pictures if not one.content.strip()))


def _inlines(text: str) -> Sequence[Token]:
    shield = Shield(text)
    covered = shield.cover("content", text)
    return [_restored(one, shield) for one in read_markdown(covered, shield).tokens if one.type == "inline"]


def _restored(inline: Token, shield: Shield) -> Token:
    """With its Liquid as it was written, in what is looked at."""
    for one in inline.children or ():
        one.content = shield.restore_text(one.content)
        if one.type == "image":
            one.attrSet("src", shield.restore_text(str(one.attrGet("src") or "")))
    return inline


def _shown(token: Token) -> str:
    match token.type:
        case "text":
            return token.content
        case "link_open" | "link_close" if token.markup == "autolink":
            return ""
        case "softbreak" | "hardbreak":
            return "\n"
        case "em_open" | "em_close" | "strong_open" | "strong_close" | "s_open" | "s_close":
            return token.markup
        case _:
            return _NO_TEXT
