"""The Prefer header as RFC 7240 writes it."""

import pytest

from broadsheet_common.http.preferences import prefers_minimal


@pytest.mark.parametrize(
    "header",
    [
        "return=minimal",
        "Return=Minimal",
        'return="minimal"',
        "respond-async, return=minimal; why=x",
        " return = minimal ",
    ],
)
def test_an_answer_without_texts_is_preferred(header: str) -> None:
    assert prefers_minimal(header)


@pytest.mark.parametrize(
    "header",
    [None, "", ",", "minimal", "return", "return=", "return=representation", "return=representation, return=minimal",
     "x; return=minimal"],
)  # fmt: skip
def test_any_other_header_prefers_the_whole(header: str | None) -> None:
    assert not prefers_minimal(header)
