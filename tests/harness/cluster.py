"""A real Postgres for the tests, and a migrated database of its own for each one.

TEST_DATABASE_URL (a superuser's) if set; else a container where a Docker engine has the image; else the embedded one.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
from psycopg import sql

from broadsheet_local.embedded.postgres import EmbeddedPostgres
from broadsheet_local.supervision.guardian import Guardian
from broadsheet_migrations.roles import set_role_passwords
from harness.containers import postgres_container_url

ROLES = ("broadsheet_subscriptions", "broadsheet_publishing", "broadsheet_delivery", "broadsheet_gateway")
POSTAL_ADDRESS = "1 Example Street, Example Town"
"""Of each newsletter in the tests."""
ROLE_PASSWORD = "test-password"  # of roles in a throw-away cluster
_SPEED_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # The files may be in memory.
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
}
_SHARED_MEMORY = Path("/dev/shm")  # a folder with a random name is made in it
_FREE_BYTES_MIN = 4 << 30
TEMPLATE_VARIABLE = "TEST_TEMPLATE_DATABASE"
"""Names a migrated database of the server TEST_DATABASE_URL, so that many short test runs need not migrate one each."""


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


class Database(msgspec.Struct, frozen=True):
    """One migrated database. `owner_url` is the superuser's; `url_for("delivery")` a service role's."""

    owner_url: str
    name: str

    def url_for(self, service: str) -> str:
        role = service if service.startswith("broadsheet_") else f"broadsheet_{service}"
        parts = urlsplit(self.owner_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role}:{ROLE_PASSWORD}@{host}"))


class KeptConnection:
    """One connection for many statements, each as if it were the first: a new one takes 15 ms, a statement 0.3."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[psycopg.Connection] = []
        self._finalizer = weakref.finalize(self, _close_all, self._open)

    def get(self) -> psycopg.Connection:
        """Autocommitting, and without what an earlier statement has set."""
        if self._open:
            try:
                self._open[0].execute("DISCARD ALL")
            except psycopg.OperationalError:
                # The server was stopped, or it closed the connection.
                self.close()
        if not self._open:
            # The server forgets prepared statements too.
            self._open.append(psycopg.connect(self._url, autocommit=True, prepare_threshold=None))
        return self._open[0]

    def close(self) -> None:
        _close_all(self._open)


def _close_all(connections: list[psycopg.Connection]) -> None:
    while connections:
        connections.pop().close()


class Cluster:
    """A server, with a migrated template that databases are cloned from. `template`: one that is there already."""

    def __init__(self, superuser_url: str, template: str | None = None) -> None:
        self.superuser_url = superuser_url
        self._kept = KeptConnection(superuser_url)
        self._is_borrowed = template is not None
        self.template = template or f"template_{secrets.token_hex(4)}"
        if not self._is_borrowed:
            self._migrate()

    def _migrate(self) -> None:
        self._admin(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.template)))
        template_url = _with_database(self.superuser_url, self.template)
        subprocess.run(
            [sys.executable, "-m", "broadsheet_migrations", "upgrade"],
            check=True,
            env={**os.environ, "MIGRATION_DATABASE_URL": template_url},
            timeout=120,
        )
        set_role_passwords(self.superuser_url, dict.fromkeys(ROLES, ROLE_PASSWORD))
        with psycopg.connect(template_url, autocommit=True) as connection:
            # Without one a newsletter cannot publish.
            connection.execute("UPDATE publishing.newsletter SET postal_address = %s", [POSTAL_ADDRESS])

    def _admin(self, statement: sql.Composed) -> None:
        self._kept.get().execute(statement)

    @contextmanager
    def database(self) -> Iterator[Database]:
        name = f"test_{secrets.token_hex(6)}"
        self._admin(
            # Files are copied as they are: writing each page to the log takes twice as long.
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(self.template)
            )
        )
        try:
            yield Database(_with_database(self.superuser_url, name), name)
        finally:
            self._admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        if not self._is_borrowed:
            self._admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.template)))
        self._kept.close()


@contextmanager
def running_guardian() -> Iterator[Guardian]:
    """Ends the embedded servers even when the test run itself is killed."""
    guardian = Guardian()
    guardian.start()
    try:
        yield guardian
    finally:
        guardian.close()


def _fast_folder() -> Path | None:
    """Memory where there is plenty: on some disks a database takes most of a second to make. None: the usual place."""
    try:
        free_bytes = shutil.disk_usage(_SHARED_MEMORY).free
    except OSError:
        return None
    is_usable = free_bytes >= _FREE_BYTES_MIN and os.access(_SHARED_MEMORY, os.W_OK)
    return _SHARED_MEMORY if is_usable else None


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        url = os.environ.get("TEST_DATABASE_URL") or postgres_container_url(stack)
        if url is None:
            # Not below pytest's own folder: each pytest that starts closes that one to other users, and as root the
            # server runs as another user.
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="broadsheet-test-postgres-", dir=_fast_folder()))
            )
            guardian = stack.enter_context(running_guardian())
            url = stack.enter_context(EmbeddedPostgres(folder, settings=_SPEED_SETTINGS, guardian=guardian)).url
        cluster = Cluster(url, os.environ.get(TEMPLATE_VARIABLE))
        stack.callback(cluster.close)
        yield cluster
