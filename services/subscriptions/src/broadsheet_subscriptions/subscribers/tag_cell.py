r"""A subscriber's tags in one cell, pure.

Tags are written as a JSON list, which can hold any tag. They are read from such a list, or as people and other
systems write them: separated by commas, semicolons, vertical bars or line breaks, each in quotes or not
(Mailchimp: `"vip","Spring, 2021"`), the whole in brackets or not (`['vip', 'news']`).
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from broadsheet_subscriptions.attributes.attribute import TAGS_MAX, parse_tag

CELL_CHARS_MAX: Final = 50_000
"""More than the largest list of tags needs, however it is quoted."""
_SEPARATORS: Final = r",;|\r\n"
# One tag and its separator: a quoted tag, in which quotes are doubled or escaped, or everything up to the separator.
_WORD: Final = re.compile(
    rf"""\s*(?:"(?P<double>(?:[^"\\]|""|\\.)*)"\s*(?=[{_SEPARATORS}]|$)|(?P<bare>[^{_SEPARATORS}]*))(?:[{_SEPARATORS}]|$)"""
)
_SINGLE: Final = re.compile(r"""\s*(?:'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)")\s*(?:,|$)""")
_ESCAPED: Final = re.compile(r"\\(.)|\"(\")")
_NAMES_OF_A_TAG: Final = ("name", "tag", "label", "title")
_list_decoder: Final = msgspec.json.Decoder(list[Any])


def write_tags(tags: Sequence[str]) -> str:
    return msgspec.json.encode(list(tags)).decode() if tags else ""


def read_tags(cell: str) -> list[str]:
    """Each tag once, in the order of the cell. Raises ValueError with a message for the person who wrote the cell."""
    if len(cell) > CELL_CHARS_MAX:
        raise ValueError(f"There may be at most {TAGS_MAX} tags.")
    distinct = list(dict.fromkeys(parse_tag(word) for word in tag_words(cell)))
    if len(distinct) > TAGS_MAX:
        raise ValueError(f"There may be at most {TAGS_MAX} tags.")
    return distinct


def tag_words(cell: str) -> list[str]:
    """The tags as they are in the cell: a tag may be too long or unprintable, but none is blank."""
    text = cell.strip()
    if '"' not in text and "[" not in text:
        return [word for word in re.split(f"[{_SEPARATORS}]", text) if word.strip()]
    if text.startswith("["):
        listed = _json_list(text)
        if listed is None and text.endswith("]"):
            listed = _python_list(text[1:-1])
        if listed is not None:
            return [word for word in listed if word.strip()]
        # Not a list: a tag that begins with a bracket.
    return [word for word in _words(text) if word.strip()]


def _json_list(text: str) -> list[str] | None:
    try:
        items = _list_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    words = []
    for item in items:
        if isinstance(item, dict):
            item = next((item[name] for name in _NAMES_OF_A_TAG if name in item), None)  # noqa: PLW2901  # of objects, the name
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            return None
        words.append(str(item))
    return words


def _python_list(inner: str) -> list[str] | None:
    words, at = [], 0
    while at < len(inner):
        found = _SINGLE.match(inner, at)
        if found is None or found.end() == at:
            return None
        words.append(_ESCAPED.sub(r"\1\2", found["single"] if found["single"] is not None else found["double"]))
        at = found.end()
    return words


def _words(text: str) -> list[str]:
    words, at = [], 0
    while at < len(text):
        found = _WORD.match(text, at)
        assert found is not None, "the second branch matches any text"
        words.append(found["bare"] if found["double"] is None else _ESCAPED.sub(r"\1\2", found["double"]))
        at = found.end()
    return words
