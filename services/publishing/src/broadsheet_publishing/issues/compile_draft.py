"""Compile a draft: read it and what its newsletter adds, then compile outside of any transaction.

What is compiled is used only if the draft is still the version that was read.
"""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broadsheet_common.http.problems import FieldProblem, NotFoundError, ProblemError
from broadsheet_publishing.compiling.compiled_issue import CompiledIssue, CompileError, Fault
from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.compiling.issue_source import IssueSource, Layout, Look
from broadsheet_publishing.drafts.draft import Draft, variants_of
from broadsheet_publishing.drafts.interface import read_draft
from broadsheet_publishing.issues import store
from broadsheet_publishing.layouts.interface import find_layout
from broadsheet_publishing.newsletters.installation import Installation
from broadsheet_publishing.newsletters.interface import NewsletterRow, find_newsletter
from broadsheet_publishing.newsletters.readiness import require_ready
from broadsheet_publishing.variants.ab_test import AbTest


class IssueHasFaultsError(ProblemError):
    slug, title, status = "issue-has-faults", "The issue cannot be made into a mail", 422

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(
            errors=tuple(FieldProblem(pointer=fault.pointer, detail=_at_its_place(fault)) for fault in faults)
        )
        self.faults = faults


class CompileInput(msgspec.Struct, frozen=True, kw_only=True):
    """All that the compiled issue is made of, as it was at one moment. `others`: the other variants of its A/B test.
    `layout` and `layout_id` None: the layout that ships.
    """

    source: IssueSource
    others: tuple[IssueSource, ...] = ()
    ab_test: AbTest | None = None
    layout: Layout | None
    layout_id: int | None = None
    look: Look
    attributes: frozenset[str]


class CompiledDraft(msgspec.Struct, frozen=True, kw_only=True):
    """`version` of the issue that it was made of; `issue_id` 0: one that is not there yet. `others`: the other variants
    of its A/B test.
    """

    issue_id: int
    version: int
    content: CompiledIssue
    others: tuple[CompiledIssue, ...] = ()
    given: CompileInput
    newsletter: NewsletterRow


async def read_compile_input(
    connection: AsyncConnection, draft: Draft, newsletter: NewsletterRow, *, in_archive: bool
) -> CompileInput:
    layout_id = draft.layout_id or newsletter.layout_id
    own, *others = (_source(variant) for variant in variants_of(draft))
    return CompileInput(
        source=own,
        others=tuple(others),
        ab_test=draft.ab_test,
        layout=None if layout_id is None else await find_layout(connection, layout_id),
        layout_id=layout_id,
        look=Look(
            newsletter_name=newsletter.name,
            postal_address=newsletter.postal_address,
            language=newsletter.language,
            direction=newsletter.direction,
            accent_colour=newsletter.accent_colour,
            logo_url=newsletter.logo_url,
            logo_alt=newsletter.logo_alt,
            has_archive=in_archive,
        ),
        attributes=await store.read_attribute_names(connection),
    )


def _source(draft: Draft) -> IssueSource:
    return IssueSource(
        title=draft.title,
        subject=draft.subject,
        preheader=draft.preheader,
        format=draft.format,
        content=draft.content,
        text_content=draft.text_content,
    )


async def compile_input(compiler: Compiler, given: CompileInput, *, variant: int = 1) -> CompiledIssue:
    """One variant, which must be there. Raises `IssueHasFaultsError`."""
    source = (given.source, *given.others)[variant - 1]
    try:
        return await compiler.compile(source, layout=given.layout, look=given.look, attributes=given.attributes)
    except CompileError as error:
        faults = error.faults
        if variant > 1:
            faults = tuple(msgspec.structs.replace(fault, variant=variant) for fault in faults)
        raise IssueHasFaultsError(faults) from error


async def compile_variants(compiler: Compiler, given: CompileInput) -> tuple[CompiledIssue, ...]:
    """All variants in order. Raises `IssueHasFaultsError`."""
    count = 1 + len(given.others)
    return tuple([await compile_input(compiler, given, variant=variant) for variant in range(1, count + 1)])


async def compile_draft(
    engine: AsyncEngine, compiler: Compiler, installation: Installation, issue_id: int
) -> CompiledDraft | None:
    """None for an issue that was published or cancelled: whoever asked will be told by the step itself.

    Raises:
        NotFoundError, NewsletterNotReadyError, IssueHasFaultsError
    """
    async with engine.connect() as connection:
        row = await store.find_issue(connection, issue_id)
        if row is None:
            raise NotFoundError("There is no such issue.")
        if row.status not in {"draft", "scheduled"}:
            return None
        newsletter = await find_newsletter(connection, row.newsletter_id)
        assert newsletter is not None, "the issue's foreign key"
        require_ready(newsletter, installation)
        draft = await read_draft(connection, issue_id)
        given = await read_compile_input(
            connection, draft, newsletter, in_archive=is_in_archive(row.in_archive, row.segment_id, newsletter)
        )
    content, *others = await compile_variants(compiler, given)
    return CompiledDraft(
        issue_id=issue_id,
        version=row.version,
        content=content,
        others=tuple(others),
        given=given,
        newsletter=newsletter,
    )


def is_in_archive(chosen: bool | None, segment_id: int | None, newsletter: NewsletterRow) -> bool:
    """`chosen`: what the issue says. What goes to a segment alone is not for everybody, unless its author says so."""
    return newsletter.has_archive and (segment_id is None if chosen is None else chosen)


def _at_its_place(fault: Fault) -> str:
    if fault.line is None:
        return fault.detail
    column = "" if fault.column is None else f", column {fault.column}"
    return f"Line {fault.line}{column}: {fault.detail}"
