"""Judge an ID token (OpenID Connect Core 1.0, 3.1.3.7): whether the provider signed it, for us, for this sign-in, now.

The signatures that are taken come from the configuration of ours and the provider's metadata, never from the token. The
JOSE work is joserfc's, the claims' rules are Authlib's.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ConflictAlgorithmError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingAlgorithmError,
    SecurityWarning,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey, import_key

from broadsheet_gateway.oidc.faults import FaultReason, ProviderFault

LEEWAY_S: Final = 60
"""How far the provider's clock may be from ours."""
AGE_MAX_S: Final = 600
"""A token is used within seconds of being issued: an older one is none of this sign-in."""
RSA_BITS_MIN: Final = 2048
KEYS_MAX: Final = 100
SUBJECT_CHARS_MAX: Final = 255
GROUPS_MAX: Final = 1000
_ADDRESS_CHARS_MAX: Final = 320
_NAME_CHARS_MAX: Final = 1000

_REASONS: Final[Mapping[str, FaultReason]] = {
    "iss": "wrong_issuer", "aud": "wrong_audience", "azp": "wrong_audience", "nonce": "wrong_nonce",
    "at_hash": "wrong_access_token", "exp": "token_expired", "iat": "token_not_yet_valid", "nbf": "token_not_yet_valid",
}  # fmt: skip
"""By the claim that is missing or wrong."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the token of this sign-in must say. `now_s`: seconds since 1970 by the database's clock."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None
    now_s: int


class ProviderIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the provider says came. `email`: only one that the provider has verified. `auth_time_s`: when they proved it
    there; None if it does not say. `has_proved_two`: with two factors (`amr` holds `mfa`, RFC 8176).
    """

    subject: str
    groups: frozenset[str]
    username: str
    name: str
    email: str | None
    auth_time_s: int | None
    has_proved_two: bool


def import_keys(document: Mapping[str, Any]) -> KeySet:
    """The keys for signatures in a JWK Set (RFC 7517). Others are passed over: shared secrets, keys for encryption,
    RSA keys under 2048 bits, and what cannot be read.

    Raises:
        ProviderFault: it is no key set, or a very long one.
    """
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise ProviderFault("provider_answer_malformed")
    return KeySet([key for item in listed if (key := _signature_key(item)) is not None])


def _signature_key(item: object) -> RSAKey | ECKey | OKPKey | None:
    if not isinstance(item, dict) or item.get("kty") not in {"RSA", "EC", "OKP"} or item.get("use", "sig") != "sig":
        return None
    # Nobody's private part has a place here.
    public = {
        name: value for name, value in item.items() if name in {"kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"}
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            key = import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < RSA_BITS_MIN:
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def key_id_of(token: str) -> str | None:
    """The key that the token names, before anything of it is believed: to know whether the keys must be fetched anew.

    Raises:
        ProviderFault: it is no signed token.
    """
    try:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError) as error:
        raise ProviderFault("token_malformed") from error
    return kid if isinstance(kid, str) else None


def read_id_token(
    token: str, keys: KeySet, expected: Expected, *, algorithms: Sequence[str], groups_claim: str
) -> ProviderIdentity:
    """Raises `ProviderFault` with the first thing that is wrong."""
    decoded = _decode(token, keys, algorithms)
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        options={
            "iss": {"essential": True, "value": expected.issuer},
            "aud": {"essential": True, "value": expected.client_id},
            "sub": {"essential": True},
        },
        params={"client_id": expected.client_id, "nonce": expected.nonce, "access_token": expected.access_token},
    )
    try:
        claims.validate(now=expected.now_s, leeway=LEEWAY_S)
    except ExpiredTokenError as error:
        raise ProviderFault("token_expired") from error
    except ClaimError as error:
        raise ProviderFault(_REASONS.get(error.claim, "token_malformed")) from error
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise ProviderFault("token_malformed") from error
    if claims["iat"] < expected.now_s - AGE_MAX_S:
        raise ProviderFault("token_expired")
    if claims.get("at_hash") is not None and not expected.access_token:
        raise ProviderFault("wrong_access_token")
    return _identity(claims, groups_claim)


def _decode(token: str, keys: KeySet, algorithms: Collection[str]) -> jwt.Token:
    registry = jws.JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
    try:
        with warnings.catch_warnings():
            # EdDSA is an old name of Ed25519, which the library wants said; providers sign by the old one.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.decode(token, keys, registry=registry)
    except (UnsupportedAlgorithmError, MissingAlgorithmError, ConflictAlgorithmError) as error:
        raise ProviderFault("wrong_algorithm") from error
    except InvalidKeyIdError as error:
        raise ProviderFault("unknown_key") from error
    except BadSignatureError as error:
        raise ProviderFault("wrong_signature") from error
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise ProviderFault("token_malformed") from error


def _identity(claims: Mapping[str, Any], groups_claim: str) -> ProviderIdentity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_CHARS_MAX or "\0" in subject:
        raise ProviderFault("token_malformed")
    groups = claims.get(groups_claim, [])
    if isinstance(groups, str):
        groups = [groups]
    if not isinstance(groups, list) or len(groups) > GROUPS_MAX:
        raise ProviderFault("token_malformed")
    methods, auth_time = claims.get("amr"), claims.get("auth_time")
    return ProviderIdentity(
        subject=subject,
        groups=frozenset(group for group in groups if isinstance(group, str)),
        username=_text(claims, "preferred_username", _NAME_CHARS_MAX),
        name=_text(claims, "name", _NAME_CHARS_MAX),
        email=_text(claims, "email", _ADDRESS_CHARS_MAX) or None if claims.get("email_verified") is True else None,
        auth_time_s=int(auth_time) if isinstance(auth_time, int | float) and not isinstance(auth_time, bool) else None,
        has_proved_two=isinstance(methods, list) and "mfa" in methods,
    )


def _text(claims: Mapping[str, Any], name: str, chars_max: int) -> str:
    """Empty if it is not there, is no text, or is longer than anybody's."""
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and len(value) <= chars_max and "\0" not in value else ""
