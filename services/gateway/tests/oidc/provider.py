"""A small OpenID Connect provider on a real socket, which does as it is told: also wrong."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, unquote_plus, urlencode

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from harness.http.served_app import serving_app

CLIENT_ID = "broadsheet at work"
CLIENT_SECRET = "s3cret: with % and + and ü"

Fault = Literal[
    "wrong_issuer", "wrong_audience", "other_audience_too", "other_party", "wrong_nonce", "no_nonce", "expired", "old",
    "from_the_future", "no_expiry", "no_subject", "empty_subject", "alg_none", "hs256_secret", "hs256_public_key",
    "unlisted_algorithm", "unknown_kid", "wrong_key", "wrong_access_token", "torn", "no_token",
    "metadata_issuer", "metadata_http", "metadata_no_algorithm", "metadata_redirect", "metadata_huge", "metadata_array",
    "token_error", "token_broken", "token_redirect", "token_huge", "token_slow", "keys_gone", "no_response_issuer",
    "wrong_response_issuer", "denied",
]  # fmt: skip
_ASYMMETRIC = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """A signing key of the provider. RSA keys sign RS256 and PS256."""

    def __init__(self, algorithm: str, kid: str) -> None:
        self.algorithm, self.kid = algorithm, kid
        self.private: _ASYMMETRIC
        if algorithm in {"RS256", "PS256"}:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    @property
    def public(self) -> dict[str, str]:
        shared = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        match self.private:
            case rsa.RSAPrivateKey():
                numbers = self.private.public_key().public_numbers()
                return {**shared, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
            case ec.EllipticCurvePrivateKey():
                point = self.private.public_key().public_numbers()
                x, y = (b64(part.to_bytes(32, "big")) for part in (point.x, point.y))
                return {**shared, "kty": "EC", "crv": "P-256", "x": x, "y": y}
            case _:
                raw = self.private.public_key().public_bytes_raw()
                return {**shared, "kty": "OKP", "crv": "Ed25519", "x": b64(raw)}

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        match self.private:
            case rsa.RSAPrivateKey() if self.algorithm == "PS256":
                return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
            case rsa.RSAPrivateKey():
                return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePrivateKey():
                r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")
            case _:
                return self.private.sign(data)


class Grant(msgspec.Struct, frozen=True):
    """What a code stands for."""

    redirect_uri: str
    nonce: str
    challenge: str


class FakeProvider:
    """`claims` are added to every token, over the usual ones; None as a value leaves one out."""

    def __init__(self) -> None:
        self.issuer = ""
        self._rsa, self._spare = Key("RS256", "first"), Key("RS256", "second")
        self.reset()

    def reset(self) -> None:
        self.fault: Fault | None = None
        self.subject = "kiln-417"
        self.claims: dict[str, Any] = {}
        self.key = self._rsa
        self.listed: list[dict[str, Any]] = [self._rsa.public]
        self.metadata: dict[str, Any] = {}
        self.asked: list[str] = []
        self.codes: dict[str, Grant] = {}
        self.used: set[str] = set()
        self.token_requests: list[dict[str, str]] = []

    def use_key(self, algorithm: str) -> None:
        """As if it had always signed with this one."""
        self.key = Key(algorithm, f"of {algorithm}")
        self.listed = [self.key.public]
        self.metadata["id_token_signing_alg_values_supported"] = [algorithm]

    def rotate(self) -> None:
        self.key = self._spare
        self.listed = [self._rsa.public, self._spare.public]

    def described(self) -> dict[str, Any]:
        return {
            "issuer": f"{self.issuer}/other" if self.fault == "metadata_issuer" else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": "file:///etc/passwd" if self.fault == "metadata_http" else f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": (
                ["none", "HS256"] if self.fault == "metadata_no_algorithm" else ["RS256", "HS256", "none"]
            ),
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to: its user signs in at once."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        answer = {"state": query["state"], "iss": self.issuer}
        if self.fault == "denied":
            answer["error"] = "access_denied"
        else:
            code = secrets.token_urlsafe(16)
            self.codes[code] = Grant(query["redirect_uri"], query["nonce"], query["code_challenge"])
            answer["code"] = code
        if self.fault == "no_response_issuer":
            del answer["iss"]
        if self.fault == "wrong_response_issuer":
            answer["iss"] = "https://attacker.example"
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        self.token_requests.append(form)
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        grant = self.codes.get(form.get("code", ""))
        if grant is None or form["code"] in self.used or self.fault == "token_error":
            return 400, {"error": "invalid_grant"}
        self.used.add(form["code"])
        challenge = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge != grant.challenge or form["redirect_uri"] != grant.redirect_uri:
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        answer: dict[str, Any] = {"access_token": access_token, "token_type": "Bearer", "expires_in": 60}
        if self.fault != "no_token":
            answer["id_token"] = self.token(grant.nonce, access_token)
        return 200, answer

    def _is_client(self, form: dict[str, str], authorization: str | None) -> bool:
        if authorization is None:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return (unquote_plus(user), unquote_plus(password)) == (CLIENT_ID, CLIENT_SECRET)

    def token(self, nonce: str, access_token: str) -> str:
        now = int(time.time())
        digest = hashlib.sha512 if self.key.algorithm == "EdDSA" else hashlib.sha256
        half = digest(access_token.encode()).digest()
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": self.subject, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "auth_time": now,
            "nonce": nonce, "at_hash": b64(half[: len(half) // 2]), **self.claims,
        }  # fmt: skip
        wrong: dict[str, dict[str, Any]] = {
            "wrong_issuer": {"iss": "https://attacker.example"},
            "wrong_audience": {"aud": "another client"},
            "other_audience_too": {"aud": [CLIENT_ID, "another client"]},
            "other_party": {"azp": "another client"},
            "wrong_nonce": {"nonce": "of another sign-in"},
            "no_nonce": {"nonce": None},
            "expired": {"exp": now - 120},
            "old": {"iat": now - 3600, "exp": now + 3600},
            "from_the_future": {"iat": now + 600},
            "no_expiry": {"exp": None},
            "no_subject": {"sub": None},
            "empty_subject": {"sub": ""},
            "wrong_access_token": {"at_hash": b64(b"of another token")},
        }
        claims |= wrong.get(self.fault or "", {})
        return self._signed({name: value for name, value in claims.items() if value is not None})

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"typ": "JWT", "alg": self.key.algorithm, "kid": self.key.kid}
        if self.fault == "alg_none":
            header["alg"] = "none"
        elif self.fault in {"hs256_secret", "hs256_public_key"}:
            header["alg"] = "HS256"
        elif self.fault == "unlisted_algorithm":
            header["alg"] = "RS512"
        elif self.fault == "unknown_kid":
            header["kid"] = secrets.token_hex(4)
        body = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        match self.fault:
            case "alg_none":
                return f"{body}."
            case "hs256_secret":
                signature = hmac.digest(CLIENT_SECRET.encode(), body.encode(), "sha256")
            case "hs256_public_key":
                signature = hmac.digest(self.key.pem, body.encode(), "sha256")
            case "wrong_key":
                signature = self._spare.sign(body.encode())
            case "torn":
                return body
            case _:
                signature = self.key.sign(body.encode())
        return f"{body}.{b64(signature)}"


def _app(provider: FakeProvider, stop: threading.Event) -> Litestar:
    return Litestar([*_pages_about_itself(provider), _token_endpoint(provider, stop)], openapi_config=None)


def _pages_about_itself(provider: FakeProvider) -> list[HTTPRouteHandler]:
    @get("/health/ready", media_type=MediaType.TEXT)
    async def ready() -> str:
        return "ready"

    @get("/.well-known/openid-configuration")
    async def describe() -> Response[Any]:
        provider.asked.append("metadata")
        match provider.fault:
            case "metadata_redirect":
                return Response({}, status_code=302, headers={"Location": f"{provider.issuer}/elsewhere"})
            case "metadata_huge":
                return Response(provider.described() | {"padding": "x" * 2_000_000})
            case "metadata_array":
                return Response([provider.described()])
            case _:
                return Response(provider.described())

    @get("/elsewhere")
    async def elsewhere() -> dict[str, Any]:
        provider.asked.append("elsewhere")
        return provider.described()

    @get("/keys")
    async def keys() -> Response[Any]:
        provider.asked.append("keys")
        return Response({"keys": provider.listed}, status_code=500 if provider.fault == "keys_gone" else 200)

    return [ready, describe, elsewhere, keys]


def _token_endpoint(provider: FakeProvider, stop: threading.Event) -> HTTPRouteHandler:
    @post("/token")
    async def token(request: Request[Any, Any, Any]) -> Response[Any]:
        provider.asked.append("token")
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        match provider.fault:
            case "token_redirect":
                return Response({}, status_code=307, headers={"Location": f"{provider.issuer}/token"})
            case "token_broken":
                return Response("<html>", media_type="text/html", status_code=200)
            case "token_huge":
                return Response({"id_token": "x" * 2_000_000}, status_code=200)
            case "token_slow":
                return Stream(_trickle(stop), status_code=200)
            case _:
                status, answer = provider.exchange(form, request.headers.get("authorization"))
                return Response(answer, status_code=status)

    return token


async def _trickle(stop: threading.Event) -> AsyncIterator[bytes]:
    """One byte after the other, so that no wait for a byte is long."""
    for _ in range(600):
        if stop.is_set():
            return
        yield b" "
        await asyncio.sleep(0.05)


@contextmanager
def serving_provider() -> Iterator[FakeProvider]:
    provider, stop = FakeProvider(), threading.Event()
    with serving_app(_app(provider, stop)) as port:
        provider.issuer = f"http://127.0.0.1:{port}"
        try:
            yield provider
        finally:
            stop.set()
