"""The delivery service's routes, put together."""

from litestar import Router

from broadsheet_common.http.route_rules import JsonRequest
from broadsheet_delivery.reporting.api import DELIVERY_ROUTES
from broadsheet_delivery.reports.api import REPORT_ROUTES
from broadsheet_delivery.senders.api import SENDER_ROUTES
from broadsheet_delivery.settling.api import ISSUE_ROUTES
from broadsheet_delivery.suppressions.api import SUPPRESSION_ROUTES
from broadsheet_delivery.watching.api import WATCHING_ROUTES


def delivery_routes() -> Router:
    return Router(
        "/",
        route_handlers=[
            *DELIVERY_ROUTES,
            *ISSUE_ROUTES,
            *REPORT_ROUTES,
            *SENDER_ROUTES,
            *SUPPRESSION_ROUTES,
            *WATCHING_ROUTES,
        ],
        request_class=JsonRequest,
    )
