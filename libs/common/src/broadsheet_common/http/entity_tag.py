"""ETag and If-Match on edits: an edit cannot overwrite changes that its author has not seen.

The tag is a hash of the representation, so it needs no column and changes with every value shown.
"""

import hashlib
import re
from typing import Annotated

import msgspec
from litestar.params import HeaderParameter

from broadsheet_common.http.problems import ProblemError

HEADER_CHARS_MAX = 1_000
_CODING = re.compile(r'-(?:gzip|zstd)"')

IfMatchHeader = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        max_length=HEADER_CHARS_MAX,
        description="The `ETag` of the version to change, or `*` for any version.",
    ),
]


class PreconditionRequiredError(ProblemError):
    slug, title, status = "precondition-required", "An edit needs an If-Match header", 428


class PreconditionFailedError(ProblemError):
    slug, title, status = "precondition-failed", "It was changed since it was read", 412


def entity_tag(representation: msgspec.Struct) -> str:
    return f'"{hashlib.sha256(msgspec.json.encode(representation)).hexdigest()[:32]}"'


def edit_tag(edited: msgspec.Struct, representation: msgspec.Struct) -> str:
    """The tag of a representation of which `edited` is what people change, and the rest changes by itself. It changes
    with every value shown, and says apart from that which version of `edited` it is of.
    """
    return f"{entity_tag(edited)[:-1]}.{entity_tag(representation)[1:]}"


def body_tag(body: bytes) -> str:
    """A weak tag of an answer that has none of its own."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'


def with_coding(tag: str, coding: str) -> str:
    """The tag of the same answer in a content coding: other bytes need another strong tag (RFC 9110, 8.8.3.3)."""
    return f'{tag[:-1]}-{coding}"'


def without_coding(tags: str) -> str:
    """The tags of `If-Match` or `If-None-Match` as they were before `with_coding`."""
    return _CODING.sub('"', tags)


def require_match(if_match: str | None, representation: msgspec.Struct) -> None:
    """Check If-Match against the row that the edit has locked.

    Raises:
        PreconditionRequiredError: there is no If-Match.
        PreconditionFailedError: it names another version. Weak tags never match (RFC 9110, section 13.1.1).
    """
    require_tag(if_match, entity_tag(representation))


def require_edit_match(if_match: str | None, edited: msgspec.Struct, representation: msgspec.Struct) -> None:
    """As `require_match`, for an `edit_tag`: what changed by itself since it was read prevents no edit."""
    if if_match is None:
        raise PreconditionRequiredError
    version = entity_tag(edited)[:-1]
    named = {part.strip() for part in if_match.split(",")}
    if "*" not in named and not any(tag.startswith(f"{version}.") for tag in named):
        raise PreconditionFailedError(headers={"ETag": edit_tag(edited, representation)})


def require_tag(if_match: str | None, current: str) -> None:
    """As `require_match`, with the entity tag itself."""
    if if_match is None:
        raise PreconditionRequiredError
    named = {part.strip() for part in if_match.split(",")}
    if "*" not in named and current not in named:
        raise PreconditionFailedError(headers={"ETag": current})
