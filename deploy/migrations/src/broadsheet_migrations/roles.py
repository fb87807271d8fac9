"""The login passwords of the service roles: set from the environment at deployment, never part of the history."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from broadsheet_migrations.connecting import connect_timeout_s


def set_role_passwords(url: str, passwords: Mapping[str, str]) -> None:
    """Give each role its password; the text is sent as a SCRAM-hashed literal by the server's own rules."""
    if not passwords:
        return
    with psycopg.connect(url, autocommit=True, connect_timeout=connect_timeout_s(url)) as connection:
        for role, password in passwords.items():
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
            connection.execute(statement)
