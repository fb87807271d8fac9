"""`/admin/issues/{id}/send`: who gets an issue, test mails, approval, and when it goes out."""

from typing import Any, Final, Literal, cast

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_common.http.problems import ProblemError
from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.editor.open_draft import ask_draft
from broadsheet_gateway.admin.form_keys import form_key_of
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.publish.show_send_page import show_send_page
from broadsheet_gateway.admin.publish.views import SendPage, TypedSchedule
from broadsheet_gateway.admin.service_calls import parse_id, refusal_sentence, refused_fields
from broadsheet_gateway.admin.time_zones import zone_typed
from broadsheet_gateway.forwarding.upstreams import UpstreamRefusalError
from broadsheet_gateway.http.forms import Form
from broadsheet_gateway.http.responses import PageResponse
from broadsheet_gateway.pages import FlashCode

CHANGE_ALLOWED_PERCENT: Final = 10
CHANGE_ALLOWED_MIN: Final = 10
"""People come and go while somebody reads the page: so many more or fewer do not ask the question again."""
_WRITES: Final = needs("issues:write")
_PUBLISHES: Final = needs("issues:publish")
_FORMS = Literal["send", "test", "approval"]


@get("/issues/{issue_id:str}/send", include_in_schema=False, opt=_WRITES)
async def show_send(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    view = await show_send_page(context, parse_id(issue_id), flashes=context.flashes)
    if view.status not in {IssueStatus.DRAFT, IssueStatus.SCHEDULED}:
        return context.responder.redirect(f"/admin/issues/{view.issue_id}")
    return context.responder.page(view)


@post("/issues/{issue_id:str}/send", include_in_schema=False, opt=_PUBLISHES)
async def submit_send(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Publishes it, or schedules it. The key of the form makes the second click publish nothing twice."""
    form = await context.read_form()
    number, typed = parse_id(issue_id), _typed_schedule(form)
    again = _Again(
        context,
        number,
        "send",
        {"typed": typed, "send_key": form_key_of(form)},
    )
    if form.text("version") != str((await ask_draft(context.calls, number)).value.version):
        return await again.with_errors({}, status=409, form_error=_OTHER_VERSION)
    if typed.when != "now" and not typed.at:
        return await again.with_errors({"at": "Say when."}, status=422)
    body: dict[str, Any] = {"audience": _expected(form)}
    action, flash = "publish", FlashCode.ISSUE_PUBLISHED
    if typed.when != "now":
        action, flash = "schedule", FlashCode.ISSUE_SCHEDULED
        body |= {
            "at": typed.at,
            "time_zone": typed.time_zone.strip() or None,
            "occurrence": typed.occurrence or None,
            "in_reader_time_zone": typed.when == "readers",
        }
    try:
        await context.calls.send(
            "publishing",
            "POST",
            f"/api/v1/issues/{number}/{action}",
            dict[str, Any],
            body=body,
            idempotency_key=form_key_of(form),
        )
    except (UpstreamRefusalError, ProblemError) as error:
        return await again.after(error)
    return context.responder.redirect(f"/admin/issues/{number}", flash=flash)


@post("/issues/{issue_id:str}/unschedule", include_in_schema=False, opt=_PUBLISHES)
async def submit_unschedule(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    await context.read_form()
    number = parse_id(issue_id)
    try:
        await context.calls.send("publishing", "DELETE", f"/api/v1/issues/{number}/schedule", dict[str, Any])
    except (UpstreamRefusalError, ProblemError) as error:
        return await _Again(context, number, "send", {}).after(error)
    return context.responder.redirect(f"/admin/issues/{number}/edit", flash=FlashCode.ISSUE_UNSCHEDULED)


@post("/issues/{issue_id:str}/test", include_in_schema=False, opt=needs("issues:write", "issues:test"))
async def submit_test(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """Addresses may be parted by commas, semicolons, blanks or line breaks."""
    form = await context.read_form()
    number, typed = parse_id(issue_id), form.text("to")
    addresses = typed.replace(",", " ").replace(";", " ").split()
    again = _Again(
        context,
        number,
        "test",
        {"typed_to": typed, "test_key": form_key_of(form)},
    )
    if not addresses:
        return await again.with_errors({"to": "Say to whom."}, status=422)
    try:
        await context.calls.send(
            "publishing",
            "POST",
            f"/api/v1/issues/{number}/test",
            dict[str, Any],
            body={"to": addresses},
            idempotency_key=form_key_of(form),
        )
    except (UpstreamRefusalError, ProblemError) as error:
        return await again.after(error)
    return context.responder.redirect(f"/admin/issues/{number}/send", flash=FlashCode.TEST_MAIL_SENT)


@post("/issues/{issue_id:str}/approval", include_in_schema=False, opt=_WRITES)
async def submit_approval_request(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    form = await context.read_form()
    number, note = parse_id(issue_id), form.text("note")
    try:
        await context.calls.send(
            "publishing", "POST", f"/api/v1/issues/{number}/approval", dict[str, Any], body={"note": note}
        )
    except (UpstreamRefusalError, ProblemError) as error:
        return await _Again(context, number, "approval", {"typed_note": note}).after(error)
    return context.responder.redirect(f"/admin/issues/{number}/send", flash=FlashCode.APPROVAL_ASKED)


@post("/issues/{issue_id:str}/approval/decision", include_in_schema=False, opt=needs("issues:write", "issues:approve"))
async def submit_approval_decision(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    """About the version that the page showed: one that was saved meanwhile is not approved unseen."""
    form = await context.read_form()
    number, note = parse_id(issue_id), form.text("note")
    decision = "approved" if form.text("decision") == "approved" else "refused"
    body = {"decision": decision, "version": parse_id(form.required("version")), "note": note}
    try:
        await context.calls.send(
            "publishing", "POST", f"/api/v1/issues/{number}/approval/decision", dict[str, Any], body=body
        )
    except (UpstreamRefusalError, ProblemError) as error:
        return await _Again(context, number, "approval", {"typed_note": note}).after(error)
    flash = FlashCode.APPROVAL_GIVEN if decision == "approved" else FlashCode.APPROVAL_REFUSED
    return context.responder.redirect(f"/admin/issues/{number}/send", flash=flash)


_OTHER_VERSION: Final = (
    "The issue was saved since this page was shown, so nothing was sent. This is the issue as it is now."
)


class _Again:
    """The page as it is now, with what was typed into the form that was refused."""

    def __init__(self, context: PageContext, issue_id: int, form: _FORMS, typed: dict[str, Any]) -> None:
        self._context = context
        self._issue_id = issue_id
        self._form = form
        self._typed = typed

    async def with_errors(self, errors: dict[str, str], *, status: int, form_error: str = "") -> PageResponse:
        view: SendPage = await show_send_page(self._context, self._issue_id)
        if view.status not in {IssueStatus.DRAFT, IssueStatus.SCHEDULED}:
            # Somebody else has sent it meanwhile: its own page says what became of it.
            return self._context.responder.redirect(
                f"/admin/issues/{self._issue_id}", flash=FlashCode.NO_DRAFT_ANY_MORE
            )
        changed = msgspec.structs.replace(
            view, failed_form=self._form, errors=errors, form_error=form_error, **self._typed
        )
        return self._context.responder.page(changed, status=status)

    async def after(self, error: UpstreamRefusalError | ProblemError) -> PageResponse:
        """What the service says at the fields of the form; what it says of the whole, above it. After a refusal the
        form has a new key; where it is not known what became of it, the same one, so that a second try does nothing
        twice.
        """
        if isinstance(error, UpstreamRefusalError):
            self._typed = {name: value for name, value in self._typed.items() if not name.endswith("_key")}
        errors = refused_fields(error) if isinstance(error, UpstreamRefusalError) else {}
        at_fields = {_FIELD_OF.get(name.split("/")[0], ""): detail for name, detail in errors.items()}
        whole = "" if at_fields and "" not in at_fields else at_fields.pop("", "") or refusal_sentence(error)
        return await self.with_errors(at_fields, status=error.status, form_error=whole)


_FIELD_OF: Final = {
    "at": "at", "time_zone": "time_zone", "occurrence": "occurrence", "to": "to", "note": "note", "version": "",
}  # fmt: skip
"""The page's fields by the first part of the API's pointer; others concern the whole form."""


def _typed_schedule(form: Form) -> TypedSchedule:
    when = form.text("when")
    return TypedSchedule(
        when=cast("Literal['now', 'later', 'readers']", when if when in {"later", "readers"} else "now"),
        at=form.text("at"),
        time_zone=zone_typed(form.text("time_zone")),
        occurrence=form.text("occurrence"),
    )


def _expected(form: Form) -> dict[str, Any] | None:
    """The audience that the page showed, and how far it may have changed since."""
    token, shown = form.text("audience_token"), form.text("audience_count")
    if not token or not shown.isdigit():
        return None
    allowed = max(CHANGE_ALLOWED_MIN, parse_id(shown) * CHANGE_ALLOWED_PERCENT // 100)
    return {"token": token, "growth_max": allowed, "shrinkage_max": allowed}


PUBLISH_HANDLERS: tuple[HTTPRouteHandler, ...] = (
    show_send, submit_send, submit_unschedule, submit_test, submit_approval_request, submit_approval_decision,
)  # fmt: skip
