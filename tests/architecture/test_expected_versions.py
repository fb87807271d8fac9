"""A service waits for the newest schema that it uses: its readiness names a version that has all that it is granted.

What a service may use is in the grants: tables and views with their columns, and functions. So what a service has at
the newest version, it must have at the version that it expects, in a database that was migrated no further.
"""

import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from alembic import command
from psycopg import sql

from broadsheet_delivery.tables import EXPECTED_SCHEMA_VERSION as DELIVERY
from broadsheet_gateway.settings import EXPECTED_SCHEMA_VERSION as GATEWAY
from broadsheet_migrations.history import alembic_config
from broadsheet_publishing.settings import EXPECTED_SCHEMA_VERSION as PUBLISHING
from broadsheet_subscriptions.settings import EXPECTED_SCHEMA_VERSION as SUBSCRIPTIONS
from harness.cluster import Cluster, Database

EXPECTED = {
    "subscriptions": SUBSCRIPTIONS,
    "publishing": PUBLISHING,
    "delivery": DELIVERY,
    "gateway": GATEWAY,
}
_GRANTED = """
    SELECT right_of.privilege_type || ' ' || relation.oid::regclass::text || '.' || part.attname
      FROM pg_class AS relation
      CROSS JOIN LATERAL aclexplode(relation.relacl) AS right_of
      JOIN pg_attribute AS part ON part.attrelid = relation.oid AND part.attnum > 0 AND NOT part.attisdropped
     WHERE right_of.grantee = %(role)s::regrole AND relation.relkind IN ('r', 'p', 'v')
    UNION
    SELECT right_of.privilege_type || ' ' || part.attrelid::regclass::text || '.' || part.attname
      FROM pg_attribute AS part
      CROSS JOIN LATERAL aclexplode(part.attacl) AS right_of
     WHERE right_of.grantee = %(role)s::regrole
    UNION
    SELECT right_of.privilege_type || ' ' || called.oid::regprocedure::text
      FROM pg_proc AS called
      CROSS JOIN LATERAL aclexplode(called.proacl) AS right_of
     WHERE right_of.grantee = %(role)s::regrole
"""


@pytest.fixture(scope="module")
def at_version(cluster: Cluster) -> Iterator[dict[str, Database]]:
    """A database at each version that is expected, at the newest, and at 0005."""
    made: dict[str, Database] = {}
    with psycopg.connect(cluster.superuser_url, autocommit=True) as admin:
        try:
            for version in sorted({"0005", "head", *EXPECTED.values()}):
                name = f"test_{secrets.token_hex(6)}"
                admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                made[version] = Database(urlunsplit(urlsplit(cluster.superuser_url)._replace(path=f"/{name}")), name)
                command.upgrade(alembic_config(made[version].owner_url), version)
            yield made
        finally:
            for database in made.values():
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))


def _granted(database: Database, service: str) -> set[str]:
    with psycopg.connect(database.owner_url) as connection:
        return {str(row[0]) for row in connection.execute(_GRANTED, {"role": f"broadsheet_{service}"})}


def _newer(at_version: dict[str, Database], service: str, version: str) -> set[str]:
    """What the service is granted at the newest version and lacks at this one."""
    return _granted(at_version["head"], service) - _granted(at_version[version], service)


@pytest.mark.parametrize("service", EXPECTED)
def test_a_service_expects_a_version_that_has_all_that_it_may_use(
    at_version: dict[str, Database], service: str
) -> None:
    assert _granted(at_version["head"], service)
    assert _newer(at_version, service, EXPECTED[service]) == set()


@pytest.mark.parametrize("service", EXPECTED)
def test_a_service_that_expects_less_would_be_found(at_version: dict[str, Database], service: str) -> None:
    """Every service writes the audit log of 0006: with 0005 it would be ready, and fail at its first change."""
    newer = _newer(at_version, service, "0005")
    assert any(name.startswith("EXECUTE audit.record(") for name in newer), newer
