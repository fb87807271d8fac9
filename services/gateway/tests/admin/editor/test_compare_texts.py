"""What differs between two texts, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_gateway.admin.editor.compare_texts import ComparedLine, compare

_TEXTS = st.lists(st.sampled_from(["", "one", "two", "three"]), max_size=12).map("\n".join)


def test_equal_texts_have_no_differences() -> None:
    assert compare("one\ntwo", "one\ntwo") == ()


def test_lines_of_both_are_told_apart_and_equal_ones_are_left_out() -> None:
    same = [f"line {number}" for number in range(20)]
    found = compare("\n".join(["mine", *same]), "\n".join(["theirs", *same]))
    assert found[:2] == (ComparedLine("theirs", "theirs"), ComparedLine("mine", "mine"))
    assert ComparedLine("gap", "16 equal lines") in found


@given(_TEXTS, _TEXTS)
def test_each_text_can_be_read_from_the_comparison(mine: str, theirs: str) -> None:
    found = compare(mine, theirs)
    if mine == theirs or any(line.kind == "gap" for line in found):
        return
    for own, text in (("mine", mine), ("theirs", theirs)):
        assert "\n".join(line.text for line in found if line.kind in {own, "same"}) == text


@pytest.mark.parametrize("lines", [2_000, 20_000])
def test_texts_that_would_take_long_to_compare_are_shown_whole(lines: int) -> None:
    """Every second line is blank: each would be held against each."""
    mine = "\n".join("" if number % 2 else f"mine {number}" for number in range(lines))
    theirs = "\n".join("" if number % 2 else f"theirs {number}" for number in range(lines))
    found = compare(mine, theirs)
    assert [line.kind for line in found] == ["theirs"] * lines + ["mine"] * lines
