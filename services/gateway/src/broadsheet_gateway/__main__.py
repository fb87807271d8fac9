"""`broadsheet-gateway`: serve, or create a user or an API key."""

import sys

from broadsheet_common.process.serving import run_service
from broadsheet_gateway.app import create_app
from broadsheet_gateway.commands import run_command
from broadsheet_gateway.settings import GatewaySettings


def main() -> None:
    if len(sys.argv) > 1:
        sys.exit(run_command(sys.argv[1:]))
    run_service("gateway", GatewaySettings, create_app)


if __name__ == "__main__":
    main()
