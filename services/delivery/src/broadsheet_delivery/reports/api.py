"""Routes of reports: an issue's, and the engagement of a newsletter's last issues; as JSON and as CSV."""

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import newsletter_in_path, requires
from broadsheet_common.http.problems import NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents
from broadsheet_delivery.reports.issue_report import IssueReport, make_report
from broadsheet_delivery.reports.newsletter_engagement import ISSUES_SHOWN, NewsletterEngagement, make_engagement
from broadsheet_delivery.reports.report_csv import engagement_csv, issue_report_csv
from broadsheet_delivery.reports.report_store import figures_for_report, find_state, last_issues, newsletter_exists
from broadsheet_delivery.throttle.interface import newsletter_of_issue

RULES: Final = """
Figures are rolled up in the background and never counted on request; `as_of` and `waiting` say how old they are.

Each person counts once in `unique`, however often they open or click. `delivered` are the people of whom Postmark
reported a delivery, an open or a click, so no rate is over 1. Where opens or clicks were not tracked they are not
measured: null, not 0.

Opens and clicks are `machine` by these rules: the user agent is exactly `Mozilla/5.0` (Apple's mail privacy
protection); the user agent names a security gateway, a crawler or a script; a click came before the mail was
delivered, or less than 5 seconds after; or one recipient clicked on three different links within 10 seconds.

An unsubscribe counts for the issue whose mail held the link, or whose message Postmark named: each person once,
complaints included. A link that differs from reader to reader is shown without its personal parts; at most 500 links
and 5,000 mail domains of an issue are told apart. The first 72 hours are shown by hour, then each day, in UTC.
""".strip()


@get(
    "/api/v1/issues/{issue_id:int}/report",
    guards=[requires("reports:read", newsletter=newsletter_of_issue)],
    operation_id="getIssueReport",
    summary="Get the report of an issue",
    description=RULES,
    tags=["Reports"],
    responses=documents(NotFoundError),
)
async def get_issue_report(engine: NamedDependency[AsyncEngine], issue_id: PathId) -> IssueReport:
    return await _issue_report(engine, issue_id)


@get(
    "/api/v1/issues/{issue_id:int}/report/csv",
    guards=[requires("reports:read", newsletter=newsletter_of_issue)],
    operation_id="getIssueReportAsCsv",
    summary="Get the report of an issue as CSV, one figure a line",
    description="The same figures as in JSON. Cells that a spreadsheet would run as a formula have an apostrophe "
    "before them.",
    tags=["Reports"],
    media_type="text/csv",
    responses=documents(NotFoundError),
)
async def get_issue_report_as_csv(engine: NamedDependency[AsyncEngine], issue_id: PathId) -> Response[str]:
    return _csv(issue_report_csv(await _issue_report(engine, issue_id)), f"issue-{issue_id}-report.csv")


@get(
    "/api/v1/newsletters/{newsletter_id:int}/engagement",
    guards=[requires("reports:read", newsletter=newsletter_in_path)],
    operation_id="getNewsletterEngagement",
    summary="How the last ten issues of a newsletter were read",
    description=RULES,
    tags=["Reports"],
    responses=documents(NotFoundError),
)
async def get_newsletter_engagement(
    engine: NamedDependency[AsyncEngine], newsletter_id: PathId
) -> NewsletterEngagement:
    return await _engagement(engine, newsletter_id)


@get(
    "/api/v1/newsletters/{newsletter_id:int}/engagement/csv",
    guards=[requires("reports:read", newsletter=newsletter_in_path)],
    operation_id="getNewsletterEngagementAsCsv",
    summary="How the last ten issues of a newsletter were read, as CSV, one issue a line",
    tags=["Reports"],
    media_type="text/csv",
    responses=documents(NotFoundError),
)
async def get_newsletter_engagement_as_csv(
    engine: NamedDependency[AsyncEngine], newsletter_id: PathId
) -> Response[str]:
    return _csv(engagement_csv(await _engagement(engine, newsletter_id)), f"newsletter-{newsletter_id}-engagement.csv")


async def _issue_report(engine: AsyncEngine, issue_id: int) -> IssueReport:
    # One snapshot: the state says of which moment the figures are.
    async with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        state = await find_state(connection, issue_id)
        if state is None:
            raise NotFoundError("No issue with this id has been published.")
        return make_report(state, await figures_for_report(connection, issue_id))


async def _engagement(engine: AsyncEngine, newsletter_id: int) -> NewsletterEngagement:
    async with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        if not await newsletter_exists(connection, newsletter_id):
            raise NotFoundError("There is no such newsletter.")
        return make_engagement(newsletter_id, await last_issues(connection, newsletter_id, limit=ISSUES_SHOWN))


def _csv(text: str, file_name: str) -> Response[str]:
    return Response(
        text,
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


REPORT_ROUTES: list[HTTPRouteHandler] = [
    get_issue_report,
    get_issue_report_as_csv,
    get_newsletter_engagement,
    get_newsletter_engagement_as_csv,
]
