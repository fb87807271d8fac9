"""Running a service's app as a process: settings, logs, listener, signals, drain.

Exit status: 0 after an orderly stop, 2 if a setting is missing or malformed, 1 for anything else (reported on
standard error). On SIGTERM or SIGINT readiness turns 503 first and answers close their connections; after
`drain_notice_s` the listener closes, requests in progress finish within `drain_s`, and the app's lifespan
managers close what they opened.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import structlog
import uvloop
from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from broadsheet_common.http.application import ServerMetrics
from broadsheet_common.process.logs import configure_logs
from broadsheet_common.process.settings import ServiceSettings, SettingsError, exit_with_settings_error, load_settings
from broadsheet_common.serving.finish_reading import finishes_reading
from broadsheet_common.serving.http_server import ConnectionLimits, HttpServer
from broadsheet_common.serving.listener import connections_that_fit, listen
from broadsheet_common.serving.retire_connections import retires_connections

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_log = structlog.get_logger()

_GC_THRESHOLD = 50_000
"""So many new containers (lists, dictionaries, rows) start a collection; Python's 700 are fewer than one batch of mails
holds at once, and then each batch is walked through several times, only to find that all of it is in use.
"""


class PortInUseError(Exception):
    """Another process is listening on the address."""


class StartRefusedError(Exception):
    """A service refuses to start, for a reason that its operator must see; the text is printed unchanged."""


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise PortInUseError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _logs_what_escapes(app: ASGIApp) -> ASGIApp:
    """Log what an app raises after its answer began. The connection is then closed; the client gets no error."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            _log.warning("http.answer_broken_off", error=type(error.__cause__ or error).__name__, exc_info=error)
            raise

    return wrapped


def _leave_started_objects_alone() -> None:
    """Keep the garbage collector from walking through what lives as long as the process: modules, routes, tables."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


def connection_limits(settings: ServiceSettings) -> ConnectionLimits:
    return ConnectionLimits(
        connections_max=connections_that_fit(settings.connections_max),
        per_address_max=settings.connections_per_address_max or None,
        first_byte_timeout_s=settings.first_byte_timeout_s,
        header_timeout_s=settings.header_timeout_s,
        body_idle_timeout_s=settings.body_idle_timeout_s,
        keep_alive_timeout_s=settings.keep_alive_timeout_s,
        write_timeout_s=settings.write_timeout_s,
    )


async def serve(app: Litestar, settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    The app's lifespan is entered here and not by the server, so that the operator sees what it raises.

    Raises:
        PortInUseError: the address is taken.
        StartRefusedError: the service itself refuses to start.
    """
    listener = _listen(settings.bind_host, settings.bind_port)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    with listener:
        async with app.lifespan():
            wrapped = retires_connections(finishes_reading(app), lambda: bool(app.state.get("draining")))
            metrics: ServerMetrics = app.state.server_metrics
            server = HttpServer(
                _logs_what_escapes(wrapped),
                listener,
                connection_limits(settings),
                note_close=lambda reason: metrics.connections_closed.labels(reason).inc(),
                count_as=settings.count_connection_as,
            )
            metrics.connections.set_function(lambda: len(server.connections.open))
            _leave_started_objects_alone()
            stop = asyncio.Event()
            serving = asyncio.create_task(server.serve(stop, drain_s=settings.drain_s))
            telling = asyncio.create_task(told.wait())
            _log.info("service.started", host=settings.bind_host, port=settings.bind_port, pid=os.getpid())
            await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                app.state.draining = True
                for end_answers in app.state.on_draining:
                    end_answers()
                _log.info("service.draining")
                await asyncio.wait({serving}, timeout=settings.drain_notice_s)
                stop.set()
            telling.cancel()
            if not await serving:
                _log.warning("service.drain_bound_reached", drain_s=settings.drain_s)
    _log.info("service.stopped")


def _messages(error: BaseException) -> list[str]:
    """The text of an exception, or the texts of all exceptions in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [message for one in error.exceptions for message in _messages(one)]
    return [str(error)]


def run_service(name: str, settings_type: type[SettingsT], create_app: Callable[[SettingsT], Litestar]) -> NoReturn:
    """Run a service process from start to exit; never returns."""
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
    except* Exception as errors:  # noqa: BLE001  # every other error is logged and ends with status 1
        status = 1
        _log.critical("service.failed", exc_info=errors)
    sys.exit(status)
