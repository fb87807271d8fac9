"""`/admin/sending`: the senders, what limits and holds up sending, and the forms of an operator."""

import asyncio
import json
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.http.entity_tag import PreconditionFailedError
from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.accounts.current_session import Session
from broadsheet_gateway.admin.actor_names import names_of
from broadsheet_gateway.admin.audit.action_words import label_of
from broadsheet_gateway.admin.differences import NOTHING_IS_LOST, differences
from broadsheet_gateway.admin.issue.issue_overview import ask_issues, ask_tagged_senders
from broadsheet_gateway.admin.issue.issue_views import IssueRow
from broadsheet_gateway.admin.issue.views import Senders
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.sending.limits_form import LABELS, read_limits, shown
from broadsheet_gateway.admin.sending.views import AuditRow, QueueRow, SendingPage, TypedSending, WaitingRow
from broadsheet_gateway.admin.service_calls import ServiceCalls, or_none, refusal_sentence, refused_fields
from broadsheet_gateway.audit.entry import ShownEntry
from broadsheet_gateway.audit.entry_filters import wanted_entries
from broadsheet_gateway.audit.read_audit import list_entries
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode
from broadsheet_gateway.pages.views import NO_ERRORS, FieldErrors

SENDING_PATH: Final = "/admin/sending"
AUDIT_SHOWN: Final = 10
REASON_CHARS_MAX: Final = 300
_READS: Final = needs("senders:read", everywhere=True)
_WRITES: Final = needs("senders:read", "senders:write", everywhere=True)


