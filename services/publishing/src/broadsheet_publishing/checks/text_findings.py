"""The words of a mail: whether there are any, in both parts the same, and how many; pure."""

from collections.abc import Iterator
from typing import Final

from broadsheet_publishing.checks.finding import Finding
from broadsheet_publishing.checks.reading.liquid_markup import shield
from broadsheet_publishing.checks.reading.mail_document import MailDocument
from broadsheet_publishing.checks.reading.reading_time import length_of, words_of
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, Field
from broadsheet_publishing.compiling.issue_source import IssueSource

_COMPARED_WORDS_MIN: Final = 20
_SHARED_MIN: Final = 0.5


def check_text_part(source: IssueSource, compiled: CompiledIssue, document: MailDocument | None) -> Iterator[Finding]:
    """`document` None: the mail is plain text only."""
    liquid = shield(compiled.text_content)
    text = liquid.without_marks(liquid.text)
    has_pictures = document is not None and bool(document.images)
    seen = document.text if document is not None else ""
    if not (text.strip() or seen.strip() or has_pictures or liquid.outputs):
        yield Finding(
            code="content-empty",
            severity="blocks",
            detail="The mail has neither words nor pictures.",
            advice="Write something.",
            field="content",
        )
        return
    field: Field = "content" if source.text_content is None else "text_content"
    if not compiled.text_content.strip():
        yield Finding(
            code="text-part-missing",
            severity="warns",
            detail="The plain text is empty: some readers see no HTML, and filters expect both.",
            advice="Write one, or leave it out, so that it is made from the content.",
            field=field,
        )
    elif document is not None and (shared := _shared(seen, text)) is not None and shared < _SHARED_MIN:
        yield Finding(
            code="text-part-differs",
            severity="warns",
            detail=f"The plain text shares {shared:.0%} of its words with the HTML: filters take that for a trick.",
            advice="Say the same in both, or leave the plain text out, so that it is made from the content.",
            field=field,
            data={"shared": round(shared, 2)},
        )


def _shared(one: str, other: str) -> float | None:
    """The smaller share of words of one text that are in the other; None: too few to compare."""
    first, second = set(words_of(one)), set(words_of(other))
    if max(len(first), len(second)) < _COMPARED_WORDS_MIN:
        return None
    both = len(first & second)
    return min(both / len(first) if first else 0.0, both / len(second) if second else 0.0)


def check_reading_time(compiled: CompiledIssue, document: MailDocument | None) -> Iterator[Finding]:
    """A fact, for every issue."""
    if document is None:
        liquid = shield(compiled.text_content)
        text = liquid.without_marks(liquid.text)
    else:
        text = document.text
    length = length_of(text)
    yield Finding(
        code="reading-time",
        severity="notes",
        detail=f"The mail has {length.words} words; reading it takes about {max(1, round(length.seconds / 60))} min.",
        advice="",
        data={"word_count": length.words, "reading_time_s": length.seconds},
    )
