"""The schema that the migrations make is the one that the services' tables declare."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from alembic import command
from psycopg import sql
from psycopg.types.json import Jsonb

from broadsheet_migrations.history import alembic_config
from harness.cluster import Cluster, Database


def _migrate(database: Database, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broadsheet_migrations", command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "MIGRATION_DATABASE_URL": database.owner_url},
        timeout=120,
    )


def test_the_check_finds_no_difference_between_schema_and_tables(database: Database) -> None:
    done = _migrate(database, "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_would_find_one(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("ALTER TABLE subscriptions.subscriber ADD COLUMN more text")
    assert _migrate(database, "check").returncode == 1


def test_upgrading_what_is_up_to_date_changes_nothing(database: Database) -> None:
    def catalogue() -> list[tuple[object, ...]]:
        with psycopg.connect(database.owner_url) as connection:
            return connection.execute(
                "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3"
            ).fetchall()

    before = catalogue()
    done = _migrate(database, "upgrade")
    assert done.returncode == 0, done.stderr
    assert catalogue() == before


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[Database]:
    """Without any migration."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(cluster.superuser_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield Database(urlunsplit(urlsplit(cluster.superuser_url)._replace(path=f"/{name}")), name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_database_of_the_version_before_is_upgraded_with_the_people_in_it(empty_database: Database) -> None:
    command.upgrade(alembic_config(empty_database.owner_url), "0002")
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO subscriptions.subscriber (email, email_key, name)"
            " SELECT one, lower(one), 'Reader' FROM unnest(ARRAY['Ada@example.com', 'b-b@example.com']) AS one"
        )
        owner.execute(
            "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)"
            " SELECT 1, id, 'confirmed', now() FROM subscriptions.subscriber"
        )
        owner.execute(
            "INSERT INTO delivery.suppression (message_stream, email_key, reason, source)"
            " VALUES ('broadcast', 'b-b@example.com', 'HardBounce', 'Recipient')"
        )
    command.upgrade(alembic_config(empty_database.owner_url), "head")
    assert _migrate(empty_database, "check").returncode == 0
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        found = owner.execute(
            "SELECT email, state FROM subscriptions.published_recipients WHERE email_key = 'ada@example.com'"
        ).fetchall()
        assert found == [("Ada@example.com", "confirmed")]
        assert owner.execute("SELECT email_key FROM delivery.published_suppressed").fetchall() == [("b-b@example.com",)]
        for repeated in (
            "INSERT INTO subscriptions.subscriber (email, email_key, name) VALUES ('x', 'ada@example.com', 'x')",
            "INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id) VALUES (1, 1)",
        ):
            with pytest.raises(psycopg.errors.UniqueViolation):
                owner.execute(repeated)


def test_text_that_is_not_in_normal_form_c_is_brought_into_it(empty_database: Database) -> None:
    command.upgrade(alembic_config(empty_database.owner_url), "0003")
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO subscriptions.subscriber (email, email_key, name, attributes, tags) VALUES"
            " ('a@example.com', 'a@example.com', %s, %s, %s), ('b@example.com', 'b@example.com', 'Zo\u00eb', %s, %s)",
            (
                "Zoe\u0308",
                Jsonb({"city": "Zu\u0308rich", "age": 3, "vip": True, "note": "line\n\u0303"}),
                ["cafe\u0301", "x", "caf\u00e9"],
                Jsonb({"city": "Z\u00fcrich"}),
                ["caf\u00e9"],
            ),
        )
    command.upgrade(alembic_config(empty_database.owner_url), "head")
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        people = owner.execute("SELECT name, attributes, tags FROM subscriptions.subscriber ORDER BY email").fetchall()
        assert people == [
            (
                "Zo\u00eb",
                {"city": "Z\u00fcrich", "age": 3, "vip": True, "note": "line\n\u0303"},
                ["caf\u00e9", "x"],
            ),
            ("Zo\u00eb", {"city": "Z\u00fcrich"}, ["caf\u00e9"]),
        ]
        counted = owner.execute("SELECT tag, count(*) FROM subscriptions.subscriber_tag GROUP BY tag ORDER BY tag")
        assert counted.fetchall() == [("caf\u00e9", 2), ("x", 1)]


def test_what_was_published_before_is_what_delivery_renders_and_a_draft_is_not(empty_database: Database) -> None:
    command.upgrade(alembic_config(empty_database.owner_url), "0004")
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, status, created_by,"
            " published_at) VALUES (1, 'Old', '<p>old</p>', 'old', 'published', 'user:1', now()),"
            " (1, 'Draft', '<p>draft</p>', 'draft', 'draft', 'user:1', NULL)"
        )
    command.upgrade(alembic_config(empty_database.owner_url), "head")
    with psycopg.connect(empty_database.owner_url, autocommit=True) as owner:
        found = owner.execute(
            "SELECT variant, title, subject, html_content, text_content, web_path FROM publishing.published_contents"
        ).fetchall()
        assert found == [(1, "Old", "Old", "<p>old</p>", "old", None)]
