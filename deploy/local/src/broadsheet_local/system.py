"""The whole set-up as one thing that starts, is watched and stops.

    async with LocalSystem(options, say) as system:
        await system.watch()

Order of starting: a check of every setting, stores and sandbox, migrations, then services beside the author's
login and key.
"""

import os
import subprocess
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path

import msgspec

from broadsheet_local.default_newsletter import SAMPLE_POSTAL_ADDRESS, set_up_default_newsletter
from broadsheet_local.embedded.bootstrap_check import has_author_and_key
from broadsheet_local.embedded.credentials import LOCAL_PASSWORD, LOCAL_USERNAME, Credentials, load_or_create
from broadsheet_local.embedded.data_folder import DataFolder
from broadsheet_local.embedded.ports import LOOPBACK, PortChooser
from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.embedded.redis import EmbeddedRedis
from broadsheet_local.environment import (
    SERVICES,
    Addresses,
    Provider,
    address,
    inherited,
    migration_environment,
    sandbox_environment,
    service_environment,
)
from broadsheet_local.errors import LaunchError
from broadsheet_local.supervision.child import STAGE_PROVIDER, Child, ProcessSpec
from broadsheet_local.supervision.concurrency import all_or_first_error, in_thread
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_local.supervision.started_whole import StartedWhole
from broadsheet_local.supervision.supervisor import Say, Supervisor

GATEWAY_PORT = 8081
SANDBOX_PORT = 8025
POSTGRES_PORT = 54_329
READY_TIMEOUT_S = 60.0
CHECK_TIMEOUT_S = 60.0


class Options(msgspec.Struct, frozen=True):
    """The options of a set-up. A port of None is the default one or, when that is taken, a free one."""

    data_dir: Path
    replicas: int = 1
    gateway_port: int | None = None
    sandbox_port: int | None = None
    postgres_port: int | None = None
    latency_ms: int = 0
    public_url: str | None = None
    postmark: Provider | None = None
    newsletter_name: str | None = None
    """The name of the default newsletter; None leaves it as it is."""
    mail_from: str | None = None
    """`Name <address>` that mail is sent from; None leaves it as it is."""
    postal_address: str | None = None
    """The default newsletter's, which is in each of its mails; None leaves it as it is."""
    canary_address: str | None = None
    """Where the canary mail goes that shows whether Postmark's search is up to date (docs/guarantee.md)."""
    delivery_settings: Mapping[str, str] = {}
    """Overrides everything else in the environment of the delivery processes."""
    postgres_settings: Mapping[str, str] = {}
    """Override the embedded server's own settings."""


