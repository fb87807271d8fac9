"""What JSON, a query or a path allows and services trip over."""

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

_MARK: Final = "the awkward one"

JSON_VALUES: Final = (
    r'"\u0000"',
    r'"a\u0000b@example.com"',
    r'"\ud800"',
    r'"\udc00\ud800 \ud83d"',
    r'"\u202e\u0085\u2028"',
    '"\ufeff \u00a0"',
    '"%_\\\\"',
    '"\'; --"',
    f'"{"x" * 20_000}"',
    f'"{"é" * 1_200}"',
    '"infinity"',
    '"-infinity"',
    '"epoch"',
    '"0000-00-00"',
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59.999999-23:59"',
    '"294277-01-01"',
    '"P9999999999Y"',
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "1" + "0" * 5_000,
    "1e400",
    "-1e308",
    "5e-324",
    "-0",
    "-0.0",
    "0.1",
    "NaN",
    "Infinity",
    "true",
    "null",
    "[]",
    "{}",
    '{"": {}}',
    '[null, 1, "1", [1]]',
    "[" * 200 + "]" * 200,
    "[" * 20_000 + "]" * 20_000,
    json.dumps(["x"] * 10_000),
    json.dumps({str(number): number for number in range(5_000)}),
)
"""As they stand in the body, where a value stood. The two before the last are too deep for some readers of JSON."""

ESCAPED_TEXTS: Final = (
    "",
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%c0%80",
    "%f4%90%80%80",
    "%",
    "%25",
    "%zz",
    "+",
    "%2f..%2f",
    "..",
    "'%3b--",
    "%e2%80%ae",
    "9223372036854775807",
    "9223372036854775808",
    "-1",
    "0",
    "1e400",
    "nan",
    "1" + "0" * 5_000,
    "infinity",
    "9999-12-31",
    "true",
    "null",
    "%5b%5d",
    "x" * 4_000,
)
"""As they stand in a path or a query."""

AWKWARD_BYTES: Final = st.one_of(
    st.binary(max_size=2_000),
    st.text(max_size=500).map(lambda text: text.encode("utf-16")),
    st.lists(st.lists(st.text('abö@.,;\t"\n\r\x00=+-', max_size=12), max_size=5), max_size=9).map(
        lambda rows: "\n".join(",".join(row) for row in [["email", "name"], *rows]).encode()
    ),
    st.sampled_from([b"", b"\xff\xfe", b"\xef\xbb\xbf", b'email\n"', b"PK\x03\x04", b"email\nada@example.com\n"]),
)
"""Bodies that are no JSON: files."""


@st.composite
def made_likely(draw: st.DrawFn, node: Any, likely: Callable[[str], tuple[Any, ...]]) -> Any:
    """The same with likely values in every place that a name tells something about; `likely` has none for others."""
    if isinstance(node, dict):
        return {
            key: draw(st.sampled_from(values)) if (values := likely(key)) else draw(made_likely(value, likely))
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [draw(made_likely(value, likely)) for value in node]
    return node


@st.composite
def made_awkward(draw: st.DrawFn, body: Any) -> bytes:
    """The body with one value in it, or one field's name, made awkward."""
    places = [*_places(body)]
    place = draw(st.sampled_from(places))
    value = draw(st.sampled_from(JSON_VALUES))
    is_name = bool(place) and isinstance(place[-1], str) and value.startswith('"') and draw(st.booleans())
    text = json.dumps(_replaced(body, place, is_name=is_name))
    return text.replace(f'"{_MARK}"', value).encode()


def _places(node: Any, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children: list[tuple[str | int, Any]] = []
    if isinstance(node, dict):
        children = [*node.items()]
    elif isinstance(node, list):
        children = [*enumerate(node)]
    return [before, *(place for step, child in children for place in _places(child, (*before, step)))]


def _replaced(node: Any, place: tuple[str | int, ...], *, is_name: bool) -> Any:
    if not place:
        return _MARK
    step, *rest = place
    if isinstance(node, dict):
        if is_name and not rest:
            return {(_MARK if key == step else key): value for key, value in node.items()}
        return {
            key: _replaced(value, tuple(rest), is_name=is_name) if key == step else value for key, value in node.items()
        }
    return [
        _replaced(value, tuple(rest), is_name=is_name) if number == step else value for number, value in enumerate(node)
    ]
