"""Subject and preheader: what a reader sees in the list of mails; pure."""

from collections.abc import Iterator
from typing import Final

import regex  # type: ignore[import-untyped]  # it ships no types

from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.reading.liquid_markup import shield
from broadsheet_publishing.compiling.compiled_issue import Field
from broadsheet_publishing.compiling.issue_source import IssueSource

SUBJECT_CHARS_MAX: Final = 60
PREHEADER_CHARS_MIN: Final = 30
PREHEADER_CHARS_MAX: Final = 110
_SHOUTED_LETTERS_MIN: Final = 8
_SHOUTED_SHARE: Final = 0.8
_CHARACTER: Final = regex.compile(r"\X")
_CASED: Final = regex.compile(r"[\p{Lu}\p{Ll}]")
_CAPITAL: Final = regex.compile(r"\p{Lu}")
_EXCESS: Final = regex.compile(r"[!?]{2,}|[!?].*[!?].*[!?]|\${2,}|€{2,}|\.{4,}")


def characters(text: str) -> int:
    """As a reader counts them: an emoji of several code points is one."""
    return sum(1 for _ in _CHARACTER.finditer(text))


def check_subject(source: IssueSource, rendered: str | None) -> Iterator[Finding]:
    """`rendered`: of the sample person; None: there is none."""
    field: Field = "title" if source.subject is None else "subject"
    written = source.title if source.subject is None else source.subject
    if not written.strip():
        yield Finding(
            code="subject-empty",
            severity="blocks",
            detail="The subject is empty.",
            advice="Write one: it is the first thing that readers see.",
            field=field,
        )
        return
    liquid = shield(written)
    text = rendered if rendered is not None else liquid.readable(liquid.text)
    length = characters(text)
    if length > SUBJECT_CHARS_MAX:
        yield Finding(
            code="subject-long",
            severity="warns",
            detail=f"The subject has {length} characters; phones and many programs cut it after {SUBJECT_CHARS_MAX}.",
            advice="Put what matters first, or write less.",
            field=field,
            data={"characters": length, "characters_max": SUBJECT_CHARS_MAX},
        )
    # Of what the author wrote: a reader's name in capitals is no shouting.
    own = liquid.without_marks(liquid.text)
    cased = len(_CASED.findall(own))
    if cased >= _SHOUTED_LETTERS_MIN and len(_CAPITAL.findall(own)) >= _SHOUTED_SHARE * cased:
        yield Finding(
            code="subject-shouting",
            severity="notes",
            detail="The subject is in capitals: it reads like shouting, and filters count it.",
            advice="Write it as a sentence.",
            field=field,
        )
    if (found := _EXCESS.search(own)) is not None:
        yield Finding(
            code="subject-punctuation",
            severity="notes",
            detail=f"The subject has a lot of punctuation ('{found[0][:20]}'): filters count it.",
            advice="One mark is enough.",
            field=field,
        )


def check_preheader(source: IssueSource) -> Iterator[Finding]:
    liquid = shield(source.preheader)
    length = characters(liquid.readable(liquid.text).strip())
    if length == 0:
        yield Finding(
            code="preheader-missing",
            severity="notes",
            detail="There is no preheader: mail programs show the mail's first words beside the subject.",
            advice="Write a sentence that goes on where the subject ends.",
            field="preheader",
        )
    elif length < PREHEADER_CHARS_MIN:
        yield Finding(
            code="preheader-short",
            severity="notes",
            detail=f"The preheader has {length} characters: mail programs fill up with the mail's first words.",
            advice=f"Write {PREHEADER_CHARS_MIN} characters or more.",
            field="preheader",
            data={"characters": length},
        )
    elif length > PREHEADER_CHARS_MAX:
        yield Finding(
            code="preheader-long",
            severity="notes",
            detail=f"The preheader has {length} characters; programs show {PREHEADER_CHARS_MAX} at most.",
            advice="Put what matters first, or write less.",
            field="preheader",
            data={"characters": length},
        )
