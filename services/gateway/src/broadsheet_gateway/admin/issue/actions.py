"""The forms of an issue's page. What a service refuses is said on the page, with everything that was typed."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.contracts.identity import ServiceName
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.issue.decision_form import find_decision_faults
from broadsheet_gateway.admin.issue.issue_overview import ask_issue
from broadsheet_gateway.admin.issue.show_issue import show_issue_page
from broadsheet_gateway.admin.issue.views import IssueCancelPage, TypedAction
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import (
    parse_id,
    refusal_sentence,
    refused_fields,
)
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors

REASON_CHARS_MAX: Final = 300
_PUBLISHES: Final = needs("issues:read", "issues:publish")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a service that one form makes, and what is said when it worked."""

    service: ServiceName
    verb: str
    flash: FlashCode
    body: Mapping[str, object] | None = None
    key: str | None = None


class NewIssue(msgspec.Struct, frozen=True):
    """What is needed of the answer to a duplicate."""

    id: int


@post("/issues/{issue_id:str}/pause", include_in_schema=False, opt=_PUBLISHES)
async def submit_pause(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    reason = form.text("reason").strip()
    typed = TypedAction(reason=reason[: REASON_CHARS_MAX + 1])
    if len(reason) > REASON_CHARS_MAX:
        errors = {"reason": f"A reason has at most {REASON_CHARS_MAX} characters."}
        return await _again(context, parse_id(issue_id), typed, status=422, errors=errors)
    step = Step(
        service="delivery",
        verb="pause",
        flash=FlashCode.ISSUE_PAUSED,
        # Without one the service says that it was paused by hand.
        body={"reason": reason} if reason else {},
    )
    return await _take(context, parse_id(issue_id), step, typed)


@post("/issues/{issue_id:str}/resume", include_in_schema=False, opt=_PUBLISHES)
async def submit_resume(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    step = Step(service="delivery", verb="resume", flash=FlashCode.ISSUE_RESUMED)
    return await _take(
        context,
        parse_id(issue_id),
        step,
    )


@post("/issues/{issue_id:str}/retry-failed", include_in_schema=False, opt=_PUBLISHES)
async def submit_retry(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    # No key: a second time nothing has failed.
    step = Step(service="delivery", verb="retry-failed", flash=FlashCode.FAILED_RETRIED)
    return await _take(
        context,
        parse_id(issue_id),
        step,
    )


@post("/issues/{issue_id:str}/decide-uncertain", include_in_schema=False, opt=needs("issues:read", "deliveries:decide"))
async def submit_decide_uncertain(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    typed, errors = find_decision_faults(form)
    if errors:
        return await _again(context, parse_id(issue_id), typed, status=422, errors=errors)
    step = Step(
        service="delivery",
        verb="decide-uncertain",
        flash=FlashCode.UNCERTAIN_DECIDED,
        body={"choice": typed.choice, "note": typed.note or None},
        key=form.get("form_key"),
    )
    return await _take(context, parse_id(issue_id), step, typed)


@post("/issues/{issue_id:str}/winner", include_in_schema=False, opt=_PUBLISHES)
async def submit_winner(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    winner = form.text("winner")
    errors: dict[str, str] = {}
    if winner not in {"1", "2", "3", "4"}:
        errors["winner"] = "Choose a version."
    if form.text("winner_sure") != "yes":
        errors["winner_sure"] = "Tick the box: the choice cannot be taken back."
    if errors:
        return await _again(context, parse_id(issue_id), TypedAction(winner=winner), status=422, errors=errors)
    step = Step(service="publishing", verb="winner", flash=FlashCode.WINNER_CHOSEN, body={"variant": int(winner)})
    return await _take(context, parse_id(issue_id), step, TypedAction(winner=winner))


@post("/issues/{issue_id:str}/archive", include_in_schema=False, opt=_PUBLISHES)
async def submit_archive(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    is_in = form.text("in_archive") == "yes"
    step = Step(
        service="publishing",
        verb="archive",
        flash=FlashCode.ISSUE_IN_ARCHIVE if is_in else FlashCode.ISSUE_OUT_OF_ARCHIVE,
        body={"in_archive": is_in},
    )
    return await _take(
        context,
        parse_id(issue_id),
        step,
    )


@post("/issues/{issue_id:str}/duplicate", include_in_schema=False, opt=needs("issues:read", "issues:write"))
async def submit_duplicate(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number = parse_id(issue_id)
    try:
        made = await context.calls.send(
            "publishing",
            "POST",
            f"/api/v1/issues/{number}/duplicate",
            NewIssue,
            idempotency_key=form.get("form_key"),
        )
    except (UpstreamRefusalError, ProblemError) as error:
        return await _refused(context, number, TypedAction(), error)
    return context.responder.redirect(f"/admin/issues/{made.id}/edit", flash=FlashCode.ISSUE_DUPLICATED)


@get("/issues/{issue_id:str}/cancel", include_in_schema=False, opt=_PUBLISHES)
async def show_cancel(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    issue = await ask_issue(context.calls, parse_id(issue_id))
    return context.responder.page(
        IssueCancelPage(signed_in=context.session.signed_in, flashes=context.flashes, issue=issue)
    )


@post("/issues/{issue_id:str}/cancel", include_in_schema=False, opt=_PUBLISHES)
async def submit_cancel(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    number = parse_id(issue_id)
    try:
        await context.calls.send("publishing", "POST", f"/api/v1/issues/{number}/cancel", dict[str, Any])
    except (UpstreamRefusalError, ProblemError) as error:
        issue = await ask_issue(context.calls, number)
        view = IssueCancelPage(signed_in=context.session.signed_in, issue=issue, form_error=refusal_sentence(error))
        return context.responder.page(view, status=error.status)
    return context.responder.redirect(f"/admin/issues/{number}", flash=FlashCode.ISSUE_CANCELLED)


async def _take(context: PageContext, issue_id: int, step: Step, typed: TypedAction | None = None) -> PageResponse:
    try:
        await context.calls.send(
            step.service,
            "POST",
            f"/api/v1/issues/{issue_id}/{step.verb}",
            dict[str, Any],
            body=step.body,
            idempotency_key=step.key,
        )
    except (UpstreamRefusalError, ProblemError) as error:
        return await _refused(context, issue_id, typed or TypedAction(), error)
    return context.responder.redirect(f"/admin/issues/{issue_id}", flash=step.flash)


async def _refused(
    context: PageContext,
    issue_id: int,
    typed: TypedAction,
    error: UpstreamRefusalError | ProblemError,
) -> PageResponse:
    errors = refused_fields(error) if isinstance(error, UpstreamRefusalError) else {}
    form_error = "" if errors else refusal_sentence(error)
    return await _again(context, issue_id, typed, status=error.status, errors=errors, form_error=form_error)


async def _again(
    context: PageContext,
    issue_id: int,
    typed: TypedAction,
    *,
    status: int,
    errors: FieldErrors = NO_ERRORS,
    form_error: str = "",
) -> PageResponse:
    view = await show_issue_page(context, issue_id, typed=typed, errors=errors, form_error=form_error)
    return context.responder.page(view, status=status)


ISSUE_ACTIONS: tuple[HTTPRouteHandler, ...] = (
    submit_pause, submit_resume, submit_retry, submit_decide_uncertain, submit_winner, submit_archive,
    submit_duplicate, show_cancel, submit_cancel,
)  # fmt: skip
