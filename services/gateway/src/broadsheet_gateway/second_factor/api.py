"""`/api/v1/installation`: what the installation requires of its users, for owners."""

import structlog
from litestar import Controller, Response, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncEngine

from broadsheet_common.contracts.identity import ServiceRequest, requires
from broadsheet_common.http.entity_tag import (
    IfMatchHeader,
    PreconditionFailedError,
    PreconditionRequiredError,
    entity_tag,
)
from broadsheet_common.http.problems import InvalidInputError
from broadsheet_common.http.route_rules import JsonRequest, documents, json_only
from broadsheet_gateway.second_factor.change_installation import (
    NoOwnSecondFactorError,
    change_installation,
    show_installation,
)
from broadsheet_gateway.second_factor.installation import Installation, InstallationPatch

_log = structlog.get_logger()


class InstallationController(Controller):
    path = "/api/v1/installation"
    tags = ("Users",)
    request_class = JsonRequest

    @get(
        operation_id="getInstallation",
        summary="Get what the installation requires of its users",
        guards=[requires("users:read")],
        responses=documents(),
    )
    async def get_installation(self, engine: NamedDependency[AsyncEngine]) -> Response[Installation]:
        async with engine.connect() as connection:
            return _tagged(await show_installation(connection))

    @patch(
        operation_id="changeInstallation",
        summary="Change what the installation requires of its users",
        guards=[requires("users:write"), json_only],
        responses=documents(
            InvalidInputError,
            NoOwnSecondFactorError,
            PreconditionRequiredError,
            PreconditionFailedError,
            body=True,
        ),
    )
    async def change_installation(
        self,
        request: ServiceRequest,
        data: JSONBody[InstallationPatch],
        engine: NamedDependency[AsyncEngine],
        if_match: IfMatchHeader = None,
    ) -> Response[Installation]:
        """In effect from the next request of every session. Keys work on."""
        async with engine.begin() as connection:
            after = await change_installation(connection, data, if_match=if_match, by=request.user)
        _log.warning("security.installation_changed", changed_by=request.user.subject)
        return _tagged(after)


def _tagged(installation: Installation) -> Response[Installation]:
    return Response(installation, headers={"ETag": entity_tag(installation)})
