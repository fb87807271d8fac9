"""The gateway's signed identity: who is asking.

The gateway signs a JWT (EdDSA, RFC 8037) with its private key; services verify it with the public key. It names
one service as its audience and is valid for a minute at most, so a leaked one is of little use. Services trust
only this, never the network position of the caller.
"""

import time
from typing import Any, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from broadsheet_common.http.problems import ForbiddenError, UnauthenticatedError

IDENTITY_HEADER = "x-broadsheet-identity"
TOKEN_LIFETIME_S = 60
_LEEWAY_S = 10
_ISSUER = "broadsheet-gateway"
_ALGORITHM = "EdDSA"

Scope = Literal["public", "read", "write", "admin"]
"""`public`: the sign-up pages' routes only; `read` and `write`: the API; `admin`: sending state, users, keys."""

ServiceName = Literal["subscriptions", "publishing", "delivery"]


class Identity(msgspec.Struct, frozen=True):
    """Who is asking: `subject` is `user:<id>`, `key:<id>` or `public`; `scopes` are what the gateway allows them."""

    subject: str
    scopes: frozenset[Scope]


class IdentityMinter:
    """Signs identities at the gateway. A token is reused for half its lifetime, because signing costs about 50 µs.

    The cache holds at most `_CACHE_MAX` tokens and is emptied when full.
    """

    _CACHE_MAX = 4096

    def __init__(self, private_key_pem: str) -> None:
        key = load_pem_private_key(private_key_pem.replace("\\n", "\n").encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("the identity key must be an Ed25519 private key")
        self._key = key
        self._cache: dict[tuple[Identity, ServiceName], tuple[float, str]] = {}

    def mint(self, identity: Identity, audience: ServiceName) -> str:
        now = time.time()
        cached = self._cache.get((identity, audience))
        if cached is not None and now < cached[0]:
            return cached[1]
        token = jwt.encode(
            {
                "iss": _ISSUER,
                "aud": audience,
                "sub": identity.subject,
                "scopes": sorted(identity.scopes),
                "iat": int(now),
                "exp": int(now) + TOKEN_LIFETIME_S,
            },
            self._key,
            algorithm=_ALGORITHM,
        )
        if len(self._cache) >= self._CACHE_MAX:
            self._cache.clear()
        self._cache[identity, audience] = (now + TOKEN_LIFETIME_S / 2, token)
        return token


class IdentityVerifier:
    """Verifies identities at a service.

    A verified token is cached for a few seconds, well within its lifetime: the gateway sends the same one
    repeatedly, and verifying costs about as much as a query. At most `_CACHE_MAX` are cached.
    """

    _CACHE_MAX = 4096
    _CACHE_S = 5.0

    def __init__(self, public_key_pem: str, audience: ServiceName) -> None:
        key = load_pem_public_key(public_key_pem.replace("\\n", "\n").encode())
        if not isinstance(key, Ed25519PublicKey):
            raise TypeError("the identity key must be an Ed25519 public key")
        self._key = key
        self._audience = audience
        self._cache: dict[str, tuple[float, Identity]] = {}

    def verify(self, token: str) -> Identity:
        """Raises `UnauthenticatedError` if the token is not the gateway's, is for another service, or has expired."""
        now_s = time.monotonic()
        cached = self._cache.get(token)
        if cached is not None and now_s < cached[0]:
            return cached[1]
        identity = self._verify_signature(token)
        if len(self._cache) >= self._CACHE_MAX:
            self._cache.clear()
        self._cache[token] = (now_s + self._CACHE_S, identity)
        return identity

    def _verify_signature(self, token: str) -> Identity:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=_ISSUER,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            return Identity(subject=claims["sub"], scopes=msgspec.convert(claims.get("scopes"), frozenset[Scope]))
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise UnauthenticatedError from error


class IdentityMiddleware(AbstractAuthenticationMiddleware):
    """Refuses every request without a valid identity; `app.state.identity_verifier` verifies.

    Handlers with `opt={"exclude_from_auth": True}` (health, metrics, the OpenAPI document) stay open.
    """

    def __init__(self, app: ASGIApp) -> None:
        # By default Litestar lets OPTIONS pass, and a controller's guards then find no identity.
        super().__init__(app, exclude_http_methods=())

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        token = connection.headers.get(IDENTITY_HEADER)
        if token is None:
            raise UnauthenticatedError("This service answers only to the gateway.")
        verifier: IdentityVerifier = connection.app.state.identity_verifier
        return AuthenticationResult(user=verifier.verify(token), auth=None)


def requires(scope: Scope) -> Any:
    """A Litestar guard: the identity must carry `scope`. Asynchronous, because Litestar runs synchronous guards in a
    thread.
    """

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        identity: Identity = connection.user
        if scope not in identity.scopes:
            raise ForbiddenError(f"The scope `{scope}` is needed.")

    return guard


ServiceRequest = Request[Identity, None, Any]
