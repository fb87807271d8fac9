"""Typed settings from environment variables.

A service declares a frozen `msgspec.Struct`; field `database_url` is read from `DATABASE_URL`. Any setting may
also come from a file named by `<NAME>_FILE`. All missing and malformed settings are reported together, before
anything starts.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar, get_type_hints
from urllib.parse import urlsplit

import msgspec

from broadsheet_common.http.allowed_values import explain

Environment = Literal["production", "local"]

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]


class Secret:
    """A value that must never be printed; `reveal()` returns it to the code that needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class HttpUrl(str):
    """An absolute http(s) address without a trailing slash, query or fragment."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "HttpUrl":
        parts = urlsplit(raw)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an http(s) URL")
        if parts.query or parts.fragment:
            raise ValueError("a query or fragment is not allowed here")
        return cls(raw.rstrip("/"))


class PostgresUrl(str):
    """A `postgresql://` address, as libpq and every Postgres client write it."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "PostgresUrl":
        parts = urlsplit(raw)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
            raise ValueError("not a postgresql:// URL with a database name")
        return cls(raw)


class RedisUrl(str):
    """A `redis://`, `rediss://` or `unix://` address."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> "RedisUrl":
        if urlsplit(raw).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("not a redis:// URL")
        return cls(raw)


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that every service has; each service's own Struct extends this one."""

    broadsheet_env: Environment = "production"
    bind_host: str = "127.0.0.1"
    bind_port: Port
    database_url: PostgresUrl
    database_pool_size: PositiveInt = 10
    database_timeout_s: PositiveSeconds = 10.0
    """Longest wait for a connection or for one statement's answer."""
    connections_max: PositiveInt = 1000
    """Largest number of client connections; fewer if `ulimit -n` is low. When it is reached, the connection that has
    waited longest without a request is closed for the new one.
    """
    connections_per_address_max: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of them, those of one address (one /64 of IPv6); when it is reached, they make room for each other. 0: no limit.
    The gateway's default is 250, and its trusted proxies are not counted.
    """
    first_byte_timeout_s: PositiveSeconds = 15.0
    """How long a new connection may stay silent."""
    header_timeout_s: PositiveSeconds = 15.0
    """How long a request's headers may take from their first byte."""
    body_idle_timeout_s: PositiveSeconds = 60.0
    """The longest pause in a request's body before the connection is closed."""
    keep_alive_timeout_s: PositiveSeconds = 75.0
    """How long a connection may stay idle after an answer. Must be longer than the proxy in front keeps it."""
    write_timeout_s: PositiveSeconds = 20.0
    """A client that reads an answer at less than a kilobyte a second for this long is disconnected."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    drain_notice_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 2.0
    """How long readiness is 503 and answers close their connections before the listener closes. Must be longer than
    the interval of load balancers' checks and the time for which they keep idle connections. The gateway keeps
    idle connections to the services for a second.
    """
    drain_s: PositiveSeconds = 20.0
    """How long requests and sends in progress may take to finish after SIGTERM."""

    def count_connection_as(self, address: str) -> str | None:
        """The name under which connections from an address are counted together; None: they are not counted."""
        return address


class SettingsError(Exception):
    """One or more settings are missing or malformed; `problems` says which and why, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


def _decode_text(type_: type, value: object) -> object:
    if not isinstance(value, str):
        raise TypeError(f"expected text for {type_.__name__}")
    if type_ is Secret:
        return Secret(value)
    if type_ in {HttpUrl, PostgresUrl, RedisUrl}:
        parsed: object = type_.parse(value)
        return parsed
    raise TypeError(f"no setting can be a {type_.__name__}")


def _read_raw(name: str, environ: Mapping[str, str]) -> str | None:
    """The text of setting `name`: from the environment, or from the file that `<name>_FILE` names."""
    if (value := environ.get(name)) is not None:
        return value
    if (path := environ.get(f"{name}_FILE")) is not None:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the file that {name}_FILE names: {error}") from error
    return None


def load_settings(cls: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Build `cls` from `environ`.

    Raises:
        SettingsError: naming every variable that is missing, empty or malformed.
    """
    problems: list[str] = []
    values: dict[str, object] = {}
    hints = get_type_hints(cls, include_extras=True)
    for field in msgspec.structs.fields(cls):
        name = field.name.upper()
        try:
            raw = _read_raw(name, environ)
            if raw is None:
                if field.required:
                    problems.append(f"{name} is not set")
                continue
            if not raw:
                problems.append(f"{name} is empty")
                continue
            values[field.name] = msgspec.convert(raw, hints[field.name], strict=False, dec_hook=_decode_text)
        except msgspec.ValidationError as error:
            problems.append(f"{name} is malformed: {explain(error, hints[field.name])}")
        except (ValueError, TypeError) as error:
            # The message does not contain the value: it may be a secret.
            problems.append(f"{name} is malformed: {error}")
    if problems:
        raise SettingsError(problems)
    try:
        return cls(**values)
    except ValueError as error:  # from a `__post_init__` that found two settings in conflict
        raise SettingsError([str(error)]) from error


def exit_with_settings_error(service: str, error: SettingsError) -> NoReturn:
    """Print one line for each invalid setting, and end the process with status 2."""
    for problem in error.problems:
        sys.stderr.write(f"{service}: {problem}\n")
    sys.exit(2)
