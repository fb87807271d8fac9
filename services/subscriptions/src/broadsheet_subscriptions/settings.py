"""The settings of the subscriptions service, from the environment."""

from typing import Annotated

import msgspec

from broadsheet_common.contracts.address_hash import AddressHasher
from broadsheet_common.contracts.identity import IdentityVerifier
from broadsheet_common.contracts.link_token import LinkSigner
from broadsheet_common.contracts.sealed_secret import SecretBox
from broadsheet_common.outgoing.target import TargetPolicy, parse_networks
from broadsheet_common.process.settings import HttpUrl, PositiveInt, PositiveSeconds, Secret, ServiceSettings
from broadsheet_subscriptions.subscribers.address_flags import parse_flags

EXPECTED_SCHEMA_VERSION = "0010"
"""The migration for which this code was written."""

DAY_S = 86_400


class SubscriptionsSettings(ServiceSettings, frozen=True, kw_only=True):
    public_url: HttpUrl
    """Public base URL of the gateway: the only host that links in mail may have."""
    link_signing_keys: Secret
    """`id:hex,…`, the current key first; the same as delivery's."""
    erasure_keys: Secret
    """`id:hex,…`, the current key first; the same as delivery's. Keyed hashes of erased addresses are made with it."""
    identity_public_key: str
    """PEM, Ed25519: verifies the identities that the gateway signs."""
    confirmation_lifetime_s: PositiveInt = 7 * DAY_S
    """How long a confirmation link works, and how long its mail may wait to be sent."""
    confirmation_cool_down_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """At most one confirmation mail per address and newsletter in this time."""
    secret_encryption_keys: Secret
    """`id:hex,…` of 32 bytes each, the current key first: encrypts the signing secrets of webhooks."""
    webhook_allowed_networks: str = ""
    """`10.0.0.0/8,…`: networks that webhooks may reach besides public addresses. Anybody who may set a webhook
    URL can then reach them.
    """
    webhook_allow_http: bool = False
    """Allow webhooks without TLS; `local` only."""
    webhook_timeout_s: PositiveSeconds = 15.0
    """Longest wait for a receiver's answer, and once more for the start of its body."""
    webhook_calls_per_endpoint: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    """Concurrent calls to one receiver, per replica."""
    webhook_failing_days: PositiveInt = 5
    """An endpoint is disabled after this many days in which every attempt failed."""
    webhook_log_kept_days: Annotated[int, msgspec.Meta(ge=7)] = 30
    """How long the log of sent events is kept, and events that wait for a disabled endpoint."""
    import_csv_max_bytes: PositiveInt = 1024 * 1024 * 1024
    """Largest CSV file that an import accepts; the gateway's IMPORT_BODY_MAX_BYTES must be no less."""
    import_xlsx_max_bytes: PositiveInt = 100 * 1024 * 1024
    """Largest spreadsheet that an import accepts."""
    import_upload_max_s: PositiveInt = DAY_S
    """An upload that has not ended after this time is treated as broken off and removed."""
    import_lease_s: PositiveInt = 30
    """How long an import whose replica died waits before another replica continues it."""
    import_kept_s: PositiveInt = 30 * DAY_S
    """How long rejected rows and uploaded files are kept after a run has ended."""
    import_confirmations_per_minute: PositiveInt = 600
    """How many imported subscribers are asked to confirm in a minute, by all replicas together."""
    pending_lifetime_s: PositiveInt = 30 * DAY_S
    """How long an unconfirmed sign-up is kept; at least CONFIRMATION_LIFETIME_S."""
    mailbox_mails_max: PositiveInt = 10
    """Sign-up mails that one mailbox gets in MAILBOX_WINDOW_S, over all newsletters and `+tags`."""
    mailbox_window_s: PositiveInt = DAY_S
    """The window of MAILBOX_MAILS_MAX; it starts with the first mail."""
    refused_address_flags: str = ""
    """Flags of addresses that the public form refuses: `role`, `disposable`, or both with a comma. None by default."""

    preferences_link_lifetime_s: PositiveInt = 3_600
    """How long a mailed link to a preference page works."""
    address_change_lifetime_s: PositiveInt = DAY_S
    """How long a new address may take to be confirmed."""
    preferences_cool_down_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """At most one link to the preference page, and one mail to a new address, per subscriber in this time."""

    @property
    def webhook_targets(self) -> TargetPolicy:
        return TargetPolicy(parse_networks(self.webhook_allowed_networks), allow_http=self.webhook_allow_http)

    def __post_init__(self) -> None:
        if self.pending_lifetime_s < self.confirmation_lifetime_s:
            raise ValueError("PENDING_LIFETIME_S must be at least CONFIRMATION_LIFETIME_S, or links would end early")
        try:
            parse_flags(self.refused_address_flags)
        except ValueError as error:
            raise ValueError(f"REFUSED_ADDRESS_FLAGS is malformed: {error}") from error
        try:
            LinkSigner.parse(self.link_signing_keys.reveal())
        except ValueError as error:
            raise ValueError(f"LINK_SIGNING_KEYS is malformed: {error}") from error
        try:
            AddressHasher.parse(self.erasure_keys.reveal())
        except ValueError as error:
            raise ValueError(f"ERASURE_KEYS is malformed: {error}") from error
        try:
            IdentityVerifier(self.identity_public_key, "subscriptions")
        except (ValueError, TypeError) as error:
            raise ValueError(f"IDENTITY_PUBLIC_KEY is malformed: {error}") from error
        try:
            SecretBox.parse(self.secret_encryption_keys.reveal())
        except ValueError as error:
            raise ValueError(f"SECRET_ENCRYPTION_KEYS is malformed: {error}") from error
        try:
            parse_networks(self.webhook_allowed_networks)
        except ValueError as error:
            raise ValueError("WEBHOOK_ALLOWED_NETWORKS is malformed: expected networks (10.0.0.0/8)") from error
        if self.webhook_allow_http and self.broadsheet_env == "production":
            raise ValueError(
                "WEBHOOK_ALLOW_HTTP is for `local` only: in production webhooks carry addresses and need TLS"
            )
