# ruff: noqa: INP001  # a script, not a package
"""Writes the tables of settings into docs/operating/configure.md, from the settings classes themselves.

    .venv/bin/python docs/settings_reference.py

What a setting means is the docstring behind its field, or, where the class has none, an entry of MEANINGS here. A test
(deploy/docker/tests) fails when the document and the classes differ.
"""

import ast
import inspect
import sys
import textwrap
from pathlib import Path

import msgspec

from broadsheet_common.process.settings import ServiceSettings
from broadsheet_delivery.settings import DeliverySettings
from broadsheet_gateway.settings import PRODUCTION_LIMITS, GatewaySettings
from broadsheet_publishing.settings import PublishingSettings
from broadsheet_subscriptions.settings import SubscriptionsSettings

DOCUMENT = Path(__file__).parent / "operating/configure.md"
BEGIN = "<!-- settings: written by docs/settings_reference.py -->"
END = "<!-- end of settings -->"

SERVICES: dict[str, type[ServiceSettings]] = {
    "subscriptions": SubscriptionsSettings,
    "publishing": PublishingSettings,
    "delivery": DeliverySettings,
    "gateway": GatewaySettings,
}

MEANINGS = {
    "broadsheet_env": "`production` or `local`. `local` widens the rate limits and allows the well-known login.",
    "bind_host": "Address to listen on. Loopback, or a private network; in the images 0.0.0.0.",
    "bind_port": "Port to listen on; in the images 8080.",
    "database_url": "`postgresql://role:password@host:port/database`, with the service's own role; libpq's parameters "
    "such as `?sslmode=verify-full&sslrootcert=…` may follow. Without `sslmode` TLS is used if the server offers it.",
    "database_pool_size": "Connections of the process. Delivery's default is 3: no transaction is open during a call.",
    "log_format": "`json`, or `console` for reading on a terminal.",
    "log_level": "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
    "delivery.public_url": "The gateway's public base URL: one-click unsubscribe addresses begin with it.",
    "delivery.identity_public_key": "PEM, Ed25519: the gateway's identities are verified with it.",
    "delivery.link_signing_keys": "`id:hex,…`, the current key first; the same as subscriptions'.",
    "delivery.postmark_base_url": "Postmark's API: `https://api.postmarkapp.com`.",
    "delivery.postmark_server_token": "Postmark's server API token.",
    "delivery.postmark_transactional_stream": "Message stream of confirmations. Newsletters name their own.",
    "delivery.delivery_lease_s": "How long a silent replica keeps its chunk; must exceed DELIVERY_HTTP_TIMEOUT_S.",
    "delivery.delivery_rescue_interval_s": "Time between two checks for leases that ran out.",
    "delivery.delivery_single_poll_s": "Longest wait between two polls of the single-mail lane.",
    "gateway.redis_url": "`redis://`, `rediss://` or `unix://`: sessions and rate limits.",
    "gateway.redis_timeout_s": "Longest wait for Redis.",
    "gateway.redis_connections_max": "Connections to Redis.",
    "gateway.subscriptions_url": "Where the subscriptions service answers.",
    "gateway.publishing_url": "Where the publishing service answers.",
    "gateway.delivery_url": "Where any delivery replica answers: one address, or one name for all replicas.",
    "gateway.identity_private_key": "PEM (PKCS 8), Ed25519: signs callers' identities. Only the gateway may have it.",
    "gateway.postmark_webhook_user": "User of Postmark's webhooks (basic authentication).",
    "gateway.postmark_webhook_password": "Password of Postmark's webhooks.",
    "gateway.session_lifetime_s": "A session ends after this time, even if it is used.",
    "gateway.session_idle_s": "A session that is not used ends after this time.",
    "gateway.argon2_concurrency": "Password checks at once; each takes a core and 19 MiB.",
    "gateway.login_limit_per_user": "Logins for one user name from one address (IPv6: from one /64).",
    "gateway.login_limit_per_user_overall": "Logins for one user name from all addresses together.",
    "gateway.unknown_key_limit_per_ip": "Look-ups of unknown API keys from one address (IPv6: from one /64).",
    "gateway.unknown_key_limit_overall": "Look-ups of unknown API keys from everywhere. Known keys are not affected.",
    "gateway.login_limit_per_ip": "Logins from one address (IPv6: from one /64).",
    "gateway.signup_limit_per_ip": "Sign-ups from one address (IPv6: from one /64).",
    "gateway.signup_limit_overall": "All sign-ups together.",
    "gateway.signup_limit_untimed_per_ip": "Sign-ups from one address without a form ticket (plain HTML, programs).",
    "gateway.signup_limit_untimed_overall": "All sign-ups without a form ticket together.",
    "gateway.signup_limit_per_address": "Sign-ups of one mailbox. More get the same answer, and have no effect.",
    "gateway.api_limit_per_caller": "API calls of one key or user.",
    "gateway.api_limit_reads_per_caller": "Of these, requests that only read.",
    "gateway.api_limit_writes_per_caller": "Of these, requests that change something.",
}

