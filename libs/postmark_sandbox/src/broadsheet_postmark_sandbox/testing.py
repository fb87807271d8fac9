"""Start a sandbox from a test: the real server on a free loopback port, in a thread of its own.

A thread, so that blocking clients can talk to it from the test's own event loop, and so that it starts within
milliseconds. Everything but the separate process is real.
"""

import asyncio
import base64
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Self

import httpx
import msgspec
from litestar import Litestar

from broadsheet_postmark_sandbox.app import create_app
from broadsheet_postmark_sandbox.server import SandboxServer, listen, make_server
from broadsheet_postmark_sandbox.settings import SandboxSettings
from broadsheet_postmark_sandbox.state import Sandbox

START_TIMEOUT_S: Final = 10.0

Json = dict[str, Any]


class RunningSandbox(msgspec.Struct, frozen=True):
    """`base_url` has no slash at its end; `inner` is the state itself, for what the control API does not show."""

    base_url: str
    token: str
    settings: SandboxSettings
    inner: Sandbox

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a valid request to the Postmark API."""
        return {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "X-Postmark-Server-Token": self.token,
        }

    @property
    def webhook_authorization(self) -> str | None:
        """The Authorization header of webhooks."""
        user, password = self.settings.webhook_user, self.settings.webhook_password
        if user is None or password is None:
            return None
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


_IDLE_APPS_MAX = 8
_idle_apps: list[tuple[SandboxSettings, Litestar]] = []
"""Apps of sandboxes that were stopped, for the next. Each start makes its state anew."""


def _take_app(settings: SandboxSettings) -> Litestar:
    for number, (made_with, app) in enumerate(_idle_apps):
        if made_with == settings:
            del _idle_apps[number]
            return app
    return create_app(settings)


def _give_back(settings: SandboxSettings, app: Litestar) -> None:
    if len(_idle_apps) < _IDLE_APPS_MAX:
        _idle_apps.append((settings, app))


class _ServerThread:
    def __init__(self, settings: SandboxSettings) -> None:
        self._listener = listen(settings.host, settings.port)
        self.port: int = self._listener.getsockname()[1]
        self._settings = settings
        self.app = _take_app(settings)
        self._server: SandboxServer = make_server(self.app)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="postmark-sandbox", daemon=True)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._server.serve(sockets=[self._listener]))
        except BaseException as failure:  # noqa: BLE001  handed to the thread that waits for the start
            self._failure = failure

    def start(self) -> None:
        self._thread.start()

    @property
    def started(self) -> bool:
        if self._failure is not None:
            raise RuntimeError("the sandbox did not start") from self._failure
        return self._server.started

    def stop(self) -> None:
        self._server.request_exit()
        self._thread.join(START_TIMEOUT_S)
        if self._thread.is_alive():
            raise RuntimeError("the sandbox did not stop")
        _give_back(self._settings, self.app)


@contextlib.contextmanager
def running_sandbox_sync(**settings: Any) -> Iterator[RunningSandbox]:
    """A running sandbox for blocking tests; takes the fields of SandboxSettings."""
    chosen = SandboxSettings(**{"port": 0, **settings})
    server = _ServerThread(chosen)
    server.start()
    waiter = threading.Event()
    try:
        for _ in range(int(START_TIMEOUT_S / 0.005)):
            if server.started:
                break
            waiter.wait(0.005)
        else:
            raise RuntimeError("the sandbox did not start in time")
        yield RunningSandbox(
            base_url=f"http://{chosen.host}:{server.port}",
            token=chosen.token,
            settings=chosen,
            inner=server.app.state.sandbox,
        )
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def running_sandbox(**settings: Any) -> AsyncIterator[RunningSandbox]:
    """A running sandbox for asynchronous tests; takes the fields of SandboxSettings."""
    manager = running_sandbox_sync(**settings)
    running = await asyncio.to_thread(manager.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


class SandboxDriver:
    """A blocking test's client of a sandbox: send, search, set faults, read accepted messages.

    `http` is a client with Postmark's headers; close the driver, or use it in a `with`.
    """

    def __init__(self, running: RunningSandbox) -> None:
        self.running = running
        self.http = httpx.Client(base_url=running.base_url, headers=running.headers, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def reset(self) -> None:
        """Reset the sandbox to its state at the start."""
        self.http.post("/_sandbox/reset").raise_for_status()

    def message(self, **fields: object) -> Json:
        """A valid message; a field given as None is left out."""
        whole = {
            "From": "News <news@news.example>",
            "To": "ada@mail.example",
            "Subject": "Hello",
            "HtmlBody": "<p>Hello</p>",
            "TextBody": "Hello",
            **fields,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def send(self, **fields: object) -> httpx.Response:
        return self.http.post("/email", json=self.message(**fields))

    def batch(self, *messages: Json) -> httpx.Response:
        return self.http.post("/email/batch", json=list(messages))

    def search(self, **query: str | int) -> Json:
        answer = self.http.get("/messages/outbound", params={"count": 100, "offset": 0, **query})
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def accepted(self, **query: str | int) -> list[Json]:
        answer = self.http.get("/_sandbox/messages", params={"limit": 1000, **query})
        answer.raise_for_status()
        rows: list[Json] = answer.json()["messages"]
        return rows

    def faults(self, *rules: Json, seed: int = 1) -> Json:
        answer = self.http.put("/_sandbox/faults", json={"seed": seed, "rules": list(rules)})
        answer.raise_for_status()
        shown: Json = answer.json()
        return shown

    def hits(self) -> list[int]:
        return [rule["hits"] for rule in self.http.get("/_sandbox/faults").json()["rules"]]

    def settings(self, **values: object) -> Json:
        answer = self.http.put("/_sandbox/settings", json=values)
        answer.raise_for_status()
        shown: Json = answer.json()
        return shown

    def event(self, **fields: object) -> Json:
        answer = self.http.post("/_sandbox/events", json=fields)
        answer.raise_for_status()
        sent: Json = answer.json()
        return sent

    def suppress(self, stream: str, *addresses: str) -> None:
        entries = [{"EmailAddress": address} for address in addresses]
        answer = self.http.post(f"/message-streams/{stream}/suppressions", json={"Suppressions": entries})
        answer.raise_for_status()
