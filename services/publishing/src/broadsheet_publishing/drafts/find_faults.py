"""Why a draft cannot be published as it is, as far as its templates alone say. It is quick: every save asks."""

import asyncio
from typing import Final

import msgspec

from broadsheet_common.mail.template_work import Work
from broadsheet_publishing.compiling.compiled_issue import CompileError, Fault
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.compiling.issue_source import IssueSource, Look
from broadsheet_publishing.compiling.template_faults import faults_of_preheader, faults_of_source, faults_of_title
from broadsheet_publishing.drafts.draft import Draft, variants_of

_OF_TEMPLATES: Final = frozenset({"template-syntax", "unknown-field"})
_ANY_LOOK: Final = Look(newsletter_name="Newsletter", postal_address="1 Example Street")


async def find_faults(draft: Draft, attributes: frozenset[str], compiler: Compiler) -> tuple[Fault, ...]:
    """Of all variants. `attributes`: the names that merge fields may use."""
    own, *others = variants_of(draft)
    found = list(await _faults_of(own, attributes, compiler))
    for number, other in enumerate(others, start=2):
        faults = await _faults_of(other, attributes, compiler)
        # What a variant has from the issue itself is told once.
        found += [
            msgspec.structs.replace(fault, variant=number)
            for fault in faults
            if getattr(other, fault.field, None) != getattr(own, fault.field, None)
        ]
    return tuple(found)


async def _faults_of(draft: Draft, attributes: frozenset[str], compiler: Compiler) -> tuple[Fault, ...]:
    # Parsing texts of the largest size takes about half a second: not on the event loop.
    found = await asyncio.to_thread(_quick_faults, draft, attributes)
    if draft.format != "markdown" or not any(fault.field == "content" for fault in found):
        return found
    # Markdown shows the Liquid in code as it is written, and only its own parser knows where code is.
    others = tuple(fault for fault in found if fault.field != "content")
    return others + await _faults_of_markdown(draft, attributes, compiler)


def _quick_faults(draft: Draft, attributes: frozenset[str]) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    if draft.title:
        faults += faults_of_title(draft.title, "title", Work(), attributes)
    if draft.subject:
        faults += faults_of_title(draft.subject, "subject", Work(), attributes)
    faults += faults_of_preheader(draft.preheader, attributes)
    faults += faults_of_source(draft.content, "content", "text" if draft.format == "text" else "html", attributes)
    if draft.text_content is not None:
        faults += faults_of_source(draft.text_content, "text_content", "text", attributes)
    return tuple(faults)


async def _faults_of_markdown(draft: Draft, attributes: frozenset[str], compiler: Compiler) -> tuple[Fault, ...]:
    source = IssueSource(title="Title", content=draft.content)
    try:
        await compiler.compile(source, layout=None, look=_ANY_LOOK, attributes=attributes)
    except CompileError as error:
        return tuple(fault for fault in error.faults if fault.field == "content" and fault.code in _OF_TEMPLATES)
    return ()
