"""An issue as the API shows it: with its progress and its content."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from broadsheet_publishing.compiling.compiler import Compiler
from broadsheet_publishing.drafts.draft import Draft
from broadsheet_publishing.drafts.find_faults import find_faults
from broadsheet_publishing.drafts.interface import read_draft
from broadsheet_publishing.issues import store
from broadsheet_publishing.issues.wire import Issue, issue_summary


async def show_issue(
    connection: AsyncConnection, row: store.IssueRow, *, known: Mapping[str, object] = MappingProxyType({})
) -> Issue:
    """Without a draft's faults: they are looked for when the transaction has ended. `known`: as for `read_draft`."""
    progress = await store.read_progress(connection, [row.id]) if row.status == "published" else {}
    draft = await read_draft(connection, row.id, known=known)
    summary = issue_summary(row, progress)
    return Issue(
        **{name: getattr(summary, name) for name in summary.__struct_fields__},
        layout_id=draft.layout_id,
        content=draft.content,
        text_content=draft.text_content,
        ab_test=draft.ab_test,
        faults=(),
    )


async def with_faults(issue: Issue, attributes: frozenset[str], compiler: Compiler) -> Issue:
    """With the faults of a draft. `attributes`: the names that merge fields may use."""
    if issue.status != "draft":
        return issue
    draft = Draft(**{name: getattr(issue, name) for name in Draft.__struct_fields__})
    return msgspec.structs.replace(issue, faults=await find_faults(draft, attributes, compiler))
