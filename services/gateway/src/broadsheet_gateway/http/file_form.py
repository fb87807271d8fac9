"""Forms with a file: `multipart/form-data` (RFC 7578), read piece by piece, so that no file is ever whole in memory.

The file is the last part. Everything else is known, and can be checked, before its first byte is read.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeAlias

import msgspec
from litestar.types import Receive
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from broadsheet_common.http.problems import BodyTooLargeError, MalformedRequestError, UnsupportedMediaTypeError
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.http.request_body import announced_length, stream_body

MEDIA_TYPE: Final = "multipart/form-data"
FIELDS_MAX: Final = 50
FIELDS_MAX_BYTES: Final = 128 * 1024
_BOUNDARY_CHARS_MAX: Final = 200
_UNREADABLE: Final = "The form could not be read."

_Event: TypeAlias = MultipartSegment | bytes | None
"""A part begins, a piece of its content, it ends."""


class FileForm(msgspec.Struct, frozen=True):
    """`file_name` is empty when no file was chosen. `content` gives the file's pieces once; it ends when the whole
    form has arrived, and raises what `read_file_form` raises.
    """

    form: Form
    file_name: str
    content: AsyncIterator[bytes]


async def read_file_form(
    receive: Receive, headers: Mapping[str, str], *, file_field: str, max_bytes: int, timeout_s: float, idle_s: float
) -> FileForm:
    """The fields before the file, once the file begins. `timeout_s` bounds the whole body, `idle_s` each piece.

    Raises problems: 400 malformed, 408, 413, 415. Their texts never repeat the input.
    """
    boundary = _boundary_of(headers.get("content-type", ""))
    if (announced_length(headers) or 0) > max_bytes:
        raise BodyTooLargeError(f"At most {max_bytes} bytes are accepted here.")
    events = _Events(boundary, stream_body(receive, max_bytes=max_bytes, timeout_s=timeout_s, idle_s=idle_s))
    fields: dict[str, str] = {}
    name, value = "", bytearray()
    async for event in events:
        if isinstance(event, MultipartSegment):
            name, value = event.name or "", bytearray()
            if name == file_field:
                events.file_has_begun = True
                return FileForm(Form(fields), event.filename or "", _content(events))
            if event.filename is not None:
                raise MalformedRequestError("The form holds a file that is not expected.")
        elif event is None:
            _add(fields, name, value)
        else:
            value += event
    raise MalformedRequestError("The form holds no file.")


async def _content(events: "_Events") -> AsyncIterator[bytes]:
    async for event in events:
        if isinstance(event, MultipartSegment):
            raise MalformedRequestError("The file must be the last part of the form.")
        if event is not None:
            yield event


class _Events:
    """What the parser finds in the body. Before the file begins, the body is bounded by FIELDS_MAX_BYTES."""

    def __init__(self, boundary: str, pieces: AsyncIterator[bytes]) -> None:
        self._parser = PushMultipartParser(boundary, max_segment_count=FIELDS_MAX + 1, max_header_size=4096)
        self._found = self._read(pieces)
        self.file_has_begun = False

    def __aiter__(self) -> AsyncIterator[_Event]:
        return self._found

    async def _read(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
        total = 0
        try:
            async for piece in pieces:
                if not self.file_has_begun and total > FIELDS_MAX_BYTES:
                    raise BodyTooLargeError("The fields of the form are too long.")
                total += len(piece)
                for event in self._parser.parse(piece):
                    yield event
            self._parser.close()
        except MultipartError as error:
            raise MalformedRequestError(_UNREADABLE) from error


def _boundary_of(content_type: str) -> str:
    media_type, options = parse_options_header(content_type)
    if media_type != MEDIA_TYPE:
        raise UnsupportedMediaTypeError(f"Send the form as {MEDIA_TYPE}.", headers={"Accept": MEDIA_TYPE})
    boundary: str = options.get("boundary", "")
    if not (0 < len(boundary) <= _BOUNDARY_CHARS_MAX and boundary.isascii() and boundary.isprintable()):
        raise MalformedRequestError(_UNREADABLE)
    return boundary


def _add(fields: dict[str, str], name: str, value: bytearray) -> None:
    if name in fields:
        raise MalformedRequestError("A form field was given twice.")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequestError(_UNREADABLE) from error
    if "\0" in name or "\0" in text:
        raise MalformedRequestError("A form field holds a NUL character.")
    fields[name] = text
