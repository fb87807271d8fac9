"""Ready objects as Litestar's dependencies, at next to no cost for a request.

Litestar starts a task for each of a handler's dependencies that need no other. Ours return an object that is there:
three such tasks cost more than all the rest that is done to call a handler.
"""

from typing import Any

from litestar.di import Provide
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute


def provide(value: object) -> Provide:
    """A dependency that is this object."""

    def get() -> Any:
        return value

    return Provide(get, use_cache=True, sync_to_thread=False)


class DependenciesInTurn(ReceiveRoutePlugin):
    """Has the dependencies of each handler resolved one after another, in the task that calls it."""

    def receive_route(self, route: BaseRoute) -> None:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                in_turn = [one for batch in model.dependency_batches for one in sorted(batch, key=lambda one: one.key)]
                model.dependency_batches = [{one} for one in in_turn]
