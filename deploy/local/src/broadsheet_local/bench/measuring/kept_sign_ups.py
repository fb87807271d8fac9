"""What the database holds of what was acknowledged: the oracle of `bench gateway`. Every function blocks."""

from broadsheet_local.bench.measuring.database import connected

# The oracle: an acknowledged sign-up is a pending subscription whose confirmation mail is queued or sent.
_KEPT = """
SELECT count(*) FROM unnest(%s::text[]) AS address
 WHERE EXISTS (SELECT FROM subscriptions.subscriber AS person
                 JOIN subscriptions.subscription AS held ON held.subscriber_id = person.id
                 JOIN subscriptions.confirmation_token AS token ON token.subscription_id = held.id
                 JOIN subscriptions.consent_event AS asked
                   ON asked.subscriber_id = person.id AND asked.kind = 'requested'
                 JOIN delivery.single_mail AS mail ON mail.dedupe_key = asked.mail_key
                WHERE person.email_key = address AND held.state = 'pending' AND mail.to_email = address)
"""
_MAILS_LEFT = "SELECT count(*) FROM delivery.single_mail WHERE settled_at IS NULL"
_LEFT = "SELECT count(*) FROM subscriptions.subscription WHERE id = ANY (%s) AND state <> 'unsubscribed'"


def count_kept(url: str, addresses: list[str]) -> int:
    """Of the addresses whose sign-ups were acknowledged, those that are whole: pending, with a token and a mail."""
    return _count(url, _KEPT, (addresses,))


def count_mails_left(url: str) -> int:
    """Mails that are not settled yet."""
    return _count(url, _MAILS_LEFT, ())


def count_still_subscribed(url: str, subscription_ids: list[int]) -> int:
    """Of those who have left."""
    return _count(url, _LEFT, (subscription_ids,))


def _count(url: str, statement: str, parameters: tuple[object, ...]) -> int:
    with connected(url) as connection:
        row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])
