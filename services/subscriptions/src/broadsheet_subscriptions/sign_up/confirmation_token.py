"""Tokens in confirmation links: 32 random bytes, of which the database stores only the SHA-256 hash."""

import hashlib
import secrets
from collections.abc import Callable

TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 200
"""Longer texts cannot be our tokens and are not hashed."""

TokenSource = Callable[[], str]


def random_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
