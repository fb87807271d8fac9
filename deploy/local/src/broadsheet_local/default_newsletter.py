"""Sets the name, the sender and the postal address of the default newsletter at the start."""

from email.utils import parseaddr, quote

import psycopg

CONNECT_TIMEOUT_S = 10
NAME_CHARS_MAX = 200
POSTAL_ADDRESS_CHARS_MAX = 2_000
SAMPLE_POSTAL_ADDRESS = "Broadsheet, 1 Example Street, Example Town"

_CHANGE = """\
UPDATE publishing.newsletter
   SET name = coalesce(%(name)s, name),
       from_name = CASE WHEN %(address)s::text IS NULL THEN from_name ELSE %(from_name)s END,
       from_email = coalesce(%(address)s, from_email),
       postal_address = CASE WHEN %(postal_address)s::text IS NOT NULL THEN %(postal_address)s
                             WHEN postal_address = '' THEN %(first_postal_address)s
                             ELSE postal_address END
 WHERE is_default
RETURNING from_name, from_email
"""


def set_up_default_newsletter(
    database_url: str,
    *,
    name: str | None,
    mail_from: str | None,
    postal_address: str | None,
    first_postal_address: str = "",
) -> str | None:
    """Set the given values, as the database's owner; returns the resulting sender (`Name <address>`), or None.

    `first_postal_address` is for a newsletter that has none yet: without one it cannot publish.
    """
    from_name, address = parseaddr(mail_from) if mail_from else (None, None)
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute(
            _CHANGE,
            {
                "name": name,
                "from_name": from_name or None,
                "address": address or None,
                "postal_address": postal_address,
                "first_postal_address": first_postal_address,
            },
        ).fetchone()
    if row is None or row[1] is None:
        return None
    return row[1] if not row[0] else f'"{quote(row[0])}" <{row[1]}>'
