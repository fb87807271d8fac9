"""The API on exports, `/api/v1/exports`. Answers are streamed."""

from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.audit import record_audit
from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.problems import FieldProblem, MalformedRequestError
from broadsheet_common.http.route_rules import JsonRequest, documents, parse_parameter
from broadsheet_subscriptions.exports.export_subscribers import ExportFilter, export_csv, export_json_lines
from broadsheet_subscriptions.subscribers.api import NewsletterFilter, StateFilter
from broadsheet_subscriptions.subscribers.subscription import State

FormatParameter = Annotated[
    str,
    QueryParameter(name="format", description="CSV, or a JSON object a line", schema_extra={"enum": ["csv", "jsonl"]}),
]


class ExportController(Controller):
    path = "/api/v1/exports"
    tags = ("Exports",)
    request_class = JsonRequest

    @get(
        "/subscribers",
        operation_id="exportSubscribers",
        summary="Export subscribers as CSV that an import takes back, or as JSON lines",
        description="In the order of ids. Everybody who is there all the time is in it once; who comes or goes "
        "meanwhile may or may not be. CSV cells that a spreadsheet would run as a formula have an apostrophe before "
        "them, which an import takes away.",
        guards=[requires("subscribers:export")],
        media_type="text/csv",
        responses=documents(),
    )
    async def export_subscribers(
        self,
        request: ServiceRequest,
        engine: NamedDependency[AsyncEngine],
        export_format: FormatParameter = "csv",
        newsletter_id: NewsletterFilter = None,
        subscription_state: StateFilter = None,
    ) -> Stream:
        chosen = ExportFilter(newsletter_id, _parse_state(subscription_state))
        if export_format not in {"csv", "jsonl"}:
            raise MalformedRequestError(errors=(FieldProblem(pointer="/format", detail="It is csv or jsonl."),))
        # Committed before the first line is sent: nothing leaves without an entry.
        async with engine.begin() as connection:
            await record_audit(
                connection,
                request.user,
                "subscribers.exported",
                None,
                newsletter_id=newsletter_id,
                after={"format": export_format, "state": chosen.state},
            )
        if export_format == "csv":
            return _stream(export_csv(engine, chosen), "text/csv; charset=utf-8", "subscribers.csv")
        return _stream(export_json_lines(engine, chosen), "application/jsonl", "subscribers.jsonl")


def _stream(content: AsyncIterator[bytes], media_type: str, file_name: str) -> Stream:
    return Stream(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


def _parse_state(text: str | None) -> State | None:
    state: State | None = parse_parameter(text, State | None, pointer="/state")
    return state