# Read by programs that have no settings class: the migration step and the sandbox.
OTHERS = """\
### The migration step

| variable | default | meaning |
| --- | --- | --- |
| `MIGRATION_DATABASE_URL` | required | The database as its owner; needs CREATEROLE, or a superuser. |
| `SUBSCRIPTIONS_DB_PASSWORD` | left as it is | Password that the role `broadsheet_subscriptions` gets. |
| `PUBLISHING_DB_PASSWORD` | left as it is | Password that the role `broadsheet_publishing` gets. |
| `DELIVERY_DB_PASSWORD` | left as it is | Password that the role `broadsheet_delivery` gets. |
| `GATEWAY_DB_PASSWORD` | left as it is | Password that the role `broadsheet_gateway` gets. |

### The sandbox

| variable | default | meaning |
| --- | --- | --- |
| `BROADSHEET_ENV` | none | `production` makes it refuse to start. |
| `POSTMARK_SERVER_TOKEN` | a well-known one | The token that it accepts. |
| `POSTMARK_WEBHOOK_USER`, `POSTMARK_WEBHOOK_PASSWORD` | none | The credentials that its webhooks send. |
"""


def docstrings(settings: type[ServiceSettings]) -> dict[str, str]:
    """The string behind each field of the class itself, on one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found


def own_fields(settings: type[ServiceSettings]) -> list[msgspec.structs.FieldInfo]:
    """Those that the class adds to what every service has."""
    fields = msgspec.structs.fields(settings)
    if settings is ServiceSettings:
        return list(fields)
    common = {field.name for field in msgspec.structs.fields(ServiceSettings)}
    return [field for field in fields if field.name not in common]


def meaning_keys(service: str | None, settings: type[ServiceSettings]) -> dict[str, str]:
    """Field to its key in MEANINGS, for the fields that have no docstring."""
    documented = docstrings(settings)
    prefix = f"{service}." if service else ""
    return {field.name: prefix + field.name for field in own_fields(settings) if field.name not in documented}


def default_text(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.name.partition("_limit_")[1] and field.default is None:
        limit = getattr(PRODUCTION_LIMITS, field.name.replace("_limit_", "_"))
        return f"`{limit.count}/{limit.window_s}`; wide in `local`"
    if field.default is None or not str(field.default):
        return "none"
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def table(service: str | None, settings: type[ServiceSettings]) -> str:
    """Raises KeyError for a field whose meaning is written nowhere."""
    documented = docstrings(settings)
    keys = meaning_keys(service, settings)
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for field in own_fields(settings):
        meaning = documented.get(field.name) or MEANINGS[keys[field.name]]
        rows.append(f"| `{field.name.upper()}` | {default_text(field)} | {meaning.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


def reference() -> str:
    """Every setting of every program, as Markdown."""
    parts = [f"### Every service\n\n{table(None, ServiceSettings)}"]
    parts += [f"### {service.capitalize()}\n\n{table(service, settings)}" for service, settings in SERVICES.items()]
    return "\n".join([*parts, OTHERS])


def with_reference(document: str) -> str:
    """The document with its tables written anew. Raises ValueError when it has no place for them."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} in the document")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def main() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_reference(document), encoding="utf-8")
    sys.stderr.write(f"wrote the settings into {DOCUMENT.name}\n")


if __name__ == "__main__":
    main()
