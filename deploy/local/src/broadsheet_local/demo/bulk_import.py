"""Confirmed subscribers by the thousand, written by the database's owner: the demo's stand-in for an import."""

import psycopg

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 120_000

SUBSCRIBERS = """\
INSERT INTO subscriptions.subscriber (email, email_key, name)
SELECT format(%(email)s, lpad(n::text, 7, '0')), format(%(email)s, lpad(n::text, 7, '0')), 'Reader ' || n
  FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""

SUBSCRIPTIONS = """\
INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
SELECT n.id, s.id, 'confirmed', now()
  FROM subscriptions.subscriber AS s
  CROSS JOIN publishing.newsletter AS n
 WHERE n.is_default
   AND NOT EXISTS (SELECT 1 FROM subscriptions.subscription AS existing WHERE existing.subscriber_id = s.id)
"""


def reader_email(number: int) -> str:
    return f"reader-{number:07d}@example.com"


def import_readers(database_url: str, first: int, last: int) -> None:
    """Readers `first` to `last`, both included, confirmed on the default newsletter, in one transaction."""
    with psycopg.connect(
        database_url,
        connect_timeout=CONNECT_TIMEOUT_S,
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
    ) as connection:
        connection.execute(SUBSCRIBERS, {"email": "reader-%s@example.com", "first": first, "last": last})
        connection.execute(SUBSCRIPTIONS)
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
        # Statistics for the planner, as a long-lived database would have them.
        connection.execute("ANALYZE subscriptions.subscriber")
        connection.execute("ANALYZE subscriptions.subscription")
