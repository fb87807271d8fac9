"""The growth of a newsletter by day, as JSON and as CSV."""

from datetime import date, timedelta
from typing import Annotated, Final

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import newsletter_in_path, requires
from broadsheet_common.http.problems import FieldProblem, InvalidInputError, NotFoundError
from broadsheet_common.http.record_id import PathId
from broadsheet_common.http.route_rules import documents
from broadsheet_subscriptions.growth import store
from broadsheet_subscriptions.growth.growth_report import (
    DAYS_DEFAULT,
    DAYS_MAX,
    GrowthReport,
    growth_csv,
    make_report,
)

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(9999, 12, 31)
FromDay = Annotated[
    date | None,
    QueryParameter(name="from", description=f"The first day (UTC); without it, {DAYS_DEFAULT} days up to the last"),
]
ToDay = Annotated[date | None, QueryParameter(name="to", description="The last day (UTC); without it, today")]

_ABOUT: Final = (
    "How many people joined and left each day, by where they came from and why they left. The numbers at the start and "
    "at the end differ by just those. What happened before this report was kept is known by each person's last joining "
    f"and leaving alone, with the source and cause `unknown`. At most {DAYS_MAX} days; a day begins at midnight UTC."
)


class GrowthController(Controller):
    path = "/api/v1/newsletters"
    tags = ("Reports",)

    @get(
        "/{newsletter_id:int}/report",
        operation_id="getNewsletterReport",
        guards=[requires("reports:read", newsletter=newsletter_in_path)],
        summary="Get the growth of a newsletter by day",
        description=_ABOUT,
        responses=documents(NotFoundError, InvalidInputError),
    )
    async def get_report(
        self,
        engine: NamedDependency[AsyncEngine],
        newsletter_id: PathId,
        from_day: FromDay = None,
        to_day: ToDay = None,
    ) -> GrowthReport:
        return await _report(engine, newsletter_id, from_day, to_day)

    @get(
        "/{newsletter_id:int}/report/csv",
        operation_id="getNewsletterReportAsCsv",
        guards=[requires("reports:read", newsletter=newsletter_in_path)],
        summary="Get the growth of a newsletter as CSV, one day a line",
        description=_ABOUT,
        media_type="text/csv",
        responses=documents(NotFoundError, InvalidInputError),
    )
    async def get_report_as_csv(
        self,
        engine: NamedDependency[AsyncEngine],
        newsletter_id: PathId,
        from_day: FromDay = None,
        to_day: ToDay = None,
    ) -> Response[str]:
        report = await _report(engine, newsletter_id, from_day, to_day)
        return Response(
            growth_csv(report),
            media_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="newsletter-{newsletter_id}-growth.csv"'},
        )


async def _report(engine: AsyncEngine, newsletter_id: int, from_day: date | None, to_day: date | None) -> GrowthReport:
    # One snapshot: what the loop moves meanwhile is counted once.
    async with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        if not await store.newsletter_exists(connection, newsletter_id):
            raise NotFoundError("There is no such newsletter.")
        last_day = to_day or await store.today(connection)
        month = timedelta(days=DAYS_DEFAULT - 1)
        first_day = from_day or max(last_day, FIRST_DAY + month) - month
        _check(first_day, last_day)
        return make_report(
            newsletter_id,
            first_day=first_day,
            last_day=last_day,
            subscribers_at_start=await store.subscribers_before(connection, newsletter_id, day=first_day),
            counted=await store.changes_between(connection, newsletter_id, first_day=first_day, last_day=last_day),
        )


def _check(first_day: date, last_day: date) -> None:
    if not FIRST_DAY <= first_day <= last_day < LAST_DAY:
        raise InvalidInputError(errors=(FieldProblem(pointer="/from", detail="It is not after `to`."),))
    if (last_day - first_day).days >= DAYS_MAX:
        raise InvalidInputError(errors=(FieldProblem(pointer="/from", detail=f"At most {DAYS_MAX} days."),))
