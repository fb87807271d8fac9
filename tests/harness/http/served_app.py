"""A service on a port of its own, in the server that it has in production, for tests that ask it over a socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

import httpx
from litestar import Litestar

from broadsheet_common.serving.finish_reading import finishes_reading
from broadsheet_common.serving.http_server import ConnectionLimits, HttpServer
from broadsheet_common.serving.listener import listen
from harness.ports import held_port

START_TIMEOUT_S: Final = 20.0
LIMITS: Final = ConnectionLimits(
    connections_max=100,
    first_byte_timeout_s=60,
    header_timeout_s=60,
    body_idle_timeout_s=60,
    keep_alive_timeout_s=60,
    write_timeout_s=60,
)


@contextmanager
def serving_app(app: Litestar, *, port: int | None = None) -> Iterator[int]:
    """The port that it listens at, in a thread of its own with its lifespan, until the block ends. `port`: one that the
    caller holds; else any.
    """
    with nullcontext(port) if port is not None else held_port() as held:
        server = _Server(app, held)
        server.start()
        try:
            server.await_start()
            yield server.port
        finally:
            server.stop()


class _Server(threading.Thread):
    def __init__(self, app: Litestar, port: int) -> None:
        super().__init__(name="fuzzed-service", daemon=True)
        self.port = port
        self._app = app
        self._is_decided = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_to_stop = asyncio.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001  # handed to the thread that waits for the start
            self._failure = failure
            self._is_decided.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._app.lifespan():
            stop = self._asked_to_stop
            with listen("127.0.0.1", self.port) as listener:
                server = HttpServer(finishes_reading(self._app), listener, LIMITS)
                serving = asyncio.create_task(server.serve(stop, drain_s=START_TIMEOUT_S))
                self._is_decided.set()
                await serving

    def await_start(self) -> None:
        assert self._is_decided.wait(START_TIMEOUT_S), "the service did not start"
        if self._failure is not None:
            raise RuntimeError("the service did not start") from self._failure
        with httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", transport=httpx.HTTPTransport(retries=10), trust_env=False
        ) as client:
            assert client.get("/health/ready").status_code == 200

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked_to_stop.set)
        self.join(START_TIMEOUT_S)
        assert not self.is_alive(), "the service did not stop"
