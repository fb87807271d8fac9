"""What a provider says of itself (OpenID Connect Discovery 1.0), as far as we use it."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from broadsheet_gateway.oidc.faults import ProviderFault

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""The signatures that are taken at all. None of them shares a secret, so no key that is public can sign."""


class ProviderMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """`algorithms`: those of ALGORITHMS that the provider signs with. `sends_issuer`: RFC 9207."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    algorithms: tuple[str, ...]
    sends_secret_in_body: bool
    sends_issuer: bool


def discovery_url(issuer: str) -> str:
    """Section 4.1: the issuer's last slash goes before the well-known path is added."""
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"


def read_metadata(document: Mapping[str, Any], *, issuer: str, needs_https: bool) -> ProviderMetadata:
    """Raises `ProviderFault`: another issuer, no address that may be called, or no signature that is taken."""
    if document.get("issuer") != issuer:
        raise ProviderFault("provider_metadata_wrong")
    # Both have a default by the specifications: a secret in the header, and RS256.
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    offered = document.get("id_token_signing_alg_values_supported", ["RS256"])
    if not isinstance(methods, list) or not isinstance(offered, list):
        raise ProviderFault("provider_metadata_wrong")
    algorithms = tuple(name for name in ALGORITHMS if name in offered)
    is_basic = "client_secret_basic" in methods
    if not algorithms or not (is_basic or "client_secret_post" in methods):
        raise ProviderFault("provider_metadata_wrong")
    return ProviderMetadata(
        authorization_endpoint=_address(document, "authorization_endpoint", needs_https=needs_https),
        token_endpoint=_address(document, "token_endpoint", needs_https=needs_https),
        jwks_uri=_address(document, "jwks_uri", needs_https=needs_https),
        algorithms=algorithms,
        sends_secret_in_body=not is_basic,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(document: Mapping[str, Any], name: str, *, needs_https: bool) -> str:
    address = document.get(name)
    if not isinstance(address, str) or not address.isascii() or not address.isprintable():
        raise ProviderFault("provider_metadata_wrong")
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise ProviderFault("provider_metadata_wrong") from error
    schemes = {"https"} if needs_https else {"http", "https"}
    if parts.scheme not in schemes or not parts.hostname or parts.fragment:
        raise ProviderFault("provider_metadata_wrong")
    return address
