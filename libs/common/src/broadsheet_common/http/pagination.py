"""Opaque cursors over a stable order, and the page that every list returns."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from broadsheet_common.http.problems import FieldProblem, MalformedRequestError

PAGE_SIZE_MAX = 200
PAGE_SIZE_DEFAULT = 50
CURSOR_CHARS_MAX = 1_000
_POSITION_DIGITS_MAX = 18
POSITION_MAX = 10**_POSITION_DIGITS_MAX - 1
_KEY_CHARS_MAX = 300

PageLimit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=PAGE_SIZE_MAX, description=f"Items a page, 1 to {PAGE_SIZE_MAX}")
]
PageCursor = Annotated[
    str | None,
    QueryParameter(name="cursor", max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the previous page"),
]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"v1:{position}".encode()).decode().rstrip("=")


def encode_key_cursor(key: str, position: int) -> str:
    """For a list sorted by text, then by id."""
    return base64.urlsafe_b64encode(f"v2:{position}:{key}".encode()).decode().rstrip("=")


def decode_key_cursor(cursor: str) -> tuple[str, int]:
    """The text and the id in a cursor of `encode_key_cursor`; raises `MalformedRequestError` for any other."""
    try:
        version, _, rest = _decode(cursor).decode().partition(":")
        position, separator, key = rest.partition(":")
        if version != "v2" or not separator or not _is_position(position) or len(key) > _KEY_CHARS_MAX or "\0" in key:
            raise ValueError("unknown cursor")
        return key, int(position)
    except (binascii.Error, ValueError) as error:
        raise _unknown_cursor() from error


def _decode(cursor: str) -> bytes:
    return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _POSITION_DIGITS_MAX


def _unknown_cursor() -> MalformedRequestError:
    problem = FieldProblem(pointer="/cursor", detail="This cursor is not valid.")
    return MalformedRequestError(errors=(problem,))


def decode_cursor(cursor: str | None, *, position_max: int = POSITION_MAX) -> int | None:
    """The position in a cursor; raises `MalformedRequestError` for a cursor that we did not make. `position_max`: the
    largest that the list can have, where its column is no bigint.
    """
    if cursor is None:
        return None
    try:
        version, _, position = _decode(cursor).decode("ascii").partition(":")
        if version != "v1" or not _is_position(position) or int(position) > position_max:
            raise ValueError("unknown cursor")
        return int(position)
    except (binascii.Error, ValueError) as error:
        raise _unknown_cursor() from error
