"""Where in the source something stands that was found in the mail made of it; pure."""

from collections.abc import Iterable

import msgspec

from broadsheet_publishing.compiling.compiled_issue import Field
from broadsheet_publishing.compiling.issue_source import IssueSource


class Place(msgspec.Struct, frozen=True):
    """`line` and `column` count from 1; None where the text is not found as it stands."""

    field: Field
    line: int | None = None
    column: int | None = None


def place_in_content(source: IssueSource, *texts: str) -> Place:
    """The first place of the first of `texts` that the content holds. The compiler rewrites, so it is a good guess."""
    return place_at("content", source.content, texts)


def place_at(field: Field, content: str, texts: Iterable[str]) -> Place:
    for text in texts:
        at = content.find(text) if text else -1
        if at >= 0:
            return Place(field, content.count("\n", 0, at) + 1, at - content.rfind("\n", 0, at))
    return Place(field)
