import socket

import pytest

from broadsheet_local.errors import LaunchError
from broadsheet_local.ports import SCAN_FIRST, SCAN_LAST, PortChooser, is_free


def test_a_taken_default_is_replaced_by_a_free_port_below_the_ephemeral_range() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = PortChooser().preferred(taken.getsockname()[1])
    assert SCAN_FIRST <= port < SCAN_LAST
    assert is_free(port)


def test_a_port_that_a_server_on_all_interfaces_holds_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert not is_free(taken.getsockname()[1])


def test_a_port_asked_for_by_name_is_never_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"port {port} \(--gateway-port\) is in use"):
            PortChooser().required(port, option="--gateway-port")


def test_no_port_is_given_twice() -> None:
    chooser = PortChooser()
    first = chooser.any_free()
    ports = {first, chooser.preferred(first), *(chooser.any_free() for _ in range(20))}
    assert len(ports) == 22
    with pytest.raises(LaunchError):
        chooser.required(first, option="--gateway-port")
