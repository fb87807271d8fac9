"""Whether the local author and API key are there already, as the database's owner sees it."""

import hashlib

import psycopg

CONNECT_TIMEOUT_S = 10

QUESTION = """\
SELECT EXISTS (
    SELECT FROM gateway.api_key AS k
      JOIN gateway.user_account AS u ON u.id = k.user_id
     WHERE u.username = %(username)s AND k.secret_sha256 = %(hash)s AND k.revoked_at IS NULL
)
"""


def has_author_and_key(database_url: str, username: str, api_key: str) -> bool:
    """Only the key's SHA-256 is kept (see the gateway's `api_key`); a revoked key must be made again."""
    key_hash = hashlib.sha256(api_key.encode()).digest()
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute(QUESTION, {"username": username, "hash": key_hash}).fetchone()
    return row == (True,)
