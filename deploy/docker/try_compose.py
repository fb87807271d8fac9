# ruff: noqa: INP001  # a script, not a package
"""Tries docker-compose.yml for real: the main job through the published port, with senders coming and going.

    .venv/bin/python deploy/docker/try_compose.py [--subscribers N] [--build] [--keep]

In a project with secrets and ports of its own, so that nothing of an installation beside it is touched: brings
everything up with three delivery replicas and the sandbox, makes the author with the commands of
docs/operating/deploy.md, signs people up through the gateway's form, confirms by the captured mail, and publishes.
While the calls to the sandbox are under way it scales delivery down to one. Then it checks every recipient against the
sandbox's log, stops everything, and expects exit status 0 from every container. The last line of standard output is the
result in JSON; the exit status is 0 only when all of it was right.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import msgspec

from broadsheet_local.demo.bulk_import import reader_email
from broadsheet_local.demo.issue_content import load_issue
from broadsheet_local.demo.people import Gateway
from broadsheet_local.demo.progress import Phases
from broadsheet_local.demo.publish_and_wait import publish_and_wait, write_and_check
from broadsheet_local.demo.recipients import compare
from broadsheet_local.demo.sandbox_log import SandboxLog
from broadsheet_local.demo.sign_up_everybody import confirm_readers, sign_up_readers
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.concurrency import all_or_first_error

ROOT = Path(__file__).parents[2]
PROJECT = "broadsheet-try"
USERNAME = "editor"
REPLICAS = 3
CONTAINERS = REPLICAS + 9
"""Postgres, Redis, sandbox, migration, the three other services, and two runs of the gateway's commands."""
READY_TIMEOUT_S = 180
PROBE_TIMEOUT_S = 2
COMMAND_TIMEOUT_S = 1800
CALL_LATENCY_MS = 4_000
CONFIRMATIONS_MAX = 5_000


class TryError(Exception):
    """Something was not as it must be; the text says what."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`exit_codes` are those of every container that ended, the one-shot migration and the scaled-down senders too."""

    subscribers: int
    confirmed: int
    accepted: int
    missing: int
    duplicates: int
    uncertain: int
    replicas_before: int
    replicas_after: int
    ready_seconds: float
    sign_up_seconds: float
    delivery_seconds: float
    scale_down_seconds: float
    stop_seconds: float
    exit_codes: dict[str, int]

    @property
    def is_good(self) -> bool:
        return (
            self.accepted == self.confirmed == self.subscribers
            and self.missing == self.duplicates == self.uncertain == 0
            and (self.replicas_before, self.replicas_after) == (REPLICAS, 1)
            and not any(self.exit_codes.values())
        )


class _Replicas(msgspec.Struct, frozen=True):
    replicas: list[object]


