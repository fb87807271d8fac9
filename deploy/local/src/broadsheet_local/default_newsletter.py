"""Sets the name and the sender of the default newsletter at the start."""

from email.utils import parseaddr, quote

import psycopg

CONNECT_TIMEOUT_S = 10
NAME_CHARS_MAX = 200

_CHANGE = """\
UPDATE publishing.newsletter
   SET name = coalesce(%(name)s, name),
       from_name = CASE WHEN %(address)s::text IS NULL THEN from_name ELSE %(from_name)s END,
       from_email = coalesce(%(address)s, from_email)
 WHERE is_default
RETURNING from_name, from_email
"""


def name_default_newsletter(database_url: str, *, name: str | None, mail_from: str | None) -> str | None:
    """Set the given values, as the database's owner; returns the resulting sender (`Name <address>`), or None."""
    from_name, address = parseaddr(mail_from) if mail_from else (None, None)
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute(
            _CHANGE, {"name": name, "from_name": from_name or None, "address": address or None}
        ).fetchone()
    if row is None or row[1] is None:
        return None
    return row[1] if not row[0] else f'"{quote(row[0])}" <{row[1]}>'
