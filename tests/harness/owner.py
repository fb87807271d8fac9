"""The database as its owner sees it, who may put anything into it and take it away."""

from typing import Any

import psycopg


class Owner:
    """The database as its owner sees it, who may put anything into it."""

    def __init__(self, owner_url: str) -> None:
        self.owner_url = owner_url

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def add_newsletter(self, slug: str) -> int:
        ((newsletter_id,),) = self.rows(
            "INSERT INTO publishing.newsletter (slug, name) VALUES (%s, %s) RETURNING id", slug, slug.title()
        )
        return int(newsletter_id)

    def take_database_away(self) -> None:
        """Nobody but the owner may connect, and whoever is connected no longer is."""
        self.rows("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
        self.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def bring_database_back(self) -> None:
        self.rows("UPDATE pg_database SET datconnlimit = -1 WHERE datname = current_database()")