@get("/sending", include_in_schema=False, opt=_READS)
async def show_sending(
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await _page(context.session, context.calls, context.engine)
    return context.responder.page(msgspec.structs.replace(view, flashes=context.flashes))


@post("/sending/pause", include_in_schema=False, opt=_WRITES)
async def submit_pause_all(
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    reason = form.text("reason").strip()
    typed = TypedSending(reason=reason[: REASON_CHARS_MAX + 1])
    errors: dict[str, str] = {}
    form_error, status = "", 422
    if len(reason) > REASON_CHARS_MAX:
        errors["reason"] = f"A reason has at most {REASON_CHARS_MAX} characters."
    else:
        try:
            # Without a reason the service says that it was paused by hand.
            body = {"reason": reason} if reason else {}
            await context.calls.send("delivery", "POST", "/api/v1/senders/pause", dict[str, Any], body=body)
        except (UpstreamRefusalError, ProblemError) as error:
            errors, form_error, status = _refusal(error)
        else:
            return context.responder.redirect(SENDING_PATH, flash=FlashCode.SENDING_PAUSED)
    view = await _page(
        context.session, context.calls, context.engine, typed=typed, errors=errors, form_error=form_error
    )
    return context.responder.page(view, status=status)


@post("/sending/resume", include_in_schema=False, opt=_WRITES)
async def submit_resume_all(
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    try:
        await context.calls.send("delivery", "POST", "/api/v1/senders/resume", dict[str, Any])
    except (UpstreamRefusalError, ProblemError) as error:
        view = await _page(context.session, context.calls, context.engine, form_error=refusal_sentence(error))
        return context.responder.page(view, status=error.status)
    return context.responder.redirect(SENDING_PATH, flash=FlashCode.SENDING_RESUMED)


@post("/sending/limits", include_in_schema=False, opt=_WRITES)
async def submit_limits(
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Both limits are set to what the form says, unless somebody else has set one since it was shown."""
    form = await context.read_form()
    version = form.text("version")
    typed = TypedSending(
        messages_per_s_max=form.text("messages_per_s_max")[:40],
        concurrent_calls_max=form.text("concurrent_calls_max")[:40],
    )
    limits, errors = read_limits(typed.messages_per_s_max, typed.concurrent_calls_max)
    form_error, status = "", 422
    if not errors:
        try:
            await context.calls.send(
                "delivery", "PATCH", "/api/v1/senders", dict[str, Any], body=limits, if_match=version
            )
        except (UpstreamRefusalError, ProblemError) as error:
            errors, form_error, status = _refusal(error)
        else:
            return context.responder.redirect(SENDING_PATH, flash=FlashCode.LIMITS_CHANGED)
    view = await _page(
        context.session, context.calls, context.engine, typed=typed, errors=errors, form_error=form_error
    )
    if status == PreconditionFailedError.status:
        theirs = msgspec.structs.asdict(_in_force(view.senders))
        view = msgspec.structs.replace(
            view,
            differences=differences(LABELS, msgspec.structs.asdict(typed), theirs),
            form_error=NOTHING_IS_LOST.format(what="the limits"),
        )
    else:
        view = msgspec.structs.replace(view, version=version or view.version)
    return context.responder.page(view, status=status)


def _refusal(error: UpstreamRefusalError | ProblemError) -> tuple[dict[str, str], str, int]:
    errors = refused_fields(error) if isinstance(error, UpstreamRefusalError) else {}
    return errors, "" if errors else refusal_sentence(error), error.status


async def _page(
    session: Session,
    calls: ServiceCalls,
    engine: AsyncEngine,
    *,
    typed: TypedSending | None = None,
    errors: FieldErrors = NO_ERRORS,
    form_error: str = "",
) -> SendingPage:
    tagged, issues, audit = await asyncio.gather(
        or_none(ask_tagged_senders(calls)), or_none(ask_issues(calls)), _audit(session, engine)
    )
    senders = None if tagged is None else tagged.value
    rows: list[IssueRow] = [] if issues is None else issues.items
    titles = {row.id: row.title for row in rows}
    in_force = _in_force(senders)
    return SendingPage(
        signed_in=session.signed_in,
        senders=senders,
        waiting=()
        if senders is None
        else tuple(
            WaitingRow(waiting=one, title=titles.get(one.issue_id, "")) for one in senders.waiting_for_preflight
        ),
        queue=None
        if issues is None
        else tuple(
            QueueRow(issue=row, since=row.published_at)
            for row in sorted(rows, key=lambda row: row.published_at or row.created_at)
            if row.status.is_moving
        ),
        audit=audit,
        may_change="senders:write" in session.rights.everywhere,
        typed=in_force if typed is None else _with_limits(typed, in_force),
        version="" if tagged is None else tagged.etag,
        errors=errors,
        form_error=form_error,
    )


def _in_force(senders: Senders | None) -> TypedSending:
    if senders is None:
        return TypedSending()
    return TypedSending(
        messages_per_s_max=shown(senders.sending.messages_per_s_max),
        concurrent_calls_max=shown(senders.sending.concurrent_calls_max),
    )


def _with_limits(typed: TypedSending, in_force: TypedSending) -> TypedSending:
    """After a refused pause the limits' form shows what is in force: nothing was typed there."""
    if typed.reason:
        return msgspec.structs.replace(in_force, reason=typed.reason)
    return typed


async def _audit(session: Session, engine: AsyncEngine) -> tuple[AuditRow, ...] | UnsetType:
    """The newest entries about sending, for those who may read the audit log."""
    if "audit:read" not in session.rights.everywhere:
        return UNSET
    wanted = await wanted_entries(target_kind="senders")
    async with engine.connect() as connection:
        entries = await list_entries(connection, wanted, cursor=None, limit=AUDIT_SHOWN)
    names = await names_of([entry.actor for entry in entries.items], engine)
    return tuple(_row(entry, names[entry.actor]) for entry in entries.items)


def _row(entry: ShownEntry, actor: str) -> AuditRow:
    said = {} if entry.after is None else json.loads(bytes(entry.after))
    limits = ""
    if entry.action == "senders.limited":
        rate, calls = said.get("messages_per_s_max"), said.get("concurrent_calls_max")
        limits = ", ".join(
            (
                "no limit of mails" if rate is None else f"{rate:g} mails a second",
                "no limit of calls" if calls is None else f"{calls} calls at once",
            )
        )
    return AuditRow(at=entry.at, actor=actor, action=label_of(entry.action), limits=limits)


SENDING_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_sending, submit_pause_all, submit_resume_all, submit_limits)
