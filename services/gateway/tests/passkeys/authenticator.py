"""A software authenticator (WebAuthn, Level 3): makes ES256 passkeys and signs with them, well or badly on purpose."""

import base64
import hashlib
import json
import secrets
import struct
from typing import Any

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Held(msgspec.Struct):
    credential_id: bytes
    key: EllipticCurvePrivateKey
    user_handle: bytes
    sign_count: int = 0


class SoftAuthenticator:
    """Each argument that has a default can be made wrong."""

    def __init__(self, *, origin: str, rp_id: str, counts: bool = True) -> None:
        self.origin = origin
        self.rp_id = rp_id
        self.counts = counts
        self.held: list[Held] = []

    def create(
        self,
        options: dict[str, Any],
        *,
        origin: str | None = None,
        flags: int = PRESENT | VERIFIED,
        kind: str = "webauthn.create",
    ) -> str:
        assert options["authenticatorSelection"]["userVerification"] == "required"
        assert options["authenticatorSelection"]["residentKey"] == "required"
        held = Held(secrets.token_bytes(32), generate_private_key(SECP256R1()), decode(options["user"]["id"]))
        numbers = held.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack(">H", len(held.credential_id)) + held.credential_id + cose
        data = self._authenticator_data(flags | ATTESTED, 0) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        self.held.append(held)
        return self._sent(
            held,
            {
                "clientDataJSON": encode(self._client_data(kind, options["challenge"], origin)),
                "attestationObject": encode(attestation),
            },
        )

    def get(
        self,
        options: dict[str, Any],
        *,
        which: int = -1,
        origin: str | None = None,
        rp_id: str | None = None,
        flags: int = PRESENT | VERIFIED,
        count: int | None = None,
        key: EllipticCurvePrivateKey | None = None,
        user_handle: bytes | None = None,
        kind: str = "webauthn.get",
    ) -> str:
        assert options["userVerification"] == "required"
        held = self.held[which]
        if self.counts:
            held.sign_count += 1
        client_data = self._client_data(kind, options["challenge"], origin)
        data = self._authenticator_data(flags, held.sign_count if count is None else count, rp_id)
        signature = (key or held.key).sign(data + hashlib.sha256(client_data).digest(), ECDSA(SHA256()))
        return self._sent(
            held,
            {
                "clientDataJSON": encode(client_data),
                "authenticatorData": encode(data),
                "signature": encode(signature),
                "userHandle": encode(user_handle or held.user_handle),
            },
        )

    def _client_data(self, kind: str, challenge: str, origin: str | None) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin or self.origin}).encode()

    def _authenticator_data(self, flags: int, count: int, rp_id: str | None = None) -> bytes:
        return hashlib.sha256((rp_id or self.rp_id).encode()).digest() + struct.pack(">BI", flags, count)

    @staticmethod
    def _sent(held: Held, response: dict[str, str]) -> str:
        name = encode(held.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
