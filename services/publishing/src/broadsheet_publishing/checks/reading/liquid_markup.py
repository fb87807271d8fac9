"""Liquid in a compiled template, out of the way of HTML and CSS parsers; pure.

Outputs become marks of letters and digits, which no parser changes; tags become nothing, so that every branch is
looked at. The template was parsed by `mail_template` before, so its markup is closed.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from broadsheet_common.mail.markup_bounds import MARKUP_CHARS_MAX

_OPENING: Final = re.compile(r"\{\{|\{%")
_ENDS: Final = {
    "raw": re.compile(r"\{%-?\s{0,40}endraw\s{0,40}-?%\}"),
    "comment": re.compile(r"\{%-?\s{0,40}endcomment\s{0,40}-?%\}"),
}
_PATH: Final = re.compile(r"[a-z_]+(?:\.[A-Za-z0-9_-]+)*")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_OPENS: Final = frozenset({"if", "unless", "case"})
_CLOSES: Final = frozenset({"endif", "endunless", "endcase"})
_MARK_BASE: Final = "qzmark"


class Output(msgspec.Struct, frozen=True):
    """`{{ path | filters }}`. `guards`: fields that conditions around it ask for. `start` is an index."""

    path: str
    has_default: bool
    guards: frozenset[str]
    start: int


class Shielded(msgspec.Struct, frozen=True):
    """`text` without Liquid. Output number n stands in it as `mark(n)`."""

    text: str
    outputs: tuple[Output, ...]
    prefix: str

    def in_text(self, text: str) -> Iterator[Output]:
        """The outputs whose marks stand in `text`, in order."""
        for found in re.finditer(rf"{self.prefix}(\d+)x", text, re.IGNORECASE):
            number = int(found[1])
            if number < len(self.outputs):
                yield self.outputs[number]

    def readable(self, text: str) -> str:
        """`text` with its marks as an author would read them."""

        def write(found: re.Match[str]) -> str:
            number = int(found[1])
            return f"{{{{ {self.outputs[number].path} }}}}" if number < len(self.outputs) else found[0]

        return re.sub(rf"{self.prefix}(\d+)x", write, text, flags=re.IGNORECASE)

    def without_marks(self, text: str) -> str:
        return re.sub(rf"{self.prefix}\d+x", "", text, flags=re.IGNORECASE)


def shield(source: str) -> Shielded:
    prefix = _MARK_BASE
    lowered = source.lower()
    while prefix in lowered:
        prefix += "q"
    outputs: list[Output] = []
    conditions: list[frozenset[str]] = []
    pieces: list[str] = []
    # Blocks whose end was looked for in vain: not again, so that the time is linear in the source.
    endless: set[str] = set()
    end = 0
    while (opening := _OPENING.search(source, end)) is not None:
        is_tag = opening[0] == "{%"
        closing = source.find("%}" if is_tag else "}}", opening.end(), opening.end() + MARKUP_CHARS_MAX + 2)
        if closing < 0:
            pieces.append(source[end : opening.end()])
            end = opening.end()
            continue
        pieces.append(source[end : opening.start()])
        inner = source[opening.end() : closing].strip("-").strip()
        end = closing + 2
        if not is_tag:
            pieces.append(f"{prefix}{len(outputs)}x")
            outputs.append(_output(inner, conditions, opening.start()))
        elif inner in _ENDS:
            block_end = None if inner in endless else _ENDS[inner].search(source, end)
            if block_end is None:
                endless.add(inner)
                continue
            if inner == "raw":
                pieces.append(source[end : block_end.start()])
            end = block_end.end()
        else:
            _enter(inner, conditions)
    pieces.append(source[end:])
    return Shielded("".join(pieces), tuple(outputs), prefix)


def _output(written: str, conditions: list[frozenset[str]], start: int) -> Output:
    path, *filters = _QUOTED.sub("''", written).split("|")
    return Output(
        path=path.strip(),
        has_default=any(one.strip().startswith("default") for one in filters),
        guards=frozenset().union(*conditions),
        start=start,
    )


def _enter(tag: str, conditions: list[frozenset[str]]) -> None:
    name, _, rest = tag.partition(" ")
    if name in _OPENS:
        conditions.append(frozenset(_PATH.findall(_QUOTED.sub("", rest))))
    elif name in _CLOSES and conditions:
        conditions.pop()
