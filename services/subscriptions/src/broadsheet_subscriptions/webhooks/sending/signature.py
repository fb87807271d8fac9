"""The signature of Standard Webhooks: HMAC-SHA256 over id, time and body, one for each valid secret; pure.

The specification's own package signs once for each secret. The header holds all signatures, separated by spaces.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32


class SigningSecret:
    """`whsec_` and 32 random bytes in base64: the text that the receiver stores."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> "SigningSecret":
        return cls(secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> "SigningSecret":
        """Raises ValueError if `generate` could not have made the text. The message does not repeat it."""
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

    def sign(self, *, message_id: str, at: datetime, body: bytes) -> str:
        """`v1,` and the signature in base64. `body` must be UTF-8; fractions of a second in `at` are ignored."""
        # The package treats the time's fields as UTC, whatever its zone.
        return Webhook(self._key).sign(message_id, at.astimezone(UTC), body.decode())


def signed_headers(
    *, message_id: str, at: datetime, body: bytes, secrets_in_force: Sequence[SigningSecret]
) -> dict[str, str]:
    """The three headers; `at` is when this attempt is made, so that a receiver can refuse a replayed request."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(
            secret.sign(message_id=message_id, at=at, body=body) for secret in secrets_in_force
        ),
    }
