"""A subscriber's tags in one cell, pure.

Written as a JSON list, which any tag survives. Read as that, or as people type them: separated by commas, semicolons or
vertical bars.
"""

import re
from collections.abc import Sequence

import msgspec

from broadsheet_subscriptions.attributes.attribute import TAGS_MAX, parse_tag

_SEPARATOR = re.compile(r"[,;|]")
_list_decoder = msgspec.json.Decoder(list[str])


def write_tags(tags: Sequence[str]) -> str:
    return msgspec.json.encode(list(tags)).decode() if tags else ""


def read_tags(cell: str) -> list[str]:
    """Each tag once, in the order of the cell. Raises ValueError with a sentence for whoever wrote it."""
    tags = [parse_tag(word) for word in _words(cell)]
    distinct = list(dict.fromkeys(tags))
    if len(distinct) > TAGS_MAX:
        raise ValueError(f"There may be at most {TAGS_MAX} tags.")
    return distinct


def _words(cell: str) -> list[str]:
    text = cell.strip()
    if text.startswith("["):
        try:
            return _list_decoder.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            pass  # not a list of ours: a tag that begins with a bracket
    return [word for word in _SEPARATOR.split(text) if word.strip()]
