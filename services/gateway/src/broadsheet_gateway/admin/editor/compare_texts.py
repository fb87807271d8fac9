"""What differs between a text that was typed and the one that somebody else saved meanwhile. Pure."""

from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final, Literal

import msgspec

PAIRS_MAX: Final = 20_000
"""More pairs of lines that are equal are not compared: then the whole texts are shown, one after the other."""
CONTEXT_LINES: Final = 2


class ComparedLine(msgspec.Struct, frozen=True):
    """`mine`: only in what was typed. `theirs`: only in what was saved. `gap`: lines that are equal, left out."""

    kind: Literal["same", "mine", "theirs", "gap"]
    text: str


def compare(mine: str, theirs: str) -> tuple[ComparedLine, ...]:
    """The lines of both, in order; nothing for equal texts."""
    if mine == theirs:
        return ()
    typed, saved = mine.split("\n"), theirs.split("\n")
    if _equal_pairs(typed, saved) > PAIRS_MAX:
        return (*(ComparedLine("theirs", line) for line in saved), *(ComparedLine("mine", line) for line in typed))
    return tuple(_lines(typed, saved))


def _equal_pairs(typed: list[str], saved: list[str]) -> int:
    """What the comparison costs: each line of one text is held against every line of the other that is the same."""
    counts = Counter(saved)
    return len(typed) + sum(counts[line] for line in typed)


def _lines(typed: list[str], saved: list[str]) -> Iterator[ComparedLine]:
    for tag, saved_from, saved_to, typed_from, typed_to in SequenceMatcher(
        None, saved, typed, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            yield from _shortened(saved[saved_from:saved_to])
        else:
            yield from (ComparedLine("theirs", line) for line in saved[saved_from:saved_to])
            yield from (ComparedLine("mine", line) for line in typed[typed_from:typed_to])


def _shortened(same: list[str]) -> Iterator[ComparedLine]:
    if len(same) <= 2 * CONTEXT_LINES + 1:
        yield from (ComparedLine("same", line) for line in same)
        return
    yield from (ComparedLine("same", line) for line in same[:CONTEXT_LINES])
    yield ComparedLine("gap", f"{len(same) - 2 * CONTEXT_LINES} equal lines")
    yield from (ComparedLine("same", line) for line in same[-CONTEXT_LINES:])
