"""The database as its owner sees it, who may insert and delete anything."""

from typing import Any

from harness.cluster import POSTAL_ADDRESS, KeptConnection

_ENTRY = """
    at, service, action, actor, person, source, target_kind, target_id, newsletter_id, before, after, trace_id
"""
AUDIT_LOG = f"(SELECT {_ENTRY} FROM audit.waiting UNION ALL SELECT {_ENTRY} FROM audit.entry) AS audit_log"
"""What to select from for all entries: a gateway chains those that wait at any moment. Their order is that of `at`."""


class Owner:
    """A connection of the database's owner, who may insert and delete anything."""

    def __init__(self, owner_url: str) -> None:
        self.owner_url = owner_url
        self._kept = KeptConnection(owner_url)

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = self._kept.get().execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def add_newsletter(self, slug: str) -> int:
        ((newsletter_id,),) = self.rows(
            "INSERT INTO publishing.newsletter (slug, name, postal_address) VALUES (%s, %s, %s) RETURNING id",
            slug,
            slug.title(),
            POSTAL_ADDRESS,
        )
        return int(newsletter_id)

    def take_database_away(self) -> None:
        """Only the owner may connect, and all other connections are closed."""
        self.rows("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
        self.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def bring_database_back(self) -> None:
        self.rows("UPDATE pg_database SET datconnlimit = -1 WHERE datname = current_database()")
