"""The pool of connections to the services."""

import msgspec

from broadsheet_common.process.settings import ServiceSettings
from broadsheet_gateway.forwarding.upstreams import UPSTREAM_IDLE_S


def test_no_connection_is_kept_longer_than_a_stopping_service_gives_notice() -> None:
    [notice_s] = [field.default for field in msgspec.structs.fields(ServiceSettings) if field.name == "drain_notice_s"]
    assert notice_s > UPSTREAM_IDLE_S
