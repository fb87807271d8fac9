"""`python -m broadsheet_subscriptions` or `broadsheet-subscriptions`: serve until stopped."""

from typing import NoReturn

from broadsheet_common.process.serving import run_service
from broadsheet_subscriptions.app import create_app
from broadsheet_subscriptions.settings import SubscriptionsSettings


def main() -> NoReturn:
    run_service("subscriptions", SubscriptionsSettings, create_app)


if __name__ == "__main__":
    main()
