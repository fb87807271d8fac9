"""Which findings of a Markdown issue are about what stands around its text, and not about the text; pure.

An author of Markdown sees neither the layout nor the HTML that is made of their words. So what their own text does not
hold is said to be the layout's, and where it is mended. The layout that ships is made to be fine without what some
programs drop of it: nothing of that is said.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from broadsheet_publishing.checks.finding import Finding

_OF_DESIGN: Final = frozenset({"background-without-colour", "client-support", "colour-without-background"})
"""The shipped layout was looked at in the programs, and in the dark."""
_OF_DOCUMENT: Final = frozenset({"direction-differs", "footer-is-added", "language-differs"})
"""What only a whole document can do: a Markdown text has no `<html>` and no foot."""
_OF_ALL: Final = frozenset({"check-did-not-run", "direction-unlike-text"})
"""What is about the checks, or about the text and the newsletter together."""
_IDENTIFYING: Final = ("background", "colour", "feature", "href", "name", "src")


def told_apart(findings: Iterable[Finding], of_text: Iterable[Finding], *, layout_id: int | None) -> Iterator[Finding]:
    """`findings` of the whole mail, `of_text` of its text alone. `layout_id` None: the layout that ships."""
    own = {_key(finding) for finding in of_text}
    for finding in findings:
        is_own = finding.code in _OF_ALL or _key(finding) in own
        if is_own and finding.code not in _OF_DOCUMENT:
            yield finding
        elif layout_id is not None:
            yield _of_layout(finding, layout_id)
        elif finding.code not in _OF_DESIGN:
            yield msgspec.structs.replace(
                finding,
                detail=f"{finding.detail} It stands around your text.",
                advice="Name, logo and foot of the mail come from the newsletter's settings: change it there.",
                field=None,
                line=None,
                column=None,
            )


def _of_layout(finding: Finding, layout_id: int) -> Finding:
    return msgspec.structs.replace(
        finding,
        detail=f"{finding.detail} It comes from the layout, not from your text.",
        advice=f"In the layout: {finding.advice[:1].lower()}{finding.advice[1:]}" if finding.advice else "",
        field="layout",
        line=None,
        column=None,
        data=finding.data | {"layout_id": layout_id},
    )


def _key(finding: Finding) -> tuple[str, ...]:
    return (finding.code, *(str(finding.data.get(name, "")) for name in _IDENTIFYING))
