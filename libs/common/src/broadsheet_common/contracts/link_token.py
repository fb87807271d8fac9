"""Tokens for links in mail that must work for years: signed, bound to a purpose, verifiable without a database.

Delivery mints one for each newsletter mail, subscriptions verifies it. The form is
`<key id>.<base64url(id as 8 bytes + 16 bytes of HMAC-SHA256)>`; the first key signs, all verify, so keys rotate by
putting a new one in front.
"""

import base64
import hmac
import re
from typing import Literal

from broadsheet_common.contracts.key_ring import parse_key_ring

Purpose = Literal["unsubscribe"]

_MAC_BYTES = 16
_ID_BYTES = 8
# 24 bytes make 32 characters without padding.
_BODY = re.compile(r"[A-Za-z0-9_-]{32}")


class LinkSigner:
    """Signs and verifies link tokens with keys given as `id:hex,id:hex,…`, the current one first."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        # A started HMAC is copied for each token: half the time of hashing the key again.
        self._started = {key_id: hmac.new(key, digestmod="sha256") for key_id, key in keys.items()}
        self._current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "LinkSigner":
        """Raises ValueError (see `parse_key_ring`)."""
        return cls(parse_key_ring(text))

    def sign(self, purpose: Purpose, id_: int) -> str:
        packed = id_.to_bytes(_ID_BYTES, "big")
        mac = self._mac(self._current, purpose, packed)
        return f"{self._current}.{base64.urlsafe_b64encode(packed + mac).decode()}"

    def verify(self, purpose: Purpose, token: str) -> int | None:
        """The id the token was made for; None if we did not make it for this purpose."""
        key_id, _, body = token.partition(".")
        if key_id not in self._started or not _BODY.fullmatch(body):
            return None
        raw = base64.urlsafe_b64decode(body)
        packed, mac = raw[:_ID_BYTES], raw[_ID_BYTES:]
        if not hmac.compare_digest(mac, self._mac(key_id, purpose, packed)):
            return None
        return int.from_bytes(packed, "big")

    def _mac(self, key_id: str, purpose: Purpose, packed: bytes) -> bytes:
        mac = self._started[key_id].copy()
        mac.update(purpose.encode() + b"\0" + packed)
        return mac.digest()[:_MAC_BYTES]
