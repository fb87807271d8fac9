"""The signature of Standard Webhooks: HMAC-SHA256 over id, time and body, one for each secret that is in force; pure.

Five lines of the standard library, checked in the tests by the specification's own package: that one as a dependency
would sign with one secret only.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32


class SigningSecret:
    """`whsec_` and 32 random bytes in base64: what the receiver keeps."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> "SigningSecret":
        return cls(secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> "SigningSecret":
        """Raises ValueError, which says nothing of the text, unless `generate` could have made it."""
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not text.startswith(_PREFIX) or len(key) != _KEY_BYTES:
            raise ValueError("not a signing secret")
        return cls(key)

    def reveal(self) -> str:
        return _PREFIX + base64.b64encode(self._key).decode()

    def __repr__(self) -> str:
        return "SigningSecret(…)"

    def sign(self, signed: bytes) -> str:
        return "v1," + base64.b64encode(hmac.digest(self._key, signed, "sha256")).decode()


def signed_headers(
    *, message_id: str, at: datetime, body: bytes, secrets_in_force: Sequence[SigningSecret]
) -> dict[str, str]:
    """The three headers; `at` is when this attempt is made, so that a receiver can refuse what was recorded."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(secret.sign(signed) for secret in secrets_in_force),
    }
