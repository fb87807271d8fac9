"""One thing to mend, or to know, before an issue is sent; and the table of all of them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from broadsheet_publishing.compiling.compiled_issue import Field

Severity = Literal["blocks", "warns", "notes"]
"""`blocks`: the issue must not be sent like this. `warns`: somebody should look. `notes`: good to know."""
Value = str | int | float | bool | tuple[str, ...]

FINDINGS_OF_A_CODE_MAX: Final = 50


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`field`, `line` and `column` say where in the source, counted from 1; None: of the whole field, or issue."""

    code: str
    """One of `CODES`."""
    severity: Severity
    detail: str
    """What is the matter."""
    advice: str
    """What to do. Empty for a fact."""
    field: Field | None = None
    line: int | None = None
    column: int | None = None
    variant: int | None = None
    """Of the issue's A/B test, if it is not the issue itself."""
    data: dict[str, Value] = {}
    """Values for programs; their names belong to the code."""


CODES: Final[dict[str, tuple[Severity, ...]]] = {
    "ab-test-not-measured": ("blocks",),
    "active-content": ("warns",),
    "background-without-colour": ("notes",),
    "check-did-not-run": ("warns",),
    "client-support": ("warns", "notes"),
    "colour-without-background": ("warns", "notes"),
    "compile-fault": ("blocks",),
    "content-empty": ("blocks",),
    "direction-differs": ("warns",),
    "direction-unlike-text": ("warns",),
    "field-without-default": ("warns",),
    "footer-is-added": ("notes",),
    "image-address-broken": ("blocks",),
    "image-inline-data": ("warns",),
    "image-over-http": ("warns",),
    "image-width-not-numeric": ("warns",),
    "image-without-alt": ("warns",),
    "images-many": ("notes",),
    "language-differs": ("warns",),
    "link-empty": ("blocks",),
    "link-field-may-be-no-address": ("warns",),
    "link-malformed": ("blocks",),
    "link-not-made": ("warns",),
    "link-over-http": ("warns",),
    "link-placeholder": ("warns",),
    "link-relative": ("blocks",),
    "link-scheme-not-allowed": ("blocks",),
    "link-target-missing": ("warns",),
    "link-to-private-host": ("blocks",),
    "link-unreachable": ("warns",),
    "link-without-text": ("warns",),
    "mail-not-renderable": ("blocks",),
    "postal-address-missing": ("blocks",),
    "preheader-long": ("notes",),
    "preheader-missing": ("notes",),
    "preheader-short": ("notes",),
    "reading-time": ("notes",),
    "sender-missing": ("blocks",),
    "sender-not-confirmed": ("blocks",),
    "sent-before": ("warns",),
    "size-near-gmail-limit": ("warns",),
    "size-over-gmail-limit": ("warns",),
    "size-over-postmark-limit": ("blocks",),
    "stream-mismatch": ("blocks",),
    "subject-empty": ("blocks",),
    "subject-long": ("warns",),
    "subject-punctuation": ("notes",),
    "subject-shouting": ("notes",),
    "text-part-differs": ("warns",),
    "text-part-missing": ("warns",),
    "tracking-of-protected-link": ("blocks", "warns"),
    "unsubscribe-link-missing": ("blocks",),
}
"""Every code with the severities that it may have. Stable: programs may depend on them. See docs/checks.md."""

CheckName = Literal[
    "subject", "preheader", "text-part", "links", "images", "colours", "clients", "language", "footer", "size",
    "tracking", "fields", "sender", "stream", "sent-before", "reading-time",
]  # fmt: skip


def did_not_run(checks: Sequence[CheckName], why: str, *, advice: str) -> Finding:
    """Nothing is known about what `checks` look for. `why`: a sentence. `advice`: how to find out all the same."""
    names = ", ".join(check.replace("-", " ") for check in checks)
    return Finding(
        code="check-did-not-run",
        severity="warns",
        detail=f"{'This check' if len(checks) == 1 else 'These checks'} did not run: {names}. {why}",
        advice=advice,
        data={"checks": tuple(checks)},
    )


def bounded(findings: Iterable[Finding]) -> list[Finding]:
    """At most `FINDINGS_OF_A_CODE_MAX` of a code; the last of them says in `data` how many `more` there are."""
    kept: list[Finding] = []
    last: dict[str, int] = {}
    count: dict[str, int] = {}
    for finding in findings:
        count[finding.code] = count.get(finding.code, 0) + 1
        if count[finding.code] <= FINDINGS_OF_A_CODE_MAX:
            last[finding.code] = len(kept)
            kept.append(finding)
    for code, number in count.items():
        if number > FINDINGS_OF_A_CODE_MAX:
            place = last[code]
            data = kept[place].data | {"more": number - FINDINGS_OF_A_CODE_MAX}
            kept[place] = msgspec.structs.replace(kept[place], data=data)
    return kept
