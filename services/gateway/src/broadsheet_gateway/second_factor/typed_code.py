"""What somebody types where a code is asked: an authenticator's, or a recovery code; pure.

A recovery code holds 120 random bits in Crockford's base32, whose letters cannot be mistaken for each other. With so
many bits a plain SHA-256 is enough at rest (ASVS 5, 6.5.2).
"""

import hashlib
import re
import secrets
from typing import Final

import msgspec

from broadsheet_gateway.second_factor.authenticator import DIGITS

RECOVERY_CODES: Final = 10
"""So many are made at once."""
TYPED_CHARS_MAX: Final = 100

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARS: Final = 24
_GROUP: Final = 4
_AUTHENTICATORS: Final = re.compile(rf"[0-9]{{{DIGITS}}}")
_RECOVERY: Final = re.compile(rf"[{_ALPHABET}]{{{_CHARS}}}")
_MISTAKEN: Final = str.maketrans("oil", "011")


class AuthenticatorCode(msgspec.Struct, frozen=True):
    digits: str


class RecoveryCode(msgspec.Struct, frozen=True):
    """`sha256` is all that is kept of it."""

    sha256: bytes


def parse_code(typed: str) -> AuthenticatorCode | RecoveryCode | None:
    """Spaces and hyphens do not count, nor does upper or lower case. None: it is neither."""
    if len(typed) > TYPED_CHARS_MAX:
        return None
    text = re.sub(r"[\s-]", "", typed)
    if _AUTHENTICATORS.fullmatch(text):
        return AuthenticatorCode(text)
    text = text.lower().translate(_MISTAKEN)
    return RecoveryCode(_sha256(text)) if _RECOVERY.fullmatch(text) else None


def new_recovery_codes() -> dict[str, bytes]:
    """Codes as they are shown, with what is kept of each."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_CHARS)) for _ in range(RECOVERY_CODES)]
    return {"-".join(code[at : at + _GROUP] for at in range(0, _CHARS, _GROUP)): _sha256(code) for code in codes}


def _sha256(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
