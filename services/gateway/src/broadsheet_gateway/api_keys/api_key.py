"""API keys: `bs_<8 hex>_<43 url-safe characters>`.

The part up to the second underscore is visible: it names the key in lists and finds it in the table. The last
part is 32 random bytes; only the SHA-256 hash of the whole text is stored. A fast hash is enough for 256 random
bits.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

import msgspec

from broadsheet_common.contracts.permissions import EARLIER_SCOPES, GRANTABLE, Permission, parse_permissions

_TEXT = re.compile(r"(bs_[0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class ApiKeyText(msgspec.Struct, frozen=True):
    """A complete key. Printed only once, when it is created."""

    prefix: str
    text: str

    @classmethod
    def parse(cls, text: str) -> "ApiKeyText":
        """Raises ValueError for what cannot be a key of ours."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("an API key has the form bs_<8 hex digits>_<43 URL-safe characters>")
        return cls(match[1], text)

    @classmethod
    def generate(cls, prefix: str | None = None) -> "ApiKeyText":
        """A new secret, under a new prefix unless one is given."""
        prefix = prefix or f"bs_{secrets.token_hex(4)}"
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        return cls(prefix, f"{prefix}_{secret}")

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()

    def matches(self, kept_sha256: bytes) -> bool:
        """In constant time."""
        return hmac.compare_digest(self.sha256, kept_sha256)

    def __repr__(self) -> str:
        return f"ApiKeyText({self.prefix}_…)"


def parse_scopes(text: str) -> frozenset[Permission]:
    """Names of scopes or of groups of them (`all`, `read`, `write`, `admin`), separated by commas; raises ValueError
    naming an unknown one.
    """
    found = parse_permissions(name.strip() for name in text.split(",") if name.strip())
    if not found:
        raise ValueError("a key needs at least one scope")
    return found


def read_scopes(stored: Iterable[str]) -> frozenset[Permission]:
    """From the table. While a gateway of the version before runs, it may store the three names that it knows."""
    names = frozenset(stored)
    single: frozenset[Permission] = frozenset(name for name in GRANTABLE if name in names)
    return single.union(*(EARLIER_SCOPES[name] for name in names & EARLIER_SCOPES.keys() if name != "public"))
