"""Cursors: opaque, and refused when they are not ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadsheet_common.http.pagination import decode_cursor, encode_cursor
from broadsheet_common.http.problems import MalformedRequestError


@given(st.integers(min_value=0, max_value=10**18 - 1))
def test_a_cursor_gives_back_its_position(position: int) -> None:
    assert decode_cursor(encode_cursor(position)) == position


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None) is None


@given(st.text(max_size=50))
def test_any_other_text_is_refused_and_never_breaks(text: str) -> None:
    try:
        position = decode_cursor(text)
    except MalformedRequestError:
        return
    assert position is not None


@pytest.mark.parametrize("cursor", ["", "AAAA", "djI6MQ", encode_cursor(1) + "A", "v1:1"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(MalformedRequestError):
        decode_cursor(cursor)
