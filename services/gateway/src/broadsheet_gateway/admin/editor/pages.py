"""`/admin/issues/{id}/edit`: writing a draft. No typed word is lost: whatever a save is answered, the page that follows
has the form with everything that was typed.
"""

import asyncio
from typing import Any, Final, Literal, assert_never

import msgspec
from litestar import Response, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.page_access import needs, require_page_access
from broadsheet_gateway.accounts.current_session import CurrentSession, LoginNeededError, Session
from broadsheet_gateway.accounts.session_form import CURRENT_SESSION, check_form_token, require_still_allowed
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.editor.draft import Draft, Fault, read_typed
from broadsheet_gateway.admin.editor.open_draft import ask_draft, show_editor
from broadsheet_gateway.admin.editor.save_draft import (
    NotSaved,
    Refused,
    SavedByOthers,
    SavedNow,
    SentDraft,
    conflict_of,
    of_problem,
    save_draft,
)
from broadsheet_gateway.admin.editor.views import EditorPage, KeptDraftPage, KeptReason
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, parse_id
from broadsheet_gateway.forwarding.upstreams import TaggedAnswer, UpstreamRefusalError, Upstreams
from broadsheet_gateway.http import csrf
from broadsheet_gateway.http.forms import MEDIA_TYPE, Form, read_form
from broadsheet_gateway.http.request_origin import RequestOrigin
from broadsheet_gateway.http.responses import AnyRequest, PageResponse, Responder
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.settings import NEWSLETTER_FORM_BODY_MAX_BYTES, GatewaySettings

Outcome = SavedNow | SavedByOthers | Refused
_SIGNED_OUT: Final = Refused(why="signed-out", status=401)
_WRITES: Final = needs("issues:write")
_OUT_OF_DATE: Final = (
    "This page was out of date, and nothing was saved yet. Save once more: everything you typed is here."
)


