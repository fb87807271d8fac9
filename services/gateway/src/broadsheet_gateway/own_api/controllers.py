"""Everything that the gateway answers itself under `/api/v1`."""

from typing import Final

from litestar.types import ControllerRouterHandler

from broadsheet_gateway.api_keys.api import ApiKeyController
from broadsheet_gateway.audit.api import AuditController
from broadsheet_gateway.invitations.api import InvitationController
from broadsheet_gateway.second_factor.api import InstallationController
from broadsheet_gateway.users.api import UserController

OWN_CONTROLLERS: Final[tuple[ControllerRouterHandler, ...]] = (
    InvitationController,
    UserController,
    InstallationController,
    ApiKeyController,
    AuditController,
)
