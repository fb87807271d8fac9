"""`broadsheet-gateway`: serve; or create a user, or an API key."""

import asyncio
import sys

from litestar import Litestar

from broadsheet_common.serving import run_service
from broadsheet_gateway.app import create_app
from broadsheet_gateway.commands import run_command
from broadsheet_gateway.default_credentials import DefaultCredentialsError, refuse_default_credentials
from broadsheet_gateway.settings import GatewaySettings


def main() -> None:
    if len(sys.argv) > 1:
        sys.exit(run_command(sys.argv[1:]))
    run_service("gateway", GatewaySettings, _create_checked_app)


def _create_checked_app(settings: GatewaySettings) -> Litestar:
    """The app, unless the database holds the local set-up's login where it must not: then the process ends."""
    try:
        asyncio.run(refuse_default_credentials(settings))
    except DefaultCredentialsError as error:
        sys.stderr.write(f"gateway: {error}\n")
        sys.exit(1)
    return create_app(settings)


if __name__ == "__main__":
    main()
