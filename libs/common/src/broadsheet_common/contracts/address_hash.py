"""Keyed hashes of erased addresses. They recognise an address but do not reveal it.

HMAC-SHA256 under keys from the settings, because a plain hash can be reversed by trying addresses. The first key
makes new hashes, and an address is looked up under all keys. Keys are rotated by adding a new one in front; an
old one stays as long as a row names it.
"""

import hmac

from broadsheet_common.contracts.key_ring import parse_key_ring

_PURPOSE = b"broadsheet erased address\0"


class AddressHasher:
    """Hashes address keys (`EmailAddress.key`) with keys given as `id:hex,id:hex,…`, the current one first."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self._current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "AddressHasher":
        """Raises ValueError (see `parse_key_ring`)."""
        return cls(parse_key_ring(text))

    def current(self, email_key: str) -> tuple[str, bytes]:
        """The current key's id, and the hash under it."""
        return self._current, self._hash(self._current, email_key)

    def hashes(self, email_key: str) -> list[bytes]:
        """The hashes under every key: the address may have been erased under any of them."""
        return [self._hash(key_id, email_key) for key_id in self._keys]

    def _hash(self, key_id: str, email_key: str) -> bytes:
        return hmac.digest(self._keys[key_id], _PURPOSE + email_key.encode("utf-8", "surrogatepass"), "sha256")
