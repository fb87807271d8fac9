"""HTML forms: `application/x-www-form-urlencoded`, parsed strictly.

Anything a browser's form would not send is refused with its reason: another content type, bytes that are not UTF-8,
NUL, a field given twice, too many fields.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive

from broadsheet_common.http.problems import MalformedRequestError, UnsupportedMediaTypeError
from broadsheet_gateway.http.request_body import read_body

MEDIA_TYPE = "application/x-www-form-urlencoded"
FIELDS_MAX = 50
_PARSED_INLINE_MAX_BYTES = 256 * 1024
_CHARSETS = frozenset({"utf-8", "utf8"})


class Form(msgspec.Struct, frozen=True):
    """The fields of one form, each given at most once."""

    fields: Mapping[str, str]

    def get(self, name: str) -> str | None:
        return self.fields.get(name)

    def text(self, name: str) -> str:
        """The field, or an empty text if it is missing: for fields whose own check reports that."""
        return self.fields.get(name, "")

    def required(self, name: str) -> str:
        """Raises `MalformedRequestError` when the field is missing."""
        value = self.fields.get(name)
        if value is None:
            raise MalformedRequestError(f"The form field `{name}` is missing.")
        return value


async def read_form(
    receive: Receive, headers: Mapping[str, str], *, max_bytes: int, timeout_s: float, fields_max: int = FIELDS_MAX
) -> Form:
    """Raises problems: 400 malformed, 408, 413, 415."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != MEDIA_TYPE:
        raise UnsupportedMediaTypeError(f"Send the form as {MEDIA_TYPE}.", headers={"Accept": MEDIA_TYPE})
    name, _, charset = parameters.strip().partition("=")
    if name.strip().lower() == "charset" and charset.strip().strip('"').lower() not in _CHARSETS:
        raise UnsupportedMediaTypeError("Send the form in UTF-8.")
    body = await read_body(receive, headers, max_bytes=max_bytes, timeout_s=timeout_s)
    if len(body) <= _PARSED_INLINE_MAX_BYTES:
        return parse_form(body, fields_max=fields_max)
    return await asyncio.to_thread(parse_form, body, fields_max=fields_max)


def parse_form(body: bytes, *, fields_max: int = FIELDS_MAX) -> Form:
    """Raises `MalformedRequestError`, whose text never repeats the input."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=fields_max,
        )
    except ValueError as error:
        raise MalformedRequestError("The form could not be read.") from error
    fields: dict[str, str] = {}
    for key, value in pairs:
        if key in fields:
            raise MalformedRequestError("A form field was given twice.")
        if "\0" in key or "\0" in value:
            raise MalformedRequestError("A form field holds a NUL character.")
        fields[key] = value
    return Form(fields)
