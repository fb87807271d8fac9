"""`python -m broadsheet_delivery`: one delivery replica."""

from broadsheet_common.process.serving import run_service
from broadsheet_delivery.app import create_app
from broadsheet_delivery.settings import DeliverySettings


def main() -> None:
    run_service("delivery", DeliverySettings, create_app)


if __name__ == "__main__":
    main()
