"""New newsletters with confirmed readers, inserted by the database's owner: scenarios do not use the sign-up form."""

from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg

from broadsheet_local.default_newsletter import SAMPLE_POSTAL_ADDRESS
from broadsheet_local.demo.bulk_import import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_MS

_NEWSLETTER = """\
INSERT INTO publishing.newsletter (slug, name, postal_address)
VALUES (%(slug)s, %(slug)s, %(postal_address)s)
RETURNING id
"""

_SUBSCRIBERS = """\
INSERT INTO subscriptions.subscriber (email, email_key, name)
SELECT format('%%s-%%s@example.com', %(slug)s::text, n), format('%%s-%%s@example.com', %(slug)s::text, n),
       'Reader ' || n
  FROM generate_series(1, %(count)s::int) AS n
"""

_SUBSCRIPTIONS = """\
INSERT INTO subscriptions.subscription (newsletter_id, subscriber_id, state, confirmed_at)
SELECT %(newsletter_id)s, id, 'confirmed', now()
  FROM subscriptions.subscriber
 WHERE email_key LIKE %(slug)s || '-%%'
RETURNING id, subscriber_id
"""


class Readers(msgspec.Struct, frozen=True):
    """The readers of one newsletter: addresses, with the ids of their subscriptions and of the subscribers."""

    newsletter_id: int
    subscription_ids: Mapping[str, int]
    subscriber_ids: Mapping[str, int]

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset(self.subscription_ids)


def import_readers(database_url: str, slug: str, count: int) -> Readers:
    """Insert `count` people, confirmed on a new newsletter with this slug, in one transaction."""
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S, options=options) as connection:
        values: dict[str, Any] = {"slug": slug, "count": count, "postal_address": SAMPLE_POSTAL_ADDRESS}
        row = connection.execute(_NEWSLETTER, values).fetchone()
        assert row is not None
        values["newsletter_id"] = row[0]
        connection.execute(_SUBSCRIBERS, values)
        subscriptions = connection.execute(_SUBSCRIPTIONS, values).fetchall()
        found = connection.execute(
            "SELECT id, email FROM subscriptions.subscriber WHERE email_key LIKE %(slug)s || '-%%'", values
        ).fetchall()
    emails: dict[int, str] = dict(found)
    return Readers(
        newsletter_id=row[0],
        subscription_ids={emails[subscriber]: subscription for subscription, subscriber in subscriptions},
        subscriber_ids={email: subscriber for subscriber, email in found},
    )
