"""What a draft may hold, pure. It may be empty and wrong; refused is only what cannot be kept or sent by any means."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from broadsheet_common.http.plain_text import is_storable
from broadsheet_common.http.problems import FieldProblem, InvalidInputError
from broadsheet_common.mail.mail_subject import SUBJECT_UTF16_UNITS_MAX
from broadsheet_publishing.compiling.issue_source import CONTENT_BYTES_MAX, Format
from broadsheet_publishing.variants.ab_test import AbTest, OtherVersion

PREHEADER_CHARS_MAX: Final = 1_000
SLUG_CHARS_MAX: Final = 100

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
# Control characters, line and paragraph separators, unpaired surrogates: nothing that a header may hold.
_FORBIDDEN_IN_LINES: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a draft that a revision keeps."""

    title: str = ""
    subject: str | None = None
    preheader: str = ""
    format: Format = "markdown"
    content: str = ""
    text_content: str | None = None
    layout_id: int | None = None
    ab_test: AbTest | None = None

    @property
    def size_bytes(self) -> int:
        test = None if self.ab_test is None else msgspec.json.encode(self.ab_test).decode()
        texts = (self.title, self.subject, self.preheader, self.content, self.text_content, test)
        return sum(len(text.encode()) for text in texts if text is not None)


DRAFT_FIELDS: Final = frozenset(Draft.__struct_fields__)
SETTABLE: Final = DRAFT_FIELDS | {"segment_id", "slug", "in_archive"}
"""What an author sets of an issue."""


def variants_of(draft: Draft) -> tuple[Draft, ...]:
    """The versions that are mailed: the draft itself, and what its A/B test makes of it."""
    others = () if draft.ab_test is None else draft.ab_test.others
    own = msgspec.structs.replace(draft, ab_test=None)
    return own, *(_variant(own, other) for other in others)


def _variant(draft: Draft, other: OtherVersion) -> Draft:
    given = {name: value for name, value in msgspec.structs.asdict(other).items() if value is not None}
    # An own plain text belongs to the content that it was written for.
    text_content = draft.text_content if other.content is None else None
    return msgspec.structs.replace(draft, **given, text_content=text_content)


def parse_draft(given: Mapping[str, object]) -> dict[str, object]:
    """The values to store, by column. `given` holds the fields that were sent, of the types that the API names.

    Raises:
        InvalidInputError: names every field at fault.
    """
    problems: list[FieldProblem] = []
    parsed: dict[str, object] = {}
    for field, value in given.items():
        assert field in SETTABLE, field
        if isinstance(value, AbTest):
            parsed[field] = _ab_test(value, problems)
            continue
        try:
            parsed[field] = _PARSERS[field](str(value)) if field in _PARSERS and value is not None else value
        except ValueError as error:
            problems.append(FieldProblem(pointer=f"/{field}", detail=str(error)))
    if problems:
        raise InvalidInputError(errors=tuple(problems))
    return parsed


def _ab_test(test: AbTest, problems: list[FieldProblem]) -> AbTest:
    """Adds what is wrong with it to `problems`."""
    others = []
    for place, other in enumerate(test.others):
        pointer = f"/ab_test/others/{place}"
        parsed: dict[str, str] = {}
        for field, value in msgspec.structs.asdict(other).items():
            if value is None:
                continue
            try:
                parsed[field] = _PARSERS[field](value)
            except ValueError as error:
                problems.append(FieldProblem(pointer=f"{pointer}/{field}", detail=str(error)))
        if all(value is None for value in msgspec.structs.asdict(other).values()):
            detail = "It is the same as the issue: give it a subject, a preheader or a content of its own."
            problems.append(FieldProblem(pointer=pointer, detail=detail))
        others.append(OtherVersion(**parsed))
    return msgspec.structs.replace(test, others=tuple(others))


def _header_line(text: str) -> str:
    # Looked for in the raw text: a title that ends in a line break was meant to hold more.
    if {unicodedata.category(char) for char in text} & _FORBIDDEN_IN_LINES:
        raise ValueError("It may not hold line breaks or control characters.")
    line = text.strip()
    if len(line.encode("utf-16-le")) // 2 > SUBJECT_UTF16_UNITS_MAX:
        raise ValueError(f"It may be at most {SUBJECT_UTF16_UNITS_MAX} characters long (UTF-16 units).")
    return line


def _preheader(text: str) -> str:
    line = _header_line(text)
    if len(line) > PREHEADER_CHARS_MAX:
        raise ValueError(f"It may be at most {PREHEADER_CHARS_MAX} characters long.")
    return line


def _content(text: str) -> str:
    if not is_storable(text):
        raise ValueError("Content may not hold a NUL character or an unpaired surrogate.")
    size = len(text.encode())
    if size > CONTENT_BYTES_MAX:
        raise ValueError(f"Content may be at most {CONTENT_BYTES_MAX} bytes; this is {size}.")
    return text


def _slug(text: str) -> str:
    slug = text.strip()
    if _SLUG.fullmatch(slug) is None:
        raise ValueError("A slug is 1 to 100 of a-z, 0-9 and -, and does not begin with -.")
    return slug


_PARSERS: Final[Mapping[str, Callable[[str], str]]] = {
    "title": _header_line,
    "subject": _header_line,
    "preheader": _preheader,
    "content": _content,
    "text_content": _content,
    "slug": _slug,
}
"""Fields without a rule here are choices and numbers, which their types bound."""
