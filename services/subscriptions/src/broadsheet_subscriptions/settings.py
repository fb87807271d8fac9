"""The settings of the subscriptions service, from the environment."""

from typing import Annotated

import msgspec

from broadsheet_common.identity import IdentityVerifier
from broadsheet_common.link_token import LinkSigner
from broadsheet_common.settings import HttpUrl, PositiveInt, Secret, ServiceSettings

EXPECTED_SCHEMA_VERSION = "0003"
"""The migration this code was written for."""

DAY_S = 86_400


class SubscriptionsSettings(ServiceSettings, frozen=True, kw_only=True):
    public_url: HttpUrl
    """Where the gateway is reached from outside: the only host that a link in a mail may have."""
    link_signing_keys: Secret
    """`id:hex,…`, the current key first; the same as delivery's."""
    identity_public_key: str
    """PEM, Ed25519: the gateway's identities are verified with it."""
    confirmation_lifetime_s: PositiveInt = 7 * DAY_S
    """How long a confirmation link works, and the mail that carries it waits to be sent."""
    confirmation_cool_down_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """At most one confirmation mail for an address and newsletter in this time."""

    def __post_init__(self) -> None:
        try:
            LinkSigner.parse(self.link_signing_keys.reveal())
        except ValueError as error:
            raise ValueError(f"LINK_SIGNING_KEYS is malformed: {error}") from error
        try:
            IdentityVerifier(self.identity_public_key, "subscriptions")
        except (ValueError, TypeError) as error:
            raise ValueError(f"IDENTITY_PUBLIC_KEY is malformed: {error}") from error
