"""Attributes and tags of a subscriber, pure: which are allowed, and how a typed or a written value is read.

An attribute has a name and a type that the installation defined; a tag is a word that needs no definition. Texts
and tags are stored in Unicode's normal form C, so that `Zürich` is one city however it was typed. Tags are
case-sensitive.
"""

import math
import re
import unicodedata
from datetime import date
from typing import Literal, assert_never, get_args

from broadsheet_common.http.plain_text import is_storable

AttributeType = Literal["text", "number", "boolean", "date"]
AttributeValue = str | float | int | bool
"""A value as in JSON; a date as `YYYY-MM-DD`."""

ATTRIBUTE_TYPES: tuple[AttributeType, ...] = get_args(AttributeType)
TEXT_CHARS_MAX = 1_000
TAG_CHARS_MAX = 100
TAGS_MAX = 100
"""Per subscriber."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})
# Long enough for a float, and for any whole number that a float holds exactly.
_NUMBER = re.compile(r"[+-]?[0-9]{1,25}(?:\.[0-9]{1,25})?(?:[eE][+-]?[0-9]{1,3})?")
_EXACT_INTEGER_MAX = 2**53
# The year first, with or without a time after it; or day, month and year separated by dots. Dates like 1/2/2024 are not
# read, since the month may be first or second.
_ISO_DATE_TIME = re.compile(
    r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})"
    r"(?:[T ]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}:?(?:[0-9]{2})?))*)?"
)
_DOTTED_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})(?: [0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)?")


def is_attribute_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def read_value(type_: AttributeType, value: object) -> AttributeValue:
    """Reads a value from JSON. Raises ValueError with a message for the sender."""
    match type_:
        case "text":
            if isinstance(value, str):
                return _text(value)
            raise ValueError("A text is expected.")
        case "number":
            if isinstance(value, int | float) and not isinstance(value, bool):
                return _number(value)
            raise ValueError("A number is expected.")
        case "boolean":
            if isinstance(value, bool):
                return value
            raise ValueError("true or false is expected.")
        case "date":
            if isinstance(value, str):
                return _date(value)
            raise ValueError("A date as YYYY-MM-DD is expected.")
        case _:
            assert_never(type_)


def parse_value(type_: AttributeType, text: str) -> AttributeValue:
    """Reads a value from a cell or a form field. Raises ValueError with a message for the person who wrote it."""
    match type_:
        case "text":
            return _text(text)
        case "number":
            stripped = text.strip()
            if _NUMBER.fullmatch(stripped) is None:
                raise ValueError("A number is expected, with a dot before its fraction.")
            is_whole = stripped.lstrip("+-").isdigit()
            return _number(int(stripped) if is_whole else float(stripped))
        case "boolean":
            word = text.strip().lower()
            if word not in _TRUE | _FALSE:
                raise ValueError("true or false is expected (or yes, no, 1, 0).")
            return word in _TRUE
        case "date":
            return _date(text.strip())
        case _:
            assert_never(type_)


def parse_cell(type_: AttributeType, cell: str) -> AttributeValue:
    """Reads a value from a cell of a file. A date may also have a time, or be in another order that is not
    ambiguous.

    Raises ValueError with a message for the person who wrote it.
    """
    if type_ != "date":
        return parse_value(type_, cell)
    text = cell.strip()
    if found := _ISO_DATE_TIME.fullmatch(text):
        year, month, day = found.groups()
    elif found := _DOTTED_DATE.fullmatch(text):
        day, month, year = found.groups()
    else:
        return _date(text)
    return _date(f"{year}-{int(month):02}-{int(day):02}")


def parse_tag(text: str) -> str:
    """One tag without its surrounding blanks. Raises ValueError with a message for the person who wrote it."""
    tag = unicodedata.normalize("NFC", text.strip())
    if not tag:
        raise ValueError("A tag may not be empty.")
    if len(tag) > TAG_CHARS_MAX:
        raise ValueError(f"A tag may be at most {TAG_CHARS_MAX} characters long.")
    if not is_storable(tag) or not tag.isprintable():
        raise ValueError("A tag may not hold control characters.")
    return tag


def _text(value: str) -> str:
    text = unicodedata.normalize("NFC", value)
    if len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"A text may be at most {TEXT_CHARS_MAX} characters long.")
    if not is_storable(text):
        raise ValueError("A text may not hold a NUL character or an unpaired surrogate.")
    return text


def _number(value: float) -> int | float:
    # A whole number is checked as an integer: a very long one cannot be converted to a float.
    if abs(value) > _EXACT_INTEGER_MAX if isinstance(value, int) else not math.isfinite(value):
        raise ValueError("The number is too large.")
    return value


def _date(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("A date as YYYY-MM-DD is expected.") from error
    if day.isoformat() != text:
        raise ValueError("A date as YYYY-MM-DD is expected.")
    return text
