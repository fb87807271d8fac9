"""Ports: free ones are chosen, taken ones are reported."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadsheet_local.embedded import ports
from broadsheet_local.embedded.ports import SCAN_FIRST, SCAN_LAST, HeldPort, PortChooser, hold_free_port, is_free
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_local.errors import LaunchError


@pytest.fixture
def chooser() -> Iterator[PortChooser]:
    chooser = PortChooser()
    yield chooser
    chooser.close()


def test_a_taken_default_is_replaced_by_a_free_port_below_the_ephemeral_range(chooser: PortChooser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = chooser.preferred(taken.getsockname()[1])
    assert SCAN_FIRST <= port < SCAN_LAST
    assert is_free(port)


def test_a_port_that_a_server_on_all_interfaces_holds_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert not is_free(taken.getsockname()[1])


def test_a_port_asked_for_by_name_is_never_replaced(chooser: PortChooser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match=rf"port {port} \(--gateway-port\) is in use"):
            chooser.required(port, option="--gateway-port")


def test_no_port_is_given_twice(chooser: PortChooser) -> None:
    first = chooser.any_free()
    ports = {first, chooser.preferred(first), *(chooser.any_free() for _ in range(20))}
    assert len(ports) == 22
    with pytest.raises(LaunchError):
        chooser.required(first, option="--gateway-port")


def test_a_chosen_port_is_held_against_another_launcher_though_nothing_listens_yet(chooser: PortChooser) -> None:
    held = hold_free_port()
    held.release()
    port = chooser.preferred(held.number)
    other = PortChooser()
    assert is_free(port)
    assert other.preferred(port) != port
    other.close()
    chooser.close()
    assert other.preferred(port) == port
    other.close()


@pytest.mark.parametrize("store", [EmbeddedPostgres, EmbeddedRedis])
def test_a_store_holds_its_port_from_the_moment_it_has_one(
    store: type[EmbeddedPostgres] | type[EmbeddedRedis], folder: Path, chooser: PortChooser
) -> None:
    """Making a database takes seconds; another launcher that chose or only checked the port meanwhile made the start
    fail.
    """
    made = store(folder)
    assert is_free(made.port)
    assert HeldPort.take_free(made.port) is None
    assert chooser.preferred(made.port) != made.port
    port = made.port
    del made
    assert chooser.preferred(port) == port


def test_a_held_port_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    held = hold_free_port()
    tried: list[int] = []

    def is_free(port: int) -> bool:
        tried.append(port)
        return True

    monkeypatch.setattr(ports, "is_free", is_free)
    assert HeldPort.take_free(held.number) is None
    assert tried == []
    held.release()
    again = HeldPort.take_free(held.number)
    assert again is not None
    assert tried == [held.number]
    again.release()
