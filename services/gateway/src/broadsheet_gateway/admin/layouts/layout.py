"""A layout as its pages have it, and the faults of its source at their lines; pure."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from broadsheet_common.http.problems import FieldProblem

FAULTS_SHOWN_MAX: Final = 50
LINE_CHARS_SHOWN_MAX: Final = 200

_AT_LINE: Final = re.compile(r"Line (\d{1,9}): (.*)", re.DOTALL)

STARTER: Final = """<!doctype html>
<html>
<head>
<meta charset="utf-8">
<style>
body { font-family: Georgia, serif; line-height: 1.5; }
.sheet { max-width: 38em; margin: 0 auto; padding: 1em; }
</style>
</head>
<body>
<div class="sheet">
{{ content }}
</div>
</body>
</html>
"""
"""What a new layout begins with."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The names are the API's (`GET /api/v1/layouts/{id}`)."""

    id: int
    name: str
    format: Literal["html", "mjml"]
    source: str
    updated_at: datetime


class SourceFault(msgspec.Struct, frozen=True):
    """`line` counts from 1; None: of the whole source. `text`: what stands in that line."""

    detail: str
    line: int | None = None
    text: str = ""


def faults_of(problems: Iterable[FieldProblem], source: str) -> tuple[SourceFault, ...]:
    """The faults of the source, in the service's order, each with the line that it is about."""
    lines = source.split("\n")
    found: list[SourceFault] = []
    for problem in problems:
        if problem.pointer != "/source" or len(found) == FAULTS_SHOWN_MAX:
            continue
        at = _AT_LINE.fullmatch(problem.detail)
        if at is None:
            found.append(SourceFault(problem.detail))
            continue
        number = int(at[1])
        text = lines[number - 1].strip()[:LINE_CHARS_SHOWN_MAX] if 1 <= number <= len(lines) else ""
        found.append(SourceFault(at[2], number, text))
    return tuple(found)
