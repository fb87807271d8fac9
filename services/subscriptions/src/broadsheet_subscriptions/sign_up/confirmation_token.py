"""Tokens in confirmation links: 32 random bytes; the database keeps their SHA-256 alone."""

import hashlib
import secrets
from collections.abc import Callable

TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 200
"""Longer texts are no tokens of ours; they are not even hashed."""

TokenSource = Callable[[], str]


def random_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
