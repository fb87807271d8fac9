"""Why a draft cannot be published as it is, as far as its templates alone say. It is quick: every save asks."""

import asyncio
from collections.abc import Iterator
from typing import Final

from broadsheet_common.mail import mail_template
from broadsheet_common.mail.mail_template import TITLE_VARIABLES
from broadsheet_common.mail.template_work import TemplateError
from broadsheet_publishing.compiling.compiled_issue import Fault, Field
from broadsheet_publishing.drafts.draft import Draft

_ONE_LINE: Final[tuple[Field, ...]] = ("title", "subject", "preheader")


async def find_faults(draft: Draft, attributes: frozenset[str]) -> tuple[Fault, ...]:
    """`attributes`: the names that merge fields may use."""
    # Parsing texts of the largest size takes about half a second: not on the event loop.
    return await asyncio.to_thread(lambda: tuple(_faults(draft, attributes)))


def _faults(draft: Draft, attributes: frozenset[str]) -> Iterator[Fault]:
    for field in _ONE_LINE:
        yield from _faults_of(field, getattr(draft, field), attributes, allowed=TITLE_VARIABLES)
    yield from _faults_of("content", draft.content, attributes)
    yield from _faults_of("text_content", draft.text_content, attributes)


def _faults_of(
    field: Field, source: str | None, attributes: frozenset[str], *, allowed: frozenset[str] | None = None
) -> Iterator[Fault]:
    if not source:
        return
    try:
        template = mail_template.parse(source, "text")
    except TemplateError as error:
        yield Fault(code="template-syntax", field=field, detail=str(error), line=error.line)
        return
    for unknown in template.unknown_variables:
        yield Fault(code="unknown-field", field=field, detail=f"There is no field `{unknown.name}`.", line=unknown.line)
