"""Address keys are compared as bytes, whatever collation a database has: every column of them, and so every index.

An index helps only a comparison in its own collation, and one column in another would quietly lose it.
"""

import psycopg
import pytest

from harness.cluster import Database

SERVICE_SCHEMAS = ["subscriptions", "publishing", "delivery", "gateway"]
KEYS = """
SELECT c.oid::regclass::text || '.' || a.attname, a.attcollation::regcollation::text
  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
 WHERE c.relnamespace = ANY (%s::regnamespace[]) AND a.atttypid = 'text'::regtype AND a.attnum > 0
   AND (a.attname LIKE '%%email\\_key' OR a.attname = 'to_email')
"""


def test_every_column_of_address_keys_is_in_the_order_of_bytes(database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        found: dict[str, str] = dict(connection.execute(KEYS, (SERVICE_SCHEMAS,)).fetchall())
    assert {"subscriptions.subscriber.email_key", "delivery.suppression.email_key"} <= found.keys()
    assert {name: collation for name, collation in found.items() if collation != '"C"'} == {}


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT FROM subscriptions.subscriber WHERE email_key = %(key)s", "subscriber_email_key_key"),
        ("SELECT FROM delivery.single_mail WHERE lower(to_email) = %(key)s", "single_mail_by_address"),
        (
            "SELECT FROM delivery.suppression JOIN subscriptions.subscriber USING (email_key) WHERE subscriber.id = 1",
            "suppression_by_address",
        ),
        (
            "SELECT FROM delivery.erasure AS e JOIN delivery.single_mail ON lower(to_email) = email_key WHERE e.id = 1",
            "single_mail_by_address",
        ),
        (
            "SELECT FROM unnest(ARRAY[%(key)s]) AS given (email_key) JOIN subscriptions.subscriber USING (email_key)",
            "subscriber_email_key_key",
        ),
    ],
)
def test_a_look_up_by_address_has_its_index(database: Database, statement: str, index: str) -> None:
    """Whatever it is compared with: a parameter, another service's column, a list."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_hashjoin = off")
        connection.execute("SET enable_mergejoin = off")
        explain = f"EXPLAIN (FORMAT JSON) {statement}".encode()
        plan = connection.execute(explain, {"key": "a@example.com"}).fetchone()
    assert f"'{index}'" in str(plan), plan
