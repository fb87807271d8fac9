"""The gateway's signed identity: who is asking.

The gateway signs a JWT (EdDSA, RFC 8037) with its private key; services verify it with the public key. It names
one service as its audience and is valid for a minute at most, so a leaked one is of little use. Services trust
only this, never the network position of the caller.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from broadsheet_common.contracts.permissions import EARLIER_SCOPES, PUBLIC, Permission
from broadsheet_common.http.problems import ForbiddenError, NotFoundError, UnauthenticatedError
from broadsheet_common.http.record_id import RECORD_ID_MAX

IDENTITY_HEADER = "x-broadsheet-identity"
TOKEN_LIFETIME_S = 60
_LEEWAY_S = 10
_ISSUER = "broadsheet-gateway"
_ALGORITHM = "EdDSA"

ServiceName = Literal["subscriptions", "publishing", "delivery"]

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class Identity(msgspec.Struct, frozen=True):
    """Who is asking, and what the gateway allows them.

    `subject` is `user:<id>`, `key:<id>` or `public`. `scopes` are held for every newsletter, `limited` for one
    newsletter each. `user` is the user behind a key or a session (`user:<id>`), `source` the network address of the
    request, for the audit log.
    """

    subject: str
    scopes: frozenset[Permission]
    limited: frozenset[tuple[int, Permission]] = frozenset()
    user: str | None = None
    source: str | None = None

    @property
    def person(self) -> str:
        """Whom an action is put down to: two keys of one user are one person."""
        return self.user or self.subject

    def newsletters_with(self, permission: Permission) -> frozenset[int] | None:
        """The newsletters for which the permission is held; None means all of them, now and later."""
        if permission in self.scopes:
            return None
        return frozenset(newsletter_id for newsletter_id, held in self.limited if held == permission)

    def require_for(self, permission: Permission, newsletter_id: int) -> None:
        """Raises `ForbiddenError` unless the permission is held for that newsletter."""
        if permission not in self.scopes and (newsletter_id, permission) not in self.limited:
            raise ForbiddenError(f"The permission `{permission}` is needed for this newsletter.")


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
                "limited": sorted(identity.limited),
                "user": identity.user,
                "source": identity.source,
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
            return Identity(
                subject=claims["sub"],
                scopes=_read_scopes(claims.get("scopes")),
                limited=msgspec.convert(claims.get("limited", ()), frozenset[tuple[int, Permission]]),
                user=msgspec.convert(claims.get("user"), str | None),
                source=msgspec.convert(claims.get("source"), str | None),
            )
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


def _read_scopes(claim: object) -> frozenset[Permission]:
    """A gateway of the version before names the three earlier scopes, while both versions run."""
    names = msgspec.convert(claim, frozenset[str])
    earlier = names & EARLIER_SCOPES.keys()
    found: frozenset[Permission] = msgspec.convert(sorted(names - earlier), frozenset[Permission])
    return found.union(*(EARLIER_SCOPES[name] for name in earlier))


FindNewsletter = Callable[[AnyConnection], Awaitable[int | None]]
"""Finds the newsletter that the record in a request's path belongs to; None if there is no such record."""


async def newsletter_in_path(connection: AnyConnection) -> int | None:
    """For paths with a `newsletter_id`."""
    found: int = connection.path_params["newsletter_id"]
    return found


NARROWED_BY_HANDLER: Final = "narrowed by handler"
"""The operation itself keeps to the newsletters of `Identity.newsletters_with`."""


class Requirement:
    """A Litestar guard: the identity must hold `permission`.

    A permission that is held for some newsletters only is enough where `newsletter` finds the record's newsletter, or
    where the handler narrows what it does. Everywhere else it is not: the default refuses.
    """

    def __init__(
        self, permission: Permission, *, newsletter: FindNewsletter | Literal["narrowed by handler"] | None = None
    ) -> None:
        self.permission = permission
        self.newsletter = newsletter

    # Asynchronous, because Litestar runs synchronous guards in a thread.
    async def __call__(self, connection: AnyConnection, _: BaseRouteHandler) -> None:
        identity: Identity = connection.user
        held_for = identity.newsletters_with(self.permission)
        if held_for is None:
            return
        if not held_for or self.newsletter is None:
            raise ForbiddenError(f"The permission `{self.permission}` is needed.")
        if isinstance(self.newsletter, str):
            return
        # No record has such an id, and no query takes it. Guards come before the handler's parameters are checked.
        if any(isinstance(one, int) and not 1 <= one <= RECORD_ID_MAX for one in connection.path_params.values()):
            raise NotFoundError
        found = await self.newsletter(connection)
        if found not in held_for:
            # The same as for a record that is not there: ids of other newsletters' records are not given away.
            raise NotFoundError


def requires(
    permission: Permission, *, newsletter: FindNewsletter | Literal["narrowed by handler"] | None = None
) -> Any:
    """The guard of an operation; see `Requirement`."""
    return Requirement(permission, newsletter=newsletter)


PUBLIC_IDENTITY: Final = Identity(subject="public", scopes=PUBLIC)

ServiceRequest = Request[Identity, None, Any]
