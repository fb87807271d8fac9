"""The delivery service's routes, put together."""

from litestar import Router

from broadsheet_common.route_rules import JsonRequest
from broadsheet_delivery.deliveries_api import DELIVERY_ROUTES
from broadsheet_delivery.issues_api import ISSUE_ROUTES
from broadsheet_delivery.senders_api import SENDER_ROUTES
from broadsheet_delivery.suppressions_api import SUPPRESSION_ROUTES


def delivery_routes() -> Router:
    return Router(
        "/",
        route_handlers=[*DELIVERY_ROUTES, *ISSUE_ROUTES, *SENDER_ROUTES, *SUPPRESSION_ROUTES],
        request_class=JsonRequest,
    )
