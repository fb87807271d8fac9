"""Secrets that have to be read again, at rest: encrypted with AES-256-GCM and bound to their purpose; pure.

The signing secret of a webhook and the secret of an authenticator (TOTP) are needed as they are, so a hash is not
enough. Read access to the database alone gives none of them, and write access does not allow giving one endpoint or
user another's. The first key encrypts and all keys decrypt, so keys are rotated by putting a new one in front.
"""

import base64
import binascii
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broadsheet_common.contracts.key_ring import KEY_BYTES_MIN, parse_key_ring

_NONCE_BYTES: Final = 12


class UnreadableSecretError(Exception):
    """The secret was sealed with a key that is not configured any more, for another purpose, or not by us."""


class SecretBox:
    """Seals and opens secrets. The keys are given as `id:hex,id:hex,…`, the current one first."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "SecretBox":
        """Raises ValueError (see `parse_key_ring`). Keys must be 32 bytes long, as AES-256 requires."""
        return cls(parse_key_ring(text, bytes_max=KEY_BYTES_MIN))

    def seal(self, secret: str, *, purpose: str) -> str:
        # Random nonces are safe for 2^32 secrets per key: far more than there will ever be of them.
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, secret.encode(), purpose.encode())
        return f"{self._current}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, purpose: str) -> str:
        """Raises `UnreadableSecretError`."""
        key_id, _, text = sealed.partition(".")
        try:
            raw = base64.b64decode(text, validate=True)
            return self._ciphers[key_id].decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (KeyError, binascii.Error, ValueError, InvalidTag) as error:
            raise UnreadableSecretError from error
