"""Rules that every request to every service must pass before anything else reads it.

- Headers: a header that we read as one value must not come twice. The lines of every other repeated header are joined
  in order (RFC 9110, 5.3), so that no reader sees only the first or the last. Headers that we read must be ASCII.
- Path and query: UTF-8 after decoding, without the characters that `plain_text` refuses. Raw bytes in a query mean the
  same as percent-encoded ones.
- Bodies: not compressed. JSON strings contain no characters that `plain_text` refuses.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import quote_from_bytes, unquote_to_bytes

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from broadsheet_common.http.plain_text import find_text_fault
from broadsheet_common.http.problems import (
    FieldProblem,
    InvalidInputError,
    MalformedRequestError,
    NotFoundError,
    UnsupportedMediaTypeError,
)

Headers = list[tuple[bytes, bytes]]

SINGLE_HEADERS = frozenset({
    b"authorization", b"content-length", b"content-type", b"content-encoding", b"host", b"idempotency-key", b"origin",
    b"referer", b"user-agent", b"sec-fetch-site", b"sec-fetch-mode", b"x-csrf-token", b"x-broadsheet-identity",
    b"last-event-id", b"expect",
})  # fmt: skip
_LIST_HEADERS = frozenset({
    b"accept", b"accept-encoding", b"accept-language", b"prefer", b"if-match", b"if-none-match", b"x-forwarded-for",
    b"forwarded",
})  # fmt: skip
_MAY_BE_ANY_BYTES = frozenset({b"user-agent", b"referer"})
_ASCII_HEADERS = (SINGLE_HEADERS | _LIST_HEADERS) - _MAY_BE_ANY_BYTES

CONTENT_FIELDS = frozenset({"html_content", "text_content"})
"""A mail's body: long text, which may need bidirectional controls."""
FIELDS_JUDGED_LATER = frozenset({"token"})
"""Tokens: their handlers check them, so that every bad token gets the same answer, whatever characters it contains."""
FAULTS_MAX = 20
_QUERY_SAFE = "".join(map(chr, range(0x21, 0x7F)))


class CompressedBodyError(UnsupportedMediaTypeError):
    title = "The body must be sent without a content coding"


class RequestRules(ASGIMiddleware):
    """Raises problems: 400, 404 and 415."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, token_paths: tuple[str, ...] = (), coded_body_paths: tuple[str, ...] = ()) -> None:
        """`token_paths`: beginnings of paths that end in a token. Their handlers check it themselves, so that every
        bad token gets the same answer. `coded_body_paths`: beginnings of paths whose bodies may have a content coding,
        because something after this decodes them.
        """
        self._token_paths = tuple(path.encode() for path in token_paths)
        self._coded_body_paths = tuple(path.encode() for path in coded_body_paths)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        http_scope = cast("HTTPScope", scope)
        may_be_coded = http_scope["raw_path"].startswith(self._coded_body_paths)
        http_scope["headers"] = checked_headers(cast("Headers", http_scope["headers"]), may_be_coded=may_be_coded)
        http_scope["query_string"] = checked_query(http_scope["query_string"])
        if not http_scope["raw_path"].startswith(self._token_paths):
            check_path(http_scope["raw_path"])
        await next_app(scope, receive, send)


def checked_headers(headers: Headers, *, may_be_coded: bool = False) -> Headers:
    """The headers, each name once. Raises MalformedRequestError, CompressedBodyError."""
    merged: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in merged:
            if name in SINGLE_HEADERS:
                raise MalformedRequestError(f"The header `{name.decode('ascii')}` was sent twice.")
            separator = b"; " if name == b"cookie" else b", "
            merged[name] = merged[name] + separator + value
        else:
            merged[name] = value
        if not value.isascii() and name in _ASCII_HEADERS:
            raise MalformedRequestError(f"The header `{name.decode('ascii')}` may hold ASCII characters only.")
    if not may_be_coded and merged.get(b"content-encoding", b"identity").strip().lower() not in {b"identity", b""}:
        raise CompressedBodyError(headers={"Accept-Encoding": "identity"})
    return list(merged.items())


def checked_query(query: bytes) -> bytes:
    """The query, percent-encoded. Raises MalformedRequestError that names the invalid parameters."""
    if query.isalnum():
        return query
    faults = []
    for pair in query.split(b"&"):
        name, _, value = (unquote_to_bytes(part) for part in pair.replace(b"+", b" ").partition(b"="))
        fault = _fault_of_bytes(name) or _fault_of_bytes(value)
        if fault is not None:
            faults.append(FieldProblem(pointer=f"/{_shown(name)}", detail=fault))
    if faults:
        raise MalformedRequestError("See `errors` for each fault.", errors=tuple(faults[:FAULTS_MAX]))
    return percent_encoded(query)


def percent_encoded(query: bytes) -> bytes:
    """The query in ASCII: other bytes mean the same as their percent-encoded forms."""
    return quote_from_bytes(query, safe=_QUERY_SAFE).encode()


def check_path(raw_path: bytes) -> None:
    """Raises NotFoundError for a path that no route can have."""
    fault = _fault_of_bytes(unquote_to_bytes(raw_path))
    if fault is not None:
        raise NotFoundError(f"The path is not valid. {fault}")


def check_json_text(document: Any) -> None:
    """Check a decoded JSON document, including its member names. Raises InvalidInputError that names each invalid
    place.
    """
    faults: list[FieldProblem] = []
    for pointer, text, is_content in _strings(document):
        fault = find_text_fault(text, may_hold_bidi=is_content)
        if fault is not None:
            faults.append(FieldProblem(pointer=pointer, detail=fault))
            if len(faults) == FAULTS_MAX:
                break
    if faults:
        raise InvalidInputError("See `errors` for each fault.", errors=tuple(faults))


def _strings(document: Any) -> Iterator[tuple[str, str, bool]]:
    """Each string: its place (a JSON pointer), its text, and whether it is a mail's body. Not recursive, because the
    sender decides how deep the nesting is.
    """
    left: list[tuple[str, Any, bool]] = [("", document, False)]
    while left:
        pointer, value, is_content = left.pop()
        if isinstance(value, str):
            yield pointer, value, is_content
        elif isinstance(value, dict):
            for name, member in value.items():
                place = f"{pointer}/{_escaped(name)}"
                yield place, name, False
                if name not in FIELDS_JUDGED_LATER or not isinstance(member, str):
                    left.append((place, member, name in CONTENT_FIELDS))
        elif isinstance(value, list):
            left.extend((f"{pointer}/{index}", item, False) for index, item in _texts_only(value))


def _texts_only(items: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    return ((index, item) for index, item in enumerate(items) if isinstance(item, str | dict | list))


def _escaped(name: str) -> str:
    return _printable(name).replace("~", "~0").replace("/", "~1")


def _printable(text: str) -> str:
    """The text without the characters that an answer must not repeat, cut to 100 characters."""
    return "".join(char if find_text_fault(char) is None else "\N{REPLACEMENT CHARACTER}" for char in text[:100])


def _shown(name: bytes) -> str:
    return _escaped(name.decode("utf-8", "replace"))


def _fault_of_bytes(raw: bytes) -> str | None:
    if raw.isalnum():  # ASCII letters and digits
        return None
    try:
        return find_text_fault(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return "It is not UTF-8."
