"""One whole set-up for scenarios: real services, Postgres, Redis and sandbox, each of which can be killed and
started.

    async with Stack(folder, StackOptions()) as stack:
        stack.send_signal("delivery-1", signal.SIGKILL)
        await stack.start("delivery-1")

Unlike `up`, nothing is restarted automatically: a scenario decides what is started again and when. A process that
ends without being told to is a failure of the scenario (`unexpected_deaths`).
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec

from broadsheet_local.chaos.shortened import SHORTENED
from broadsheet_local.chaos.stand_ins.answering_proxy import AnsweringProxy
from broadsheet_local.chaos.stand_ins.small_disk import SmallDisk
from broadsheet_local.chaos.stand_ins.tcp_link import TcpLink
from broadsheet_local.embedded.credentials import LOCAL_USERNAME, Credentials, load_or_create
from broadsheet_local.embedded.data_folder import DataFolder
from broadsheet_local.embedded.ports import LOOPBACK, PortChooser
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_local.environment import (
    Addresses,
    Provider,
    address,
    migration_environment,
    sandbox_environment,
    service_environment,
)
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import STAGE_PROVIDER, STAGE_SERVICE, Child, ProcessSpec
from broadsheet_local.supervision.concurrency import all_or_first_error, in_thread
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.probe import status_of
from broadsheet_local.supervision.started_whole import StartedWhole

READY_TIMEOUT_S = 90.0
STEP_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.05
PROBE_TIMEOUT_S = 2.0
WEBHOOK_PATH = "/webhooks/postmark"
LOG_DISK = "log-disk"


class StackOptions(msgspec.Struct, frozen=True):
    """What a family of scenarios needs of its stack.

    `settings` override the shortened ones. `linked`: every service reaches Postgres by a link of its own.
    `balanced`: services are reached by links that can be switched to a new process. `small_disk_mb`: the size of
    the disk that holds the database's folder. `small_log_disk_mb`: the same for the services' logs. `webhooks`:
    the sandbox sends its events to the gateway. `provider_linked`: every sender reaches the sandbox by a link of
    its own. `provider_proxy`: they reach it by a proxy that can answer in its place.
    """

    replicas: int = 2
    settings: Mapping[str, str] = {}
    linked: bool = False
    balanced: bool = False
    small_disk_mb: int | None = None
    small_log_disk_mb: int | None = None
    webhooks: bool = False
    provider_linked: bool = False
    provider_proxy: bool = False


class Running(msgspec.Struct):
    """A service process: `told_to_end` once a scenario has ended it."""

    service: str
    port: int
    child: Child
    told_to_end: bool = False


class Stack(StartedWhole):
    def __init__(self, folder: Path, options: StackOptions) -> None:
        self.options = options
        self.folder = DataFolder(folder)
        self.links: dict[str, TcpLink] = {}
        self.doors: dict[str, TcpLink] = {}
        self.provider_links: dict[str, TcpLink] = {}
        self.running: dict[str, Running] = {}
        self.environments: dict[str, Mapping[str, str]] = {}
        """Extra environment of the process of this name, beside its settings, at each start."""
        self.disk: SmallDisk | None = None
        self.log_disk: SmallDisk | None = None
        self._guardian = Guardian()
        self._ports = PortChooser()
        self._deaths: list[str] = []
        self._sandbox: Child | None = None
        self._provider_proxy: AnsweringProxy | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._addresses: Addresses | None = None
        self._credentials: Credentials | None = None

    @property
    def addresses(self) -> Addresses:
        assert self._addresses is not None
        return self._addresses

    @property
    def credentials(self) -> Credentials:
        assert self._credentials is not None
        return self._credentials

    @property
    def postgres(self) -> EmbeddedPostgres:
        assert self._postgres is not None
        return self._postgres

    @property
    def redis(self) -> EmbeddedRedis:
        assert self._redis is not None
        return self._redis

    @property
    def sandbox(self) -> Child:
        assert self._sandbox is not None
        return self._sandbox

    @property
    def provider_proxy(self) -> AnsweringProxy:
        assert self._provider_proxy is not None
        return self._provider_proxy

    @property
    def sandbox_url(self) -> str:
        assert self.addresses.sandbox_url is not None
        return self.addresses.sandbox_url

    @property
    def replicas(self) -> list[str]:
        """The delivery processes that run, by name."""
        return sorted(name for name, one in self.running.items() if one.service == "delivery")

    # -- processes ------------------------------------------------------------------------------------------------

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Signal one service process. After SIGKILL or SIGTERM its end is expected."""
        one = self.running[name]
        if number in {signal.SIGKILL, signal.SIGTERM}:
            one.told_to_end = True
        one.child.signal(number)

    async def start(self, name: str) -> None:
        """Start a service process of this name (`delivery-2`); ready when it returns. An old one must have ended."""
        await self._ready(self.spawn(name))

    def spawn(self, name: str, *, port: int | None = None) -> Running:
        old = self.running.get(name)
        if old is not None:
            if not old.child.wait(STOP_TIMEOUT_S):
                raise LaunchError(f"{name} still runs, so it cannot be started")
            self._count_death(name, old)
        service = name.partition("-")[0]
        own_port = port or (old.port if old is not None else self._own_port(name))
        spec = self._spec(
            name,
            f"broadsheet_{service}",
            [],
            {**self._service_environment(name, service, own_port), **self.environments.get(name, {})},
        )
        one = Running(service, own_port, Child(spec, self._guardian))
        self.running[name] = one
        return one

    async def wait_ready(self, name: str) -> None:
        await self._ready(self.running[name])

    async def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Signal a process and wait for its end within a bound; returns its exit code."""
        one = self.running[name]
        self.send_signal(name, number)
        ended = await in_thread(lambda: one.child.wait(STOP_TIMEOUT_S))
        if not ended:
            raise LaunchError(f"{name} did not end within {STOP_TIMEOUT_S:.0f} s of {number.name}")
        return one.child.exit_code()

    def forget(self, name: str) -> None:
        """Forget a process that has ended and will not be started again under this name."""
        self._count_death(name, self.running.pop(name))

    def free_port(self) -> int:
        return self._ports.any_free()

    def unexpected_deaths(self) -> list[str]:
        """Processes that ended without being told to, since the last call."""
        for name, one in self.running.items():
            self._count_death(name, one)
        found, self._deaths = self._deaths, []
        return found

    def _count_death(self, name: str, one: Running) -> None:
        if one.child.exit_code() is not None and not one.told_to_end:
            one.told_to_end = True
            self._deaths.append(f"{name} {one.child.describe_end()} by itself")

    async def make_whole(self) -> None:
        """Repair the stack between scenarios: every process runs, links pass, stores are up."""
        for link in [*self.links.values(), *self.provider_links.values()]:
            link.heal()
        self.make_room()
        if self._provider_proxy is not None:
            self._provider_proxy.pass_on()
        if self._postgres_is_down():
            await self.start_postgres()
        if self.redis_is_down():
            await self.start_redis()
        self.sandbox.signal(signal.SIGCONT)
        down = [name for name, one in self.running.items() if one.child.exit_code() is not None]
        for name in self.running:
            self.running[name].child.signal(signal.SIGCONT)
        await all_or_first_error([self.start(name) for name in down])

    # -- disks ----------------------------------------------------------------------------------------------------

    def fill_disks(self) -> None:
        """From now on Postgres's writes fail, and those of the services' logs."""
        if self.disk is not None:
            self.disk.fill(self.postgres.child.pid)
        if self.log_disk is not None:
            for one in self.running.values():
                self.log_disk.fill(one.child.pid)

    def make_room(self) -> None:
        if self.disk is not None:
            self.disk.make_room(None if self._postgres_is_down() else self.postgres.child.pid)
        if self.log_disk is not None:
            for one in self.running.values():
                self.log_disk.make_room(one.child.pid)

    # -- stores ---------------------------------------------------------------------------------------------------

    async def crash_postgres(self) -> None:
        """`pg_ctl stop -m immediate`: for the data this is a crash."""
        await in_thread(lambda: self.postgres.stop("immediate"))

    async def start_postgres(self) -> None:
        await in_thread(self._start_postgres_again)

    def _start_postgres_again(self) -> None:
        with contextlib.suppress(LaunchError):
            self.postgres.stop(
                "immediate"
            )  # releases what a crashed one held; does nothing when it was stopped properly
        self.postgres.start()

    def _postgres_is_down(self) -> bool:
        try:
            return self.postgres.child.exit_code() is not None
        except AssertionError:  # stopped, and so without a child
            return True

    async def kill_redis(self) -> None:
        await in_thread(self.redis.child.kill)

    async def start_redis(self) -> None:
        await in_thread(self.redis.stop)
        await in_thread(self.redis.start)

    def redis_is_down(self) -> bool:
        return self.redis.child.exit_code() is not None

    # -- the whole ------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._credentials = load_or_create(self.folder.secrets)
        self._guardian.start()
        self._addresses = await self._choose_addresses()
        if self.options.small_disk_mb is not None:
            self.disk = SmallDisk(self.folder.postgres, self.options.small_disk_mb)
            await in_thread(self.disk.prepare)
        if self.options.small_log_disk_mb is not None:
            self.log_disk = SmallDisk(self.folder.root / LOG_DISK, self.options.small_log_disk_mb)
            await in_thread(self.log_disk.prepare)
        self._start_sandbox()
        if self.options.provider_proxy:
            assert self.addresses.sandbox_port is not None
            self._provider_proxy = AnsweringProxy(self._ports.any_free(), self.addresses.sandbox_port)
            await self._provider_proxy.start()
        await self._start_stores()
        await self._run_step(
            "migrations",
            "broadsheet_migrations",
            ["upgrade"],
            migration_environment(self.postgres.url, self.credentials),
        )
        for service in ("subscriptions", "publishing", "gateway"):
            self.spawn(service)
        for number in range(1, self.options.replicas + 1):
            self.spawn(f"delivery-{number}")
        waits: list[Awaitable[None]] = [self._ready(one) for one in self.running.values()]
        await all_or_first_error([*waits, self._bootstrap()])

    async def _choose_addresses(self) -> Addresses:
        ports = self._ports
        gateway_port = ports.any_free()
        addresses = Addresses(
            gateway_port=gateway_port,
            sandbox_port=ports.any_free(),
            postgres_port=ports.any_free(),
            redis_port=ports.any_free(),
            subscriptions_port=ports.any_free(),
            publishing_port=ports.any_free(),
            delivery_ports=tuple(ports.any_free() for _ in range(self.options.replicas)),
            public_url=address(gateway_port),
        )
        if self.options.balanced:
            for service, port in (
                ("gateway", gateway_port),
                ("subscriptions", addresses.subscriptions_port),
                ("publishing", addresses.publishing_port),
                ("delivery", addresses.delivery_ports[0]),
            ):
                self.doors[service] = TcpLink(port, ports.any_free())
                await self.doors[service].start()
        names = [f"delivery-{number}" for number in range(1, self.options.replicas + 1)]
        if self.options.provider_linked:
            assert addresses.sandbox_port is not None
            for name in names:
                self.provider_links[name] = TcpLink(ports.any_free(), addresses.sandbox_port)
                await self.provider_links[name].start()
        if self.options.linked:
            for name in ("gateway", "subscriptions", "publishing", *names):
                self.links[name] = TcpLink(ports.any_free(), addresses.postgres_port)
                await self.links[name].start()
        return addresses

    def _own_port(self, name: str) -> int:
        """Where a process listens: at its service's address, or (balanced) at a port behind it."""
        service, _, number = name.partition("-")
        if self.options.balanced:
            port = self._ports.any_free()
            if service != "delivery" or number == "1":
                self.doors[service].turn_to(port)
            return port
        addresses = self.addresses
        match service:
            case "gateway":
                return addresses.gateway_port
            case "subscriptions":
                return addresses.subscriptions_port
            case "publishing":
                # A further process takes no requests: it only does background work.
                return addresses.publishing_port if not number else self.free_port()
            case _:
                place = int(number) - 1
                return addresses.delivery_ports[place] if place < len(addresses.delivery_ports) else self.free_port()

    def _start_sandbox(self) -> None:
        port = self.addresses.sandbox_port
        command = ["--host", LOOPBACK, "--port", str(port)]
        command += ["--data-dir", str(self.folder.sandbox), "--webhook-retry-scale", "0.01"]
        environment = sandbox_environment(self.credentials)
        if self.options.webhooks:
            command += ["--webhook-url", self.addresses.gateway_url + WEBHOOK_PATH]
        spec = self._spec("sandbox", "broadsheet_postmark_sandbox", command, environment, stage=STAGE_PROVIDER)
        self._sandbox = Child(spec, self._guardian)

    async def _start_stores(self) -> None:
        self._postgres = EmbeddedPostgres(
            self.folder.postgres,
            port=self.addresses.postgres_port,
            log_path=self.folder.log_path("postgres"),
            guardian=self._guardian,
            settings={} if self.disk is None else self.disk.postgres_settings,
        )
        self._redis = EmbeddedRedis(
            self.folder.redis,
            port=self.addresses.redis_port,
            log_path=self.folder.log_path("redis"),
            guardian=self._guardian,
        )
        await in_thread(self._postgres.start)
        await in_thread(self._redis.start)

    async def _bootstrap(self) -> None:
        environment = self._service_environment("gateway", "gateway", self.addresses.gateway_port)
        user = ["create-user", "--username", LOCAL_USERNAME, "--if-missing"]
        user += ["--password-file", str(self.credentials.author_password_file)]
        key = ["create-api-key", "--name", "chaos", "--username", LOCAL_USERNAME, "--scopes", "all"]
        key += ["--secret-file", str(self.credentials.api_key_file)]
        for name, command in (("create-user", user), ("create-api-key", key)):
            await self._run_step(name, "broadsheet_gateway", command, environment)

    async def _run_step(self, name: str, module: str, command: list[str], environment: dict[str, str]) -> None:
        child = Child(self._spec(name, module, command, environment), self._guardian)
        try:
            if not await in_thread(lambda: child.wait(STEP_TIMEOUT_S)):
                raise LaunchError(f"{name} took longer than {STEP_TIMEOUT_S:.0f} s", log_path=child.spec.log_path)
        finally:
            child.kill()
        if child.exit_code() != 0:
            raise LaunchError(f"{name} {child.describe_end()}", log_path=child.spec.log_path)

    def _service_environment(self, name: str, service: str, port: int) -> dict[str, str]:
        database_url = self.postgres.url_for(f"broadsheet_{service}", self.credentials.database_passwords[service])
        link = self.links.get(name)
        if link is not None:
            database_url = database_url.replace(f":{self.postgres.port}/", f":{link.port}/")
        provider_link = self.provider_links.get(name)
        provider_url = self._provider_url if provider_link is None else address(provider_link.port)
        composed = service_environment(
            service,
            port=port,
            database_url=database_url,
            addresses=self.addresses,
            redis_url=self.redis.url,
            credentials=self.credentials,
            provider=Provider(base_url=provider_url, server_token=self.credentials.sandbox_token, is_sandbox=True),
        )
        return {**composed, **SHORTENED, **self.options.settings}

    @property
    def _provider_url(self) -> str:
        return self.sandbox_url if self._provider_proxy is None else address(self._provider_proxy.port)

    def _spec(
        self, name: str, module: str, arguments: list[str], environment: dict[str, str], *, stage: int = 0
    ) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            command=[sys.executable, "-P", "-m", module, *arguments],
            environment=environment,
            log_path=self._log_path(name, stage),
            folder=self.folder.root,
            stage=stage,
        )

    def _log_path(self, name: str, stage: int) -> Path:
        if self.log_disk is None or stage != STAGE_SERVICE:
            return self.folder.log_path(name)
        return self.log_disk.folder / f"{name}.log"

    def keep_logs(self) -> None:
        """Copy logs from their own disk to where the other logs are."""
        if self.log_disk is not None:
            for path in self.log_disk.folder.glob("*.log*"):
                shutil.copy(path, self.folder.logs / path.name)

    async def _ready(self, one: Running) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            status = await asyncio.to_thread(status_of, LOOPBACK, one.port, "/health/ready", timeout_s=PROBE_TIMEOUT_S)
            if status == HTTPStatus.OK:
                return
            name, log_path = one.child.name, one.child.spec.log_path
            if one.child.exit_code() is not None:
                raise LaunchError(f"{name} {one.child.describe_end()} before it was ready", log_path=log_path)
            if time.monotonic() > deadline:
                raise LaunchError(f"{name} was not ready within {READY_TIMEOUT_S:.0f} s", log_path=log_path)
            await asyncio.sleep(POLL_S)

    async def _stop(self) -> None:
        try:
            # The scenarios are over, so nothing needs a graceful stop.
            children = [one.child for one in self.running.values()]
            if self._sandbox is not None:
                children.append(self._sandbox)
            for child in children:
                await in_thread(child.kill)
            for link in [*self.links.values(), *self.doors.values(), *self.provider_links.values()]:
                await link.stop()
            if self._provider_proxy is not None:
                await self._provider_proxy.stop()
            if self._redis is not None:
                await in_thread(self._redis.stop)
            if self._postgres is not None:
                await in_thread(lambda: self.postgres.stop("immediate"))
        finally:
            if self.disk is not None:
                await in_thread(self.disk.remove)
            if self.log_disk is not None:
                await in_thread(self.keep_logs)
                await in_thread(self.log_disk.remove)
            await in_thread(self._guardian.close)
            self._ports.close()
            self.folder.release()
