"""What each process gets as its settings: one place that knows every variable."""

import os
from collections.abc import Mapping

import msgspec

from broadsheet_local.embedded.credentials import Credentials
from broadsheet_local.embedded.ports import LOOPBACK

MAIL_FROM = "Broadsheet <newsletter@example.com>"
CANARY_ADDRESS = "canary@example.com"
"""Where the canary mail goes, which shows whether the sandbox's search is up to date after a call was cut off."""
WEBHOOK_USER = "postmark"
DRAIN_S = 12

# A batch takes some megabytes, allocated and freed several times a second. glibc would give such memory back to the
# kernel each time and take it again page by page, which cost a sender 15 µs a mail (docs/benchmarks.md). At most 96 MiB
# are kept, and 8 MiB are taken at once; 32 MiB is the largest MMAP_THRESHOLD that glibc takes. Other C libraries read
# none of these. Source: mallopt(3). The image has the same (deploy/docker/Dockerfile).
KEEP_FREED_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(96 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(8 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
}

SERVICES = ("subscriptions", "publishing", "delivery", "gateway")

# Set by the launcher alone: a value in the caller's environment would point a service somewhere else.
COMPOSED = (
    "BROADSHEET_ENV",
    "BIND_HOST",
    "BIND_PORT",
    "DATABASE_URL",
    "DELIVERY_URL",
    "ERASURE_KEYS",
    "IDENTITY_PRIVATE_KEY",
    "IDENTITY_PUBLIC_KEY",
    "LINK_SIGNING_KEYS",
    "MIGRATION_DATABASE_URL",
    "POSTMARK_BASE_URL",
    "POSTMARK_SERVER_TOKEN",
    "POSTMARK_WEBHOOK_PASSWORD",
    "POSTMARK_WEBHOOK_USER",
    "PUBLIC_URL",
    "PUBLISHING_URL",
    "REDIS_URL",
    "SANDBOX_INBOX_URL",
    "SECOND_FACTOR_KEYS",
    "SUBSCRIPTIONS_URL",
)


class Provider(msgspec.Struct, frozen=True):
    """Where mail goes: the sandbox, or a Postmark (or compatible) that somebody named."""

    base_url: str
    server_token: str
    is_sandbox: bool


class Addresses(msgspec.Struct, frozen=True):
    """Every port of one set-up, all on loopback."""

    gateway_port: int
    sandbox_port: int | None
    postgres_port: int
    redis_port: int
    subscriptions_port: int
    publishing_port: int
    delivery_ports: tuple[int, ...]
    public_url: str

    @property
    def gateway_url(self) -> str:
        return address(self.gateway_port)

    @property
    def sandbox_url(self) -> str | None:
        return None if self.sandbox_port is None else address(self.sandbox_port)


def address(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without the variables that the launcher sets.

    Bytecode is written even where the caller forbids it: compiling again takes two thirds of every start, and the
    folders it goes to are the checkout's own and ignored by git.
    """
    ours = {*COMPOSED, *(f"{name}_FILE" for name in COMPOSED), "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in environ.items() if name not in ours}
    return kept | {"PYTHONUNBUFFERED": "1"}


def service_environment(
    service: str,
    *,
    port: int,
    database_url: str,
    addresses: Addresses,
    redis_url: str,
    credentials: Credentials,
    provider: Provider,
    mail_from: str | None = None,
    canary_address: str | None = None,
) -> dict[str, str]:
    """The settings of one service process; a tunable in the caller's environment overrides our default."""
    composed = {
        "BROADSHEET_ENV": "local",
        "BIND_HOST": LOOPBACK,
        "BIND_PORT": str(port),
        "DATABASE_URL": database_url,
        "PUBLIC_URL": addresses.public_url,
    }
    tunable = {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO", "DRAIN_S": str(DRAIN_S), "DRAIN_NOTICE_S": "0"}
    if service == "gateway":
        composed |= {
            "IDENTITY_PRIVATE_KEY_FILE": str(credentials.identity_private_key_file),
            "SECOND_FACTOR_KEYS_FILE": str(credentials.second_factor_keys_file),
            "REDIS_URL": redis_url,
            "SUBSCRIPTIONS_URL": address(addresses.subscriptions_port),
            "PUBLISHING_URL": address(addresses.publishing_port),
            "DELIVERY_URL": address(addresses.delivery_ports[0]),
            "POSTMARK_WEBHOOK_USER": WEBHOOK_USER,
            "POSTMARK_WEBHOOK_PASSWORD_FILE": str(credentials.webhook_password_file),
        }
        if provider.is_sandbox:
            composed["SANDBOX_INBOX_URL"] = provider.base_url
    else:
        composed["IDENTITY_PUBLIC_KEY_FILE"] = str(credentials.identity_public_key_file)
    if service in {"subscriptions", "delivery"}:
        composed["LINK_SIGNING_KEYS_FILE"] = str(credentials.link_signing_keys_file)
        composed["ERASURE_KEYS_FILE"] = str(credentials.erasure_keys_file)
    if service == "subscriptions":
        composed["SECRET_ENCRYPTION_KEYS_FILE"] = str(credentials.secret_encryption_keys_file)
        # Webhook receivers under development run on this machine.
        tunable |= {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128", "WEBHOOK_ALLOW_HTTP": "true"}
    if service in {"publishing", "delivery"}:
        tunable["MAIL_FROM"] = MAIL_FROM
        # The command line overrides the environment.
        if mail_from is not None:
            composed["MAIL_FROM"] = mail_from
    if service == "delivery":
        composed |= {
            "POSTMARK_BASE_URL": provider.base_url,
            "POSTMARK_SERVER_TOKEN": provider.server_token,
        }
        tunable |= KEEP_FREED_MEMORY
        if provider.is_sandbox:
            # A sandbox answers at once, so a crashed sender's mail can be settled in seconds.
            tunable |= {
                "DELIVERY_HTTP_TIMEOUT_S": "10",
                "DELIVERY_LEASE_S": "15",
                "DELIVERY_RECONCILE_FLOOR_S": "5",
                "DELIVERY_CANARY_ADDRESS": CANARY_ADDRESS,
            }
        if canary_address is not None:
            composed["DELIVERY_CANARY_ADDRESS"] = canary_address
    return tunable | inherited(os.environ) | composed


def migration_environment(superuser_url: str, credentials: Credentials) -> dict[str, str]:
    passwords = {f"{role.upper()}_DB_PASSWORD": password for role, password in credentials.database_passwords.items()}
    return inherited(os.environ) | {"MIGRATION_DATABASE_URL": superuser_url} | passwords


def sandbox_environment(credentials: Credentials) -> dict[str, str]:
    """Its token and its webhooks' credentials. They are not arguments, because `ps` shows those to everybody."""
    return inherited(os.environ) | {
        "BROADSHEET_ENV": "local",
        "POSTMARK_SERVER_TOKEN": credentials.sandbox_token,
        "POSTMARK_WEBHOOK_USER": WEBHOOK_USER,
        "POSTMARK_WEBHOOK_PASSWORD": credentials.webhook_password_file.read_text(encoding="utf-8").strip(),
    }