class LocalSystem(StartedWhole):
    """Every part of Broadsheet on this machine. Raises LaunchError from starting and watching."""

    def __init__(self, options: Options, say: Say) -> None:
        self._options = options
        self._say = say
        self.folder = DataFolder(options.data_dir)
        self._guardian = Guardian()
        self._ports = PortChooser()
        self._supervisor = Supervisor(self.folder, self._guardian, say)
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._addresses: Addresses | None = None
        self._credentials: Credentials | None = None
        self._mail_from: str | None = None

    @property
    def addresses(self) -> Addresses:
        assert self._addresses is not None
        return self._addresses

    @property
    def credentials(self) -> Credentials:
        assert self._credentials is not None
        return self._credentials

    @property
    def database_url(self) -> str:
        """The superuser's address, for inspection and for the bulk import."""
        assert self._postgres is not None
        return self._postgres.url

    @property
    def redis_url(self) -> str:
        """The owner's address, for inspection."""
        assert self._redis is not None
        return self._redis.owner_url

    @property
    def username(self) -> str:
        return LOCAL_USERNAME

    @property
    def password(self) -> str:
        return LOCAL_PASSWORD

    @property
    def restarts(self) -> int:
        return self._supervisor.restarts

    def process_ids(self) -> dict[str, int]:
        return {child.name: child.pid for child in self._supervisor.processes()}

    async def watch(self) -> None:
        """Wait for a death that ends everything, which is raised as LaunchError."""
        await self._supervisor.watch()

    def kill(self) -> None:
        """End everything at once, without a graceful stop."""
        self._supervisor.kill_all()

    async def _start(self) -> None:
        stopped = await in_thread(self.folder.stop_leftovers)
        if stopped:
            self._say(f"stopped what an earlier, killed run had left: {', '.join(stopped)}")
        self._credentials = load_or_create(self.folder.secrets)
        self._addresses = self._choose_addresses()
        self._make_stores()
        await in_thread(self._check_settings)
        self._guardian.start()
        sandbox = self._start_sandbox()
        await self._start_stores()
        await self._migrate()
        self._mail_from = await in_thread(self._set_up_newsletter)
        services = self._start_services()
        waits: list[Awaitable[None]] = [self._bootstrap()]
        waits += [self._wait_ready(child, port, path) for child, port, path in [*sandbox, *services]]
        await all_or_first_error(waits)

    def _choose_addresses(self) -> Addresses:
        options, ports = self._options, self._ports

        def choose(asked: int | None, default: int, option: str, what: str) -> int:
            if asked is not None:
                return ports.required(asked, option=option)
            port = ports.preferred(default)
            if port != default:
                self._say(f"port {default} is in use; {what} listens on {port}")
            return port

        gateway_port = choose(options.gateway_port, GATEWAY_PORT, "--gateway-port", "the gateway")
        sandbox_port = None
        if options.postmark is None:
            sandbox_port = choose(options.sandbox_port, SANDBOX_PORT, "--sandbox-port", "the sandbox")
        return Addresses(
            gateway_port=gateway_port,
            sandbox_port=sandbox_port,
            postgres_port=choose(options.postgres_port, POSTGRES_PORT, "--postgres-port", "Postgres"),
            redis_port=ports.any_free(),
            subscriptions_port=ports.any_free(),
            publishing_port=ports.any_free(),
            delivery_ports=tuple(ports.any_free() for _ in range(options.replicas)),
            public_url=(options.public_url or address(gateway_port)).rstrip("/"),
        )

    def _start_sandbox(self) -> list[tuple[Child, int, str]]:
        port = self.addresses.sandbox_port
        if port is None:
            return []
        command = ["--host", LOOPBACK, "--port", str(port)]
        command += ["--data-dir", str(self.folder.sandbox), "--latency-ms", str(self._options.latency_ms)]
        command += ["--webhook-url", f"{self.addresses.gateway_url}/webhooks/postmark"]
        child = self._supervisor.start(
            self._spec(
                "sandbox",
                "broadsheet_postmark_sandbox",
                command,
                sandbox_environment(self.credentials),
                stage=STAGE_PROVIDER,
            )
        )
        return [(child, port, "/_sandbox/health")]

    def _make_stores(self) -> None:
        self._postgres = EmbeddedPostgres(
            self.folder.postgres,
            port=self.addresses.postgres_port,
            settings=self._options.postgres_settings,
            log_path=self.folder.log_path("postgres"),
            guardian=self._guardian,
        )
        self._redis = EmbeddedRedis(
            self.folder.redis,
            port=self.addresses.redis_port,
            log_path=self.folder.log_path("redis"),
            guardian=self._guardian,
        )

    async def _start_stores(self) -> None:
        assert self._postgres is not None
        assert self._redis is not None
        await in_thread(self._postgres.start)
        self._supervisor.adopt(self._postgres.child)
        await in_thread(self._redis.start)
        self._supervisor.adopt(self._redis.child)
        for folder in dict.fromkeys([*self._postgres.opened_folders, *self._redis.opened_folders]):
            if not folder.is_relative_to(self.folder.root):
                self._say(f"made {folder} passable for the stores' system user (chmod o+x)")

    def _check_settings(self) -> None:
        """Raises LaunchError that names every faulty setting of every service."""
        environments = {
            service: self._service_environment(service, self.addresses.gateway_port) for service in SERVICES
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "broadsheet_local.check_settings"],
            input=msgspec.json.encode(environments),
            check=False,
            capture_output=True,
            env=inherited(os.environ),
            cwd=self.folder.root,
            timeout=CHECK_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise LaunchError(f"nothing was started: {done.stderr.decode(errors='replace').strip()}")

    def _set_up_newsletter(self) -> str | None:
        options = self._options
        return set_up_default_newsletter(
            self.database_url,
            name=options.newsletter_name,
            mail_from=options.mail_from,
            postal_address=options.postal_address,
            # Nobody gets these mails. With a real Postmark, a wrong address would be worse than none.
            first_postal_address=SAMPLE_POSTAL_ADDRESS if options.postmark is None else "",
        )

    async def _migrate(self) -> None:
        spec = self._spec(
            "migrations",
            "broadsheet_migrations",
            ["upgrade"],
            migration_environment(self.database_url, self.credentials),
        )
        await self._supervisor.run_step(spec, purpose="bringing the database to the newest schema")

    def _start_services(self) -> list[tuple[Child, int, str]]:
        ports = [
            ("subscriptions", "subscriptions", self.addresses.subscriptions_port),
            ("publishing", "publishing", self.addresses.publishing_port),
            *(
                (f"delivery-{number}", "delivery", port)
                for number, port in enumerate(self.addresses.delivery_ports, start=1)
            ),
            ("gateway", "gateway", self.addresses.gateway_port),
        ]
        started = []
        for name, service, port in ports:
            spec = self._spec(name, f"broadsheet_{service}", [], self._service_environment(service, port))
            child = self._supervisor.start(spec, restartable=service == "delivery")
            started.append((child, port, "/health/ready"))
        return started

    async def _bootstrap(self) -> None:
        """The local author and API key, through the gateway's own commands, which leave existing ones alone.

        They are not run at all when both are there: each would cost a start as much as a service does.
        """
        if await in_thread(lambda: has_author_and_key(self.database_url, self.username, self.credentials.api_key)):
            return
        environment = self._service_environment("gateway", self.addresses.gateway_port)
        password_file = str(self.credentials.author_password_file)
        user = ["create-user", "--username", LOCAL_USERNAME, "--password-file", password_file, "--if-missing"]
        key = ["create-api-key", "--name", "local", "--username", LOCAL_USERNAME, "--scopes", "all"]
        key += ["--secret-file", str(self.credentials.api_key_file)]
        for name, command in (("create-user", user), ("create-api-key", key)):
            spec = self._spec(name, "broadsheet_gateway", command, environment)
            await self._supervisor.run_step(spec, purpose="making the local author's login and API key")

    def _service_environment(self, service: str, port: int) -> dict[str, str]:
        assert self._postgres is not None
        assert self._redis is not None
        role_password = self.credentials.database_passwords[service]
        environment = service_environment(
            service,
            port=port,
            database_url=self._postgres.url_for(f"broadsheet_{service}", role_password),
            addresses=self.addresses,
            redis_url=self._redis.url,
            credentials=self.credentials,
            provider=self._provider(),
            mail_from=self._options.mail_from or self._mail_from,
            canary_address=self._options.canary_address,
        )
        return environment | dict(self._options.delivery_settings) if service == "delivery" else environment

    def _provider(self) -> Provider:
        sandbox_url = self.addresses.sandbox_url
        if sandbox_url is not None:
            return Provider(base_url=sandbox_url, server_token=self.credentials.sandbox_token, is_sandbox=True)
        assert self._options.postmark is not None
        return self._options.postmark

    def _spec(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        stage: int = 0,
    ) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            # -P: the data folder is the working folder and must not be a place to import from.
            command=[sys.executable, "-P", "-m", module, *arguments],
            environment=environment,
            log_path=self.folder.log_path(name),
            folder=self.folder.root,
            stage=stage,
        )

    async def _wait_ready(self, child: Child, port: int, path: str) -> None:
        await self._supervisor.wait_ready(child, port, path, timeout_s=READY_TIMEOUT_S)

    async def _stop(self) -> None:
        try:
            await self._supervisor.stop_all()
            if self._redis is not None:
                await in_thread(self._redis.stop)
            if self._postgres is not None:
                await in_thread(self._postgres.stop)
        finally:
            await in_thread(self._guardian.close)
            self._ports.close()
            self.folder.release()
