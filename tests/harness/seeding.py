"""Inserts subscribers and issues directly into the database, as its owner."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import psycopg

from harness.cluster import POSTAL_ADDRESS, Database

DEFAULT_NEWSLETTER_ID = 1


class Progress(msgspec.Struct, frozen=True):
    """An issue's state and counts, as publishing reads them."""

    state: str
    pause_reason: str | None
    audience: int
    pending: int
    in_flight: int
    accepted: int
    failed: int
    suppressed: int
    excluded: int
    uncertain: int
    cancelled: int

    @property
    def adds_up(self) -> bool:
        return self.audience == (
            self.pending
            + self.in_flight
            + self.accepted
            + self.failed
            + self.suppressed
            + self.excluded
            + self.uncertain
            + self.cancelled
        )

    @property
    def counts(self) -> dict[str, int]:
        """The counts that are not 0; fails where the eight do not add up to the audience."""
        assert self.adds_up
        names = ("pending", "in_flight", "accepted", "failed", "suppressed", "excluded", "uncertain", "cancelled")
        return {name: value for name in names if (value := getattr(self, name))}


TRUNCATE_TRIES_MAX = 10


class Seed:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def connect(cls, database: Database) -> Iterator["Seed"]:
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            yield cls(connection)

    def execute(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        cursor = self._connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def _truncate(self, tables: str) -> None:
        """Running services take locks in a different order: after a deadlock that Postgres ends, this tries again."""
        for _ in range(TRUNCATE_TRIES_MAX - 1):
            with suppress(psycopg.errors.DeadlockDetected):
                self.execute(f"TRUNCATE {tables}")
                return
        self.execute(f"TRUNCATE {tables}")

    def empty(self) -> None:
        """Delete what tests made: everything but the default newsletter, the first user with the first key, and what
        running replicas say of themselves.
        """
        tables = self.execute(
            """
            SELECT string_agg(format('%%I.%%I', schemaname, tablename), ', ')
              FROM pg_tables
             WHERE schemaname IN ('subscriptions', 'publishing', 'delivery', 'gateway')
               AND (schemaname, tablename) NOT IN (
                   ('publishing', 'newsletter'), ('publishing', 'layout'),
                   ('gateway', 'user_account'), ('gateway', 'user_role'), ('gateway', 'api_key'),
                   ('delivery', 'sending_state'), ('delivery', 'replica'), ('delivery', 'report_pace'),
                   ('subscriptions', 'import_mail_pace'))
            """
        )
        self.execute("SET lock_timeout = '10 s'")
        self._truncate(str(tables[0][0]))
        self.execute("DELETE FROM publishing.newsletter WHERE id <> %s", (DEFAULT_NEWSLETTER_ID,))
        [(defaults,)] = self.execute(
            """
            SELECT string_agg(format('%%I = DEFAULT', column_name), ', ')
              FROM information_schema.columns
             WHERE table_schema = 'publishing' AND table_name = 'newsletter'
               AND column_name NOT IN ('id', 'name', 'slug', 'is_default')
            """
        )
        self.execute(f"UPDATE publishing.newsletter SET name = 'Newsletter', slug = 'newsletter', {defaults}")
        self.execute("UPDATE publishing.newsletter SET postal_address = %s", (POSTAL_ADDRESS,))
        self.execute("DELETE FROM publishing.layout")
        self.execute("UPDATE delivery.report_pace SET next_at = '-infinity'")
        self.execute("UPDATE subscriptions.import_mail_pace SET next_at = now()")
        self.execute("DELETE FROM delivery.sending_state")
        self.execute("INSERT INTO delivery.sending_state DEFAULT VALUES")
        self.execute("DELETE FROM gateway.user_account WHERE id <> (SELECT min(id) FROM gateway.user_account)")
        self.execute("DELETE FROM gateway.api_key WHERE id <> (SELECT min(id) FROM gateway.api_key)")
        self.execute("DELETE FROM gateway.user_role")
        self.execute("INSERT INTO gateway.user_role (user_id, role) SELECT id, 'owner' FROM gateway.user_account")
        self.execute("UPDATE gateway.user_account SET deactivated_at = NULL, sessions_end_before = NULL, name = ''")

    def count(self, table: str, where: str = "true") -> int:
        [(rows,)] = self.execute(f"SELECT count(*) FROM {table} WHERE {where}")
        return int(str(rows))

    def subscribers(self, count: int, *, state: str = "confirmed", prefix: str = "reader") -> list[int]:
        """`<prefix>-1@example.com` and so on, on the default newsletter; returns their ids in order."""
        rows = self.execute(
            """
            WITH people AS (
                INSERT INTO subscriptions.subscriber (email, email_key, name)
                SELECT format('%%s-%%s@example.com', %s::text, n), format('%%s-%%s@example.com', %s::text, n),
                       format('Reader %%s', n)
                  FROM generate_series(1, %s) AS n
                RETURNING id
            ), held AS (
                INSERT INTO subscriptions.subscription
                       (newsletter_id, subscriber_id, state, confirmed_at, unsubscribed_at)
                SELECT %s, id, %s, now(), CASE WHEN %s = 'unsubscribed' THEN now() END FROM people
            )
            SELECT id FROM people ORDER BY id
            """,
            (prefix, prefix, count, DEFAULT_NEWSLETTER_ID, state, state),
        )
        return [int(str(row[0])) for row in rows]

    def leave(self, subscriber_id: int) -> None:
        self.execute(
            "UPDATE subscriptions.subscription SET state = 'unsubscribed', unsubscribed_at = now() "
            "WHERE subscriber_id = %s",
            (subscriber_id,),
        )

    def published_issue(
        self,
        subscriber_ids: list[int],
        *,
        title: str = "The first issue",
        html: str = "<p>Hello {{ subscriber.name }}</p>",
        text: str = "Hello {{ subscriber.name }}",
        own_partitions: bool = False,
    ) -> int:
        """An issue of the default newsletter, published, with all of its audience enqueued."""
        [(issue_id,)] = self.execute(
            "INSERT INTO publishing.issue (newsletter_id, title, html_content, text_content, status, created_by, "
            "published_at) VALUES (%s, %s, %s, %s, 'published', 'test', now()) RETURNING id",
            (DEFAULT_NEWSLETTER_ID, title, html, text),
        )
        self.execute(
            "SELECT delivery.open_issue_run(%s, %s, %s)",
            (issue_id, DEFAULT_NEWSLETTER_ID, f"00-{'1' * 32}-{'2' * 16}-01"),
        )
        if own_partitions:
            stages = [self.execute("SELECT delivery.partition_issue(%s, true)", (issue_id,)) for _ in range(3)]
            assert stages[-1] == [("own",)], stages
        self.execute("SELECT delivery.enqueue_deliveries(%s, %s::bigint[])", (issue_id, subscriber_ids))
        self.execute("SELECT delivery.close_fan_out(%s)", (issue_id,))
        return int(str(issue_id))

    def progress(self, issue_id: int) -> Progress:
        [row] = self.execute(
            "SELECT state, pause_reason, audience, pending, in_flight, accepted, failed, suppressed, excluded, "
            "uncertain, cancelled FROM delivery.published_issue_progress WHERE issue_id = %s",
            (issue_id,),
        )
        return Progress(str(row[0]), None if row[1] is None else str(row[1]), *(int(str(n)) for n in row[2:]))

    def cancel(self, issue_id: int) -> None:
        """As publishing does it."""
        self.execute("SELECT delivery.cancel_issue(%s, 'key:1')", (issue_id,))

    def single_mail(
        self,
        to: str,
        *,
        dedupe_key: str,
        expires_in: str = "1 day",
        kind: str = "confirmation",
        newsletter_id: int | None = DEFAULT_NEWSLETTER_ID,
    ) -> None:
        """A mail to a reader, queued as subscriptions does it."""
        self.execute(
            "SELECT delivery.enqueue_reader_mails(%s, ARRAY[%s::bigint], ARRAY[%s], ARRAY[%s], "
            "ARRAY['Please confirm'], ARRAY['<p>Confirm</p>'], ARRAY['Confirm'], %s::interval, ARRAY[%s])",
            (kind, newsletter_id, dedupe_key, to, expires_in, f"00-{'1' * 32}-{'2' * 16}-01"),
        )

    def outcomes(self, issue_id: int) -> dict[int, str]:
        """Outcome by sequence number."""
        rows = self.execute("SELECT seq, outcome FROM delivery.delivery_outcome WHERE issue_id = %s", (issue_id,))
        return {int(str(row[0])): str(row[1]) for row in rows}
