"""What differs between two versions of a draft, pure: by field, and within a text by line."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import Final, Literal

import msgspec
from rapidfuzz.distance import Indel

from broadsheet_publishing.drafts.draft import Draft
from broadsheet_publishing.variants.ab_test import AbTest

CONTEXT_LINES: Final = 3
LINE_PAIRS_MAX: Final = 100_000_000
"""Larger differences are shown as one block that replaces another: comparing takes a bit of memory for each pair of
lines.
"""

Kind = Literal["same", "removed", "added"]


class Line(msgspec.Struct, frozen=True):
    kind: Kind
    text: str


class Block(msgspec.Struct, frozen=True):
    """Lines that differ, with up to `CONTEXT_LINES` around them. The numbers are of its first line and count from 1."""

    before_line: int
    after_line: int
    lines: list[Line]


class FieldChange(msgspec.Struct, frozen=True):
    """A field that differs. Long texts, and an A/B test as JSON, have `blocks`; other values are given whole."""

    field: str
    before: str | int | None = None
    after: str | int | None = None
    blocks: list[Block] = []


_LONG: Final = frozenset({"content", "text_content"})


async def compare_revisions(before: Draft, after: Draft) -> list[FieldChange]:
    """Fields that are equal are left out."""
    # Texts of the largest size take most of a second: not on the event loop.
    return await asyncio.to_thread(compare_drafts, before, after)


def compare_drafts(before: Draft, after: Draft) -> list[FieldChange]:
    """As `compare_revisions`."""
    changes = []
    for field in Draft.__struct_fields__:
        old, new = getattr(before, field), getattr(after, field)
        if old == new:
            continue
        if field == "ab_test":
            changes.append(FieldChange(field, blocks=_blocks(_json_lines(old), _json_lines(new))))
        elif field in _LONG:
            changes.append(FieldChange(field, blocks=_blocks((old or "").split("\n"), (new or "").split("\n"))))
        else:
            changes.append(FieldChange(field, before=old, after=new))
    return changes


def _json_lines(test: AbTest | None) -> list[str]:
    if test is None:
        return []
    return msgspec.json.format(msgspec.json.encode(test), indent=2).decode().split("\n")


def _blocks(before: Sequence[str], after: Sequence[str]) -> list[Block]:
    lines = list(_lines(before, after))
    spans: list[tuple[int, int]] = []
    for place, line in enumerate(lines):
        if line.kind == "same":
            continue
        begin, end = max(0, place - CONTEXT_LINES), min(len(lines), place + 1 + CONTEXT_LINES)
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    blocks: list[Block] = []
    before_line = after_line = 1
    counted_to = 0
    for begin, end in spans:
        before_line += sum(line.kind != "added" for line in lines[counted_to:begin])
        after_line += sum(line.kind != "removed" for line in lines[counted_to:begin])
        counted_to = begin
        blocks.append(Block(before_line, after_line, lines[begin:end]))
    return blocks


def _lines(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    """All lines of both in order; of a replaced passage the removed ones first."""
    # What both begin and end with need not be compared.
    head = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    yield from (Line("same", text) for text in before[:head])
    if len(old) * len(new) > LINE_PAIRS_MAX:
        yield from (Line("removed", text) for text in old)
        yield from (Line("added", text) for text in new)
    else:
        for is_same, run in groupby(Indel.opcodes(old, new), key=lambda code: code.tag == "equal"):
            codes = list(run)
            removed = old[codes[0].src_start : codes[-1].src_end]
            if is_same:
                yield from (Line("same", text) for text in removed)
            else:
                yield from (Line("removed", text) for text in removed)
                yield from (Line("added", text) for text in new[codes[0].dest_start : codes[-1].dest_end])
    yield from (Line("same", text) for text in before[len(before) - tail :])
