"""Running a service's app as a process: settings, logs, listener, signals, drain.

Exit status: 0 after an orderly stop, 2 when a setting is missing or malformed, 1 for anything else (said on standard
error). On SIGTERM or SIGINT readiness turns 503 first and answers close their connections; after `drain_notice_s` the
listener closes, requests in flight finish within `drain_s`, and the app's lifespan managers close what they opened.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import structlog
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from broadsheet_common.http.finish_reading import finishes_reading
from broadsheet_common.http.retire_connections import retires_connections
from broadsheet_common.process.logs import configure_logs
from broadsheet_common.process.settings import ServiceSettings, SettingsError, exit_with_settings_error, load_settings

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_log = structlog.get_logger()


class PortInUseError(Exception):
    """Another process listens on the address."""


class StartRefusedError(Exception):
    """A service will not start, for a reason that its operator must see; its text is shown as it stands."""


class ListenerEndedError(Exception):
    """The server stopped listening although nobody asked it to."""


def _refuse_taken_port(host: str, port: int) -> None:
    """Granian binds with SO_REUSEPORT, which would silently share the port with another process: look first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUseError(f"cannot listen on {host}:{port}: {error.strerror}") from error


async def serve(app: Litestar, settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    The app's lifespan is entered here and not by the server, so that what it raises is what the operator reads.

    Raises:
        PortInUseError: the address is taken.
        StartRefusedError: the service itself will not start.
        ListenerEndedError: the listener ended although nobody asked it to.
    """
    _refuse_taken_port(settings.bind_host, settings.bind_port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with app.lifespan():
        server = Server(
            retires_connections(finishes_reading(app), lambda: bool(app.state.get("draining"))),
            address=settings.bind_host,
            port=settings.bind_port,
            interface=Interfaces.ASGINL,
            websockets=False,
            log_enabled=False,
            backlog=1024,
        )
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        _log.info("service.started", host=settings.bind_host, port=settings.bind_port, pid=os.getpid())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            stopping.cancel()
            await serving
            raise ListenerEndedError("the listener ended by itself")
        app.state.draining = True
        _log.info("service.draining")
        await asyncio.wait({serving}, timeout=settings.drain_notice_s)
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=settings.drain_s)
        if not serving.done():
            _log.warning("service.drain_bound_reached", drain_s=settings.drain_s)
            serving.cancel()
    _log.info("service.stopped")


def _messages(error: BaseException) -> list[str]:
    """The texts in an exception, or of those that a group holds."""
    if isinstance(error, BaseExceptionGroup):
        return [message for one in error.exceptions for message in _messages(one)]
    return [str(error)]


def run_service(name: str, settings_type: type[SettingsT], create_app: Callable[[SettingsT], Litestar]) -> NoReturn:
    """The whole life of a service process; never returns."""
    try:
        settings = load_settings(settings_type, os.environ)
    except SettingsError as error:
        exit_with_settings_error(name, error)
    configure_logs(service=name, log_format=settings.log_format, level=settings.log_level)
    status = 0
    try:
        uvloop.run(serve(create_app(settings), settings))
    except* (PortInUseError, StartRefusedError) as refusals:
        status = 1
        for message in _messages(refusals):
            sys.stderr.write(f"{name}: {message}\n")
    except* Exception as errors:  # noqa: BLE001  # the last stop: whatever it is, it is logged, and the status says so
        status = 1
        _log.critical("service.failed", exc_info=errors)
    sys.exit(status)
