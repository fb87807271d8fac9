"""`/admin/issues`: all issues; `POST` begins a draft."""

import asyncio
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.pagination import Page
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.editor.draft import Draft
from broadsheet_gateway.admin.editor.open_draft import ask_draft
from broadsheet_gateway.admin.form_keys import form_key_of, new_form_key
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.issues.views import DeleteDraftPage, IssueFilter, IssuesPage, ListedIssue
from broadsheet_gateway.admin.newsletter_facts import ask_newsletters
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, parse_id, refusal_sentence
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode

ISSUES_SHOWN: Final = 30
SEARCH_CHARS_MAX: Final = 200
_READS: Final = needs("issues:read")
_WRITES: Final = needs("issues:write")


@get("/issues", include_in_schema=False, opt=_READS)
async def show_issues(
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _show(context.request, context.session, context.responder, context.calls)
    return context.responder.page(view, status=200 if view.issues is not None else 503)


@post("/issues", include_in_schema=False, opt=_WRITES)
async def submit_new_draft(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """A draft may be empty: it begins in the editor, which keeps every word from the first on."""
    form = await context.read_form()
    chosen = form.text("newsletter_id")
    body = {"newsletter_id": parse_id(chosen) if chosen else None}
    try:
        draft = await context.calls.send(
            "publishing", "POST", "/api/v1/issues", Draft, body=body, idempotency_key=form_key_of(form)
        )
    except (UpstreamRefusalError, ProblemError) as error:
        view = await _show(context.request, context.session, context.responder, context.calls)
        return context.responder.page(
            msgspec.structs.replace(view, form_error=refusal_sentence(error)), status=error.status
        )
    return context.responder.redirect(f"/admin/issues/{draft.id}/edit")


async def _show(request: AnyRequest, session: Session, responder: Responder, calls: ServiceCalls) -> IssuesPage:
    given = request.query_params
    chosen = IssueFilter(
        newsletter_id=_number_or_nothing(str(given.get("newsletter_id", ""))),
        status=_status_or_nothing(str(given.get("status", ""))),
        search=str(given.get("search", "")).strip()[:SEARCH_CHARS_MAX],
    )
    filters = msgspec.structs.asdict(chosen)
    cursor = given.get("cursor")
    query = {**filters, "limit": ISSUES_SHOWN, "cursor": cursor}
    found, newsletters = await asyncio.gather(
        or_none(calls.get("publishing", "/api/v1/issues", Page[ListedIssue], query)),
        or_none(ask_newsletters(calls)),
    )
    next_cursor = found.next_cursor if found is not None else None
    kept = {name: value for name, value in filters.items() if value}
    return IssuesPage(
        signed_in=session.signed_in,
        flashes=responder.flashes(request),
        issues=None if found is None else tuple(found.items),
        newsletters=newsletters or (),
        chosen=chosen,
        next_path=f"/admin/issues?{urlencode({**kept, 'cursor': next_cursor})}" if next_cursor else "",
        is_first=not cursor,
        idempotency_key=new_form_key(),
        may_write="issues:write" in session.rights.anywhere,
    )


def _number_or_nothing(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) <= 18 else ""  # noqa: PLR2004 (digits of a bigint)


def _status_or_nothing(text: str) -> str:
    return text if text in set(IssueStatus) else ""


@get("/issues/{issue_id:str}/delete", include_in_schema=False, opt=_WRITES)
async def show_delete(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    return context.responder.page(await _show_delete(context.session, context.calls, parse_id(issue_id)))


@post("/issues/{issue_id:str}/delete", include_in_schema=False, opt=_WRITES)
async def submit_delete(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    number = parse_id(issue_id)
    try:
        await context.calls.send("publishing", "DELETE", f"/api/v1/issues/{number}", type(None))
    except UpstreamRefusalError as refusal:
        view = await _show_delete(context.session, context.calls, number)
        return context.responder.page(
            msgspec.structs.replace(view, form_error=refusal_sentence(refusal)), status=refusal.status
        )
    return context.responder.redirect("/admin/issues", flash=FlashCode.DRAFT_DELETED)


async def _show_delete(session: Session, calls: ServiceCalls, issue_id: int) -> DeleteDraftPage:
    issue = (await ask_draft(calls, issue_id)).value
    return DeleteDraftPage(signed_in=session.signed_in, issue_id=issue_id, title=issue.title, versions=issue.version)


ISSUE_LIST_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_issues, submit_new_draft, show_delete, submit_delete)
