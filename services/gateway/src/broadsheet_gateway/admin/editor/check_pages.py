"""`/admin/issues/{id}/checks`: what should be mended before an issue is sent."""

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from broadsheet_gateway.access.page_access import needs
from broadsheet_gateway.admin.editor.open_draft import ask_draft
from broadsheet_gateway.admin.editor.views import ChecksPage, Finding
from broadsheet_gateway.admin.issue.issue_views import IssueStatus
from broadsheet_gateway.admin.page_context import PageContext
from broadsheet_gateway.admin.service_calls import ServiceCalls, parse_id
from broadsheet_gateway.http.responses import PageResponse


class Checks(msgspec.Struct, frozen=True):
    """The API's: the most severe findings first. With one that blocks, the issue is not published."""

    is_blocked: bool
    findings: tuple[Finding, ...]


async def ask_checks(calls: ServiceCalls, issue_id: int, *, with_links: bool = False) -> Checks:
    """`with_links`: takes up to a minute. Raises as `ServiceCalls.send`."""
    return await calls.send(
        "publishing", "POST", f"/api/v1/issues/{issue_id}/checks", Checks, body={"links": with_links}
    )


@get("/issues/{issue_id:str}/checks", include_in_schema=False, opt=needs("issues:preview"))
async def show_checks(
    issue_id: FromPath[str],
    context: NamedDependency[PageContext],
) -> PageResponse:
    number = parse_id(issue_id)
    with_links = context.request.query_params.get("links") == "yes"
    issue = (await ask_draft(context.calls, number)).value
    checks = await ask_checks(context.calls, number, with_links=with_links)
    return context.responder.page(
        ChecksPage(
            signed_in=context.session.signed_in,
            flashes=context.flashes,
            issue_id=number,
            title=issue.title,
            is_draft=issue.status is IssueStatus.DRAFT,
            is_blocked=checks.is_blocked,
            findings=checks.findings,
            with_links=with_links,
        )
    )


CHECK_HANDLERS: tuple[HTTPRouteHandler, ...] = (show_checks,)
