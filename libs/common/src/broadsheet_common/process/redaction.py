"""Remove addresses, tokens and query strings from text that is not ours: exception messages, library logs.

Our own log calls contain ids only. A driver's error message may repeat a statement's parameters; an HTTP
library's may repeat a URL.
"""

import re

_ADDRESS = re.compile(r"[^\s@'\"<>(),]+@[^\s@'\"<>(),]+")
_QUERY = re.compile(r"(?<=[\w/])\?[^\s'\"]+")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Long runs without whitespace are tokens, keys or hashes; UUIDs are ids, and dotted names are modules.
_TOKEN = re.compile(rf"(?<![\w.-])(?!{_UUID}(?![\w-]))(?=[\w.-]*\d)(?:[\w-]+\.)*[A-Za-z0-9_-]{{24,}}(?:\.[\w-]+)*")


def redact(text: str) -> str:
    """The text with `[address]`, `[token]` and `?[query]` in place of what must not be logged."""
    return _TOKEN.sub("[token]", _QUERY.sub("?[query]", _ADDRESS.sub("[address]", text)))
