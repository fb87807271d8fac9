"""Opaque cursors over a stable order, and the page that every list answers with."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from broadsheet_common.problems import FieldProblem, MalformedRequestError

PAGE_SIZE_MAX = 200
PAGE_SIZE_DEFAULT = 50
_POSITION_DIGITS_MAX = 18

PageLimit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=PAGE_SIZE_MAX, description=f"Items a page, 1 to {PAGE_SIZE_MAX}")
]
PageCursor = Annotated[
    str | None, QueryParameter(name="cursor", max_length=200, description="`next_cursor` of the page before")
]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"v1:{position}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int | None:
    """The position a cursor stands for; raises `MalformedRequestError` for one we did not make."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        version, _, position = text.partition(":")
        if version != "v1" or not position.isdigit() or len(position) > _POSITION_DIGITS_MAX:
            raise ValueError("unknown cursor")
        return int(position)
    except (binascii.Error, ValueError) as error:
        problem = FieldProblem(pointer="/cursor", detail="This is not a cursor that a page gave out.")
        raise MalformedRequestError(errors=(problem,)) from error