class Compose:
    """`docker compose` on a project, secrets and ports of this run's own."""

    def __init__(self, folder: Path) -> None:
        with free_port() as gateway_port, free_port() as sandbox_port:
            self.gateway_url = f"http://localhost:{gateway_port}"
            self.sandbox_url = f"http://localhost:{sandbox_port}"
        self._environ = os.environ | {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "SECRETS_DIR": str(folder / "secrets"),
            "PUBLIC_URL": self.gateway_url,
            "GATEWAY_PUBLISH": f"127.0.0.1:{gateway_port}",
            "SANDBOX_PUBLISH": f"127.0.0.1:{sandbox_port}",
        }
        self._endings = folder / "endings"

    @contextlib.contextmanager
    def watching_endings(self) -> Iterator[None]:
        """Write down how containers end: those that are scaled away can't be asked later."""
        command = [
            *("docker", "events", "--filter", "event=die", "--filter", f"label=com.docker.compose.project={PROJECT}"),
            *("--format", "{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"),
        ]
        with self._endings.open("w") as endings:
            watcher = subprocess.Popen(command, env=self._environ, stdout=endings)  # noqa: S603  # a fixed command
        try:
            yield
        finally:
            watcher.terminate()
            watcher.wait(timeout=10)

    def secrets(self) -> None:
        _run([str(ROOT / "deploy/docker/make-secrets"), "--sandbox"], self._environ)

    def __call__(self, *arguments: str, given: str = "") -> str:
        env_file = str(ROOT / "deploy/docker/local.env")
        return _run(["docker", "compose", "--env-file", env_file, *arguments], self._environ, given)

    def exit_codes(self) -> dict[str, int]:
        """Every container of the project that has ended, by name, the last ending of each."""
        lines = self._endings.read_text(encoding="utf-8").splitlines()
        return {name: int(code) for name, code in (line.split() for line in lines)}


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A port of loopback that nobody has, held until the end of the block."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def _run(command: list[str], environ: dict[str, str], given: str = "") -> str:
    """Standard output. Raises TryError when the command fails."""
    done = subprocess.run(  # noqa: S603  # commands of this file
        command,
        cwd=ROOT,
        env=environ,
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise TryError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def say(text: str) -> None:
    sys.stderr.write(f"try: {text}\n")
    sys.stderr.flush()


async def until(what: str, condition: Callable[[], Awaitable[bool]], timeout_s: float) -> float:
    """The seconds until the condition held. Raises TryError when it does not in time."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > timeout_s:
            raise TryError(f"waited {timeout_s:g} s in vain for {what}")
        await asyncio.sleep(0.2)
    return time.monotonic() - began


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        # Shortly: the engine's proxy takes connections, and keeps them, before there is anybody to answer.
        return (await client.get(url, timeout=PROBE_TIMEOUT_S)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def replicas(client: httpx.AsyncClient, url: str, api_key: str) -> int:
    """Live replicas by the API; 0 when it cannot be asked for the moment."""
    try:
        shown = await client.get(f"{url}/api/v1/senders", headers={"Authorization": f"Bearer {api_key}"})
    except httpx.TransportError:
        return 0
    if shown.status_code != httpx.codes.OK:
        return 0
    return len(msgspec.json.decode(shown.content, type=_Replicas).replicas)


def make_author(compose: Compose, password: str) -> str:
    """As docs/operating/deploy.md has it; returns the API key."""
    create = ("run", "--rm", "-T", "--no-deps", "gateway")
    compose(*create, "create-user", "--username", USERNAME, "--password-file", "/dev/stdin", given=password)
    return compose(*create, "create-api-key", "--name", "try", "--username", USERNAME, "--scopes", "all").strip()


async def scale_down(compose: Compose, client: httpx.AsyncClient) -> float:
    """To one replica, as soon as calls with the issue are under way; the seconds that the leaving ones took."""

    async def sending() -> bool:
        shown = (await client.get(f"{compose.sandbox_url}/_sandbox/faults")).json()
        return bool(shown["rules"] and shown["rules"][0]["hits"])

    await until("the first call with the issue", sending, 60)
    began = time.monotonic()
    await asyncio.to_thread(
        compose, "up", "--detach", "--no-build", "--no-recreate", "--scale", "delivery=1", "delivery"
    )
    return time.monotonic() - began


async def journey(compose: Compose, subscribers: int, ready_seconds: float, client: httpx.AsyncClient) -> Result:
    password = os.urandom(16).hex()
    api_key = await asyncio.to_thread(make_author, compose, password)

    async def all_senders() -> bool:
        return await replicas(client, compose.gateway_url, api_key) == REPLICAS

    await until(f"{REPLICAS} delivery replicas", all_senders, 60)
    replicas_before = await replicas(client, compose.gateway_url, api_key)
    gateway, log = Gateway(compose.gateway_url, api_key), SandboxLog(compose.sandbox_url)
    content, confirmed = load_issue(), set[str]()
    with Phases(say) as phases, tempfile.NamedTemporaryFile(prefix="broadsheet-try-") as no_log:
        here = Path(no_log.name)
        sign_ups = phases.phase("Sign up", subscribers, here)
        confirmations = phases.phase("Confirm", subscribers, here)
        began = time.monotonic()
        await all_or_first_error(
            [
                sign_up_readers(gateway, subscribers, sign_ups),
                confirm_readers(gateway, log, subscribers, compose.gateway_url, confirmed, confirmations),
            ]
        )
        sign_up_seconds = time.monotonic() - began
        # Slow calls, so that the replicas are told to leave in the middle of theirs.
        slow = {"kind": "latency", "latency_ms": CALL_LATENCY_MS, "match": {"stream": "broadcast"}}
        (await client.put(f"{compose.sandbox_url}/_sandbox/faults", json={"rules": [slow]})).raise_for_status()
        leaving = asyncio.create_task(scale_down(compose, client))
        await gateway.log_in(USERNAME, password)
        written = await write_and_check(gateway, content)
        sending = await publish_and_wait(
            gateway,
            written.issue_id,
            audience=subscribers,
            phase=phases.phase("Deliver", subscribers, here),
        )
        scale_down_seconds = await leaving

        async def one_sender() -> bool:
            return await replicas(client, compose.gateway_url, api_key) == 1

        await until("the leaving replicas to be gone from the API", one_sender, 60)
        replicas_after = await replicas(client, compose.gateway_url, api_key)
    expected = frozenset(reader_email(number) for number in range(1, subscribers + 1))
    verdict = compare(expected, [recipient async for recipient in log.recipients_of(content.title)])
    await gateway.aclose()
    await log.aclose()
    began = time.monotonic()
    await asyncio.to_thread(compose, "stop")
    stop_seconds = time.monotonic() - began

    async def all_ended() -> bool:
        return len(compose.exit_codes()) >= CONTAINERS

    await until("the ends of all containers", all_ended, 10)
    return Result(
        subscribers=subscribers,
        confirmed=len(confirmed),
        accepted=verdict.accepted,
        missing=verdict.missing,
        duplicates=verdict.duplicates,
        uncertain=sending.counts.uncertain,
        replicas_before=replicas_before,
        replicas_after=replicas_after,
        ready_seconds=round(ready_seconds, 2),
        sign_up_seconds=round(sign_up_seconds, 2),
        delivery_seconds=round(sending.delivery_seconds, 2),
        scale_down_seconds=round(scale_down_seconds, 2),
        stop_seconds=round(stop_seconds, 2),
        exit_codes=compose.exit_codes(),
    )


async def attempt(compose: Compose, subscribers: int, *, build: bool) -> Result:
    compose.secrets()
    say("bringing everything up")
    began = time.monotonic()
    image = "--build" if build else "--no-build"
    await asyncio.to_thread(compose, "up", "--detach", image, "--scale", f"delivery={REPLICAS}")
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        await until("the gateway", lambda: answers(client, f"{compose.gateway_url}/health/ready"), READY_TIMEOUT_S)
        await until("the sandbox", lambda: answers(client, f"{compose.sandbox_url}/_sandbox/health"), READY_TIMEOUT_S)
        return await journey(compose, subscribers, time.monotonic() - began, client)


def main() -> None:
    parser = argparse.ArgumentParser(description="Try docker-compose.yml on the local Docker engine.")
    parser.add_argument("--subscribers", type=int, default=2_000, help="at most 5,000 (default %(default)s)")
    parser.add_argument("--build", action="store_true", help="build the images first, else they must be there")
    parser.add_argument("--keep", action="store_true", help="leave the stopped containers and the volumes")
    options = parser.parse_args()
    if not 1 <= options.subscribers <= CONFIRMATIONS_MAX:
        parser.error(f"--subscribers must be 1 to {CONFIRMATIONS_MAX}")
    with tempfile.TemporaryDirectory(prefix="broadsheet-try-") as folder:
        compose = Compose(Path(folder))
        try:
            with compose.watching_endings():
                result = asyncio.run(attempt(compose, options.subscribers, build=options.build))
        except (TryError, LaunchError, httpx.HTTPError, OSError) as error:
            with contextlib.suppress(TryError):
                sys.stderr.write(compose("logs", "--no-color", "--tail", "30"))
            sys.exit(f"try: {error}")
        finally:
            if not options.keep:
                compose("down", "--volumes")
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    sys.exit(0 if result.is_good else 1)


if __name__ == "__main__":
    main()
