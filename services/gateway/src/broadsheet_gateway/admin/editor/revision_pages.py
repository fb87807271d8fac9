"""`/admin/issues/{id}/revisions`: every save of an issue, what each changed, and the way back."""

from typing import Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.pagination import Page
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.editor.draft import Draft
from broadsheet_gateway.admin.editor.open_draft import ask_draft
from broadsheet_gateway.admin.editor.views import FieldChange, RevisionPage, RevisionRow, RevisionsPage
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, parse_id, refusal_sentence
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode

REVISIONS_SHOWN: Final = 50
_READS: Final = needs("issues:read")


class _Changes(msgspec.Struct, frozen=True):
    before: int
    after: int
    changes: tuple[FieldChange, ...]


@get("/issues/{issue_id:str}/revisions", include_in_schema=False, opt=_READS)
async def show_revisions(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    number = parse_id(issue_id)
    issue = (await ask_draft(context.calls, number)).value
    query = {"limit": REVISIONS_SHOWN, "cursor": context.request.query_params.get("cursor")}
    page = await context.calls.get("publishing", f"/api/v1/issues/{number}/revisions", Page[RevisionRow], query)
    names = await names_of((row.saved_by for row in page.items), context.engine)
    rows = (msgspec.structs.replace(row, saved_by=names.get(row.saved_by, row.saved_by)) for row in page.items)
    return context.responder.page(
        RevisionsPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            issue_id=number,
            newsletter_id=issue.newsletter_id,
            title=issue.title,
            is_draft=issue.status is IssueStatus.DRAFT,
            current_version=issue.version,
            revisions=tuple(rows),
            next_cursor=page.next_cursor,
        )
    )


@get("/issues/{issue_id:str}/revisions/{version:str}", include_in_schema=False, opt=_READS)
async def show_revision(
    issue_id: FromPath[str],
    version: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """What changed between that save and the issue as it is; or another save, which `?with=` names."""
    view = await _show(
        context.calls,
        context.session,
        context.engine,
        parse_id(issue_id),
        parse_id(version),
        other=context.request.query_params.get("with"),
    )
    return context.responder.page(view)


@post("/issues/{issue_id:str}/revisions/{version:str}/restore", include_in_schema=False, opt=needs("issues:write"))
async def submit_restore(
    issue_id: FromPath[str],
    version: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """The draft becomes what it was, as a new save: this too can be taken back."""
    form = await context.read_form()
    number, wanted = parse_id(issue_id), parse_id(version)
    try:
        await context.calls.send(
            "publishing",
            "POST",
            f"/api/v1/issues/{number}/revisions/{wanted}/restore",
            Draft,
            if_match=form.text("etag") or None,
        )
    except UpstreamRefusalError as refusal:
        view = await _show(context.calls, context.session, context.engine, number, wanted, other=None)
        error = _CHANGED if refusal.slug == "precondition-failed" else refusal_sentence(refusal)
        return context.responder.page(msgspec.structs.replace(view, form_error=error), status=refusal.status)
    return context.responder.redirect(f"/admin/issues/{number}/edit", flash=FlashCode.DRAFT_RESTORED)


_CHANGED: Final = "The draft was saved meanwhile, so nothing was changed. This page shows it as it is now."


async def _show(
    calls: ServiceCalls, session: Session, engine: AsyncEngine, number: int, version: int, *, other: str | None
) -> RevisionPage:
    found = await ask_draft(calls, number)
    issue = found.value
    compared_with = parse_id(other) if other else issue.version
    base = f"/api/v1/issues/{number}/revisions/{version}"
    row = await calls.get("publishing", base, RevisionRow)
    changes: tuple[FieldChange, ...] = ()
    if compared_with != version:
        compared = await calls.get("publishing", f"{base}/changes", _Changes, {"with": compared_with})
        changes = compared.changes
    names = await names_of([row.saved_by], engine)
    is_draft = issue.status is IssueStatus.DRAFT
    return RevisionPage(
        signed_in=session.signed_in,
        issue_id=number,
        newsletter_id=issue.newsletter_id,
        title=issue.title,
        version=version,
        other_version=compared_with,
        current_version=issue.version,
        saved_at=row.saved_at,
        saved_by=names.get(row.saved_by, row.saved_by),
        changes=changes,
        may_restore=is_draft and version != issue.version and "issues:write" in session.rights.anywhere,
        etag=found.etag,
    )


REVISION_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_revisions, show_revision, submit_restore)
