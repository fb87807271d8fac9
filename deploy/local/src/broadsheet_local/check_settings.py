"""Whether every service can read its settings, before anything is started.

A process of its own, so that the launcher does not hold the services' modules for as long as it runs. On standard input
a JSON object, service to environment; on standard error one line for each setting at fault, and then status 2.
"""

import sys

import msgspec

from broadsheet_common.process.settings import ServiceSettings, SettingsError, load_settings
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_gateway.settings import GatewaySettings
from broadsheet_publishing.settings import PublishingSettings
from broadsheet_subscriptions.settings import SubscriptionsSettings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "subscriptions": SubscriptionsSettings,
    "publishing": PublishingSettings,
    "delivery": DeliverySettings,
    "gateway": GatewaySettings,
}


def main() -> None:
    environments = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, dict[str, str]])
    problems = [line for service, environment in environments.items() for line in problems_of(service, environment)]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.exit(2 if problems else 0)


def problems_of(service: str, environment: dict[str, str]) -> list[str]:
    try:
        load_settings(SETTINGS[service], environment)
    except SettingsError as error:
        return [f"{service}: {problem}" for problem in error.problems]
    return []


if __name__ == "__main__":
    main()
