"""How a service's process ends when it cannot start, and what its log may hold."""

import os
import subprocess
import sys

import msgspec
import pytest

from broadsheet_common.process.settings import ServiceSettings
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
pytestmark = pytest.mark.process


def _start(service: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"broadsheet_{service}"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, **environment},
        timeout=60,
    )


def _required(service: str) -> set[str]:
    return {field.name.upper() for field in msgspec.structs.fields(SETTINGS[service]) if field.required}


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_without_settings_names_every_one_that_is_missing_and_exits_2(service: str) -> None:
    done = _start(service)
    assert done.returncode == 2
    for name in _required(service):
        assert f"{name} is not set" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_with_malformed_settings_names_each_without_its_value_and_exits_2(service: str) -> None:
    malformed = dict.fromkeys(_required(service), "a-secret-value")
    done = _start(service, **malformed)
    assert done.returncode == 2
    for name in ("BIND_PORT", "DATABASE_URL"):
        assert f"{name} is malformed" in done.stderr
    assert "a-secret-value" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_traceback_in_the_log_holds_no_value_of_a_variable() -> None:
    script = (
        "import structlog\n"
        "from broadsheet_common.process.logs import configure_logs\n"
        "configure_logs(service='test', log_format='json', level='INFO')\n"
        "def fail(token):\n"
        "    raise RuntimeError('a fault')\n"
        "try:\n"
        "    fail('a-secret' + '-value')\n"
        "except RuntimeError as error:\n"
        "    structlog.get_logger().error('test.failed', exc_info=error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert "test.failed" in done.stderr
    assert "a fault" in done.stderr
    assert "a-secret-value" not in done.stderr