@get("/issues/{issue_id:str}/edit", include_in_schema=False, opt=_WRITES)
async def show_draft(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """An issue that is no draft any more has nothing to edit: its own page says what became of it. A scheduled one can
    be made a draft again.
    """
    found = await ask_draft(context.calls, parse_id(issue_id))
    if found.value.status is IssueStatus.SCHEDULED:
        return context.responder.redirect(f"/admin/issues/{found.value.id}/send", flash=FlashCode.SCHEDULED_IS_NO_DRAFT)
    if found.value.status is not IssueStatus.DRAFT:
        return context.responder.redirect(f"/admin/issues/{found.value.id}", flash=FlashCode.NO_DRAFT_ANY_MORE)
    return context.responder.page(
        await show_editor(context.calls, context.session, context.engine, found, flashes=context.flashes)
    )


class DraftState(msgspec.Struct, frozen=True):
    """What an open editor asks every few seconds: whether somebody else saved, or sent, the draft meanwhile."""

    username: str
    csrf_token: str
    etag: str
    version: int
    status: IssueStatus
    status_label: str
    saved_by: str
    saved_by_oneself: bool


@get("/issues/{issue_id:str}/edit/state", include_in_schema=False, opt=_WRITES)
async def show_state(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> DraftState:
    """JSON. The token is that of the session as it is now: after a log-in in another tab the page needs it to save."""
    found = await ask_draft(context.calls, parse_id(issue_id))
    draft = found.value
    names = await names_of([draft.saved_by], context.engine)
    return DraftState(
        username=context.session.username,
        csrf_token=context.session.signed_in.csrf_token,
        etag=found.etag,
        version=draft.version,
        status=draft.status,
        status_label=draft.status.label,
        saved_by=names.get(draft.saved_by, draft.saved_by),
        saved_by_oneself=draft.saved_by == context.session.identity.subject,
    )


async def _session_or_none(
    request: ASGIConnection[Any, Any, Any, Any],
    current_session: NamedDependency[CurrentSession],
    request_origin: NamedDependency[RequestOrigin],
) -> Session | None:
    """As the session of every page inside; but what it lacks is for the handler to answer, which has the form then. A
    request that brings no form has no words to keep, and is refused like any other.
    """
    request.state[CURRENT_SESSION] = current_session
    session = await current_session.find(request.cookies)
    if session is None:
        return None
    if not request.headers.get("content-type", "").startswith(MEDIA_TYPE):
        require_page_access(request, session.rights, must_set_up_factor=session.must_set_up_factor)
    return msgspec.structs.replace(session, address=request_origin.address(request))


async def _no_calls() -> None:
    """The calls of the other pages need a session; here they are made when there is one."""


@post(
    "/issues/{issue_id:str}/edit",
    include_in_schema=False,
    opt=_WRITES,
    dependencies={"session": Provide(_session_or_none), "calls": Provide(_no_calls)},
)
async def submit_draft(
    request: AnyRequest,
    issue_id: FromPath[str],
    session: NamedDependency[Session | None],
    responder: NamedDependency[Responder],
    settings: NamedDependency[GatewaySettings],
    upstreams: NamedDependency[Upstreams],
    engine: NamedDependency[AsyncEngine],
) -> PageResponse:
    """Saves, and goes where the button says: on writing, to the checks, or to the page that sends."""
    csrf.check_origin(request.headers, public_origin=settings.public_origin)
    form = await read_form(
        request.receive,
        request.headers,
        max_bytes=NEWSLETTER_FORM_BODY_MAX_BYTES,
        timeout_s=settings.body_timeout_s,
    )
    sent = SentDraft(parse_id(issue_id), form.text("etag"), read_typed(form.fields))
    calls = None if session is None else ServiceCalls(upstreams, session)
    outcome = await _save(request, settings, session, calls, form, sent)
    if "application/json" in request.headers.get("accept", ""):
        return await _told(outcome, session, engine)
    return await _Desk(responder, session, calls, engine).page(sent, outcome, then=form.text("then"))


async def _save(
    request: AnyRequest,
    settings: GatewaySettings,
    session: Session | None,
    calls: ServiceCalls | None,
    form: Form,
    sent: SentDraft,
) -> Outcome:
    if session is None or calls is None:
        return _SIGNED_OUT
    try:
        check_form_token(request, session, settings, form)
        require_page_access(request, session.rights, must_set_up_factor=session.must_set_up_factor)
        await require_still_allowed(request, session)
    except csrf.CsrfTokenError as error:
        return Refused(why="out-of-date", status=error.status, detail=_OUT_OF_DATE)
    except LoginNeededError:
        return _SIGNED_OUT
    except ProblemError as error:
        return of_problem(error)
    return await save_draft(calls, sent)


class SaveAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a script that saves is told. `result` "conflict": somebody else saved, as `version`."""

    result: Literal["saved", "conflict"] | NotSaved
    etag: str = ""
    version: int = 0
    faults: tuple[Fault, ...] = ()
    errors: dict[str, str] = {}
    detail: str = ""
    saved_by: str = ""
    saved_by_oneself: bool = False


async def _told(outcome: Outcome, session: Session | None, engine: AsyncEngine) -> PageResponse:
    match outcome:
        case SavedNow(etag, version, faults):
            answer, status = SaveAnswer(result="saved", etag=etag, version=version, faults=faults), 200
        case SavedByOthers(found):
            draft = found.value
            names = await names_of([draft.saved_by], engine)
            by_oneself = session is not None and draft.saved_by == session.identity.subject
            # Without the new tag: only who has seen both may save over theirs.
            answer = SaveAnswer(
                result="conflict",
                version=draft.version,
                saved_by=names.get(draft.saved_by, draft.saved_by),
                saved_by_oneself=by_oneself,
            )
            status = 409
        case Refused(why=why):
            answer, status = SaveAnswer(result=why, errors=dict(outcome.errors), detail=outcome.detail), outcome.status
        case _:
            assert_never(outcome)
    return Response(msgspec.json.encode(answer).decode(), status_code=status, media_type="application/json")


_NEXT: Final = {
    "preview": "/admin/issues/{}/preview",
    "checks": "/admin/issues/{}/checks",
    "send": "/admin/issues/{}/send",
}
"""Where a button of the form leads after the save."""


class _Desk:
    """Makes the page that follows a save."""

    def __init__(
        self, responder: Responder, session: Session | None, calls: ServiceCalls | None, engine: AsyncEngine
    ) -> None:
        self._responder = responder
        self._session = session
        self._calls = calls
        self._engine = engine

    async def page(self, sent: SentDraft, outcome: Outcome, *, then: str) -> PageResponse:
        match outcome:
            case SavedNow():
                flash = None if then in _NEXT else FlashCode.DRAFT_SAVED
                address = _NEXT.get(then, "/admin/issues/{}/edit").format(sent.issue_id)
                return self._responder.redirect(address, flash=flash)
            case SavedByOthers(found):
                page = await self._editor(found, sent)
                # Long texts take a while: not on the event loop.
                conflict = await asyncio.to_thread(conflict_of, sent.typed, found.value)
                return self._responder.page(msgspec.structs.replace(page, conflict=conflict), status=409)
            case Refused(why="refused" | "out-of-date"):
                return await self._again(sent, outcome)
            case Refused(why="signed-out" | "forbidden" | "unavailable" | "gone" | "no-draft" as why):
                return self._kept(sent, why, outcome)
            case Refused():
                raise AssertionError(outcome.why)
            case _:
                assert_never(outcome)

    async def _editor(self, found: TaggedAnswer[Draft], sent: SentDraft) -> EditorPage:
        assert self._session is not None, "a form without a session is never compared"
        assert self._calls is not None, "likewise"
        return await show_editor(self._calls, self._session, self._engine, found, typed=sent.typed)

    async def _again(self, sent: SentDraft, refused: Refused) -> PageResponse:
        """The form with everything that was typed, and the tag that it came with: whether somebody saved meanwhile is
        found out by the next try.
        """
        assert self._calls is not None, "a form without a session is kept"
        try:
            found = await ask_draft(self._calls, sent.issue_id)
        except (ProblemError, UpstreamRefusalError) as error:
            return self._kept(sent, "unavailable", Refused(why="unavailable", status=error.status))
        page = await self._editor(found, sent)
        view = msgspec.structs.replace(page, etag=sent.etag, errors=refused.errors, form_error=refused.detail)
        return self._responder.page(view, status=refused.status)

    def _kept(self, sent: SentDraft, why: KeptReason, refused: Refused) -> PageResponse:
        view = KeptDraftPage(
            signed_in=None if self._session is None else self._session.signed_in,
            reason=why,
            issue_id=sent.issue_id,
            etag=sent.etag,
            typed=sent.typed,
            detail=refused.detail,
        )
        return self._responder.page(view, status=refused.status)


EDIT_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_draft, show_state, submit_draft)
